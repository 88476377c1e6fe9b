# Autobahn|Testsuite (RFC 6455 and RFC 7692), installed into build/autobahn on first use; needs a CPython 2.7 and PyPI

.PHONY: autobahn autobahn-server autobahn-serve
AUTOBAHN ?= --count 20
autobahn: ext bpf ## the client against Autobahn|Testsuite, all 517 cases: make autobahn AUTOBAHN='--interface xdp-topology'
	@$(PY) tools/autobahn.py $(AUTOBAHN)
autobahn-server: .venv/.ready ## the server role of csrc/ws against it
	@$(MAKE) --no-print-directory FLAVOUR=checked $(BUILD)/checked/conformance/autobahn_server
	@$(PY) tools/autobahn.py --server $(BUILD)/checked/conformance/autobahn_server $(AUTOBAHN)
autobahn-serve: ext .venv/.ready ## xdpws.serve against it
	@$(PY) tools/autobahn.py --server tests/conformance/autobahn_server.py $(AUTOBAHN)

$(OUT)/conformance/%: tests/conformance/%.c $(OUT)/libxw.a
	@mkdir -p $(@D)
	@echo "  LD $@"; $(FLAVOUR_CC) $(CFLAGS_BASE) $(CFLAGS_$(FLAVOUR)) $< $(OUT)/libxw.a $(LDFLAGS_$(FLAVOUR)) $(LIBS) -o $@
