# Autobahn|Testsuite (RFC 6455 and RFC 7692), installed into build/autobahn on first use; needs a CPython 2.7 and PyPI

.PHONY: autobahn
AUTOBAHN ?= --count 20
autobahn: ext bpf ## the client against Autobahn|Testsuite, all 517 cases: make autobahn AUTOBAHN='--interface xdp-topology'
	@$(PY) tools/autobahn.py $(AUTOBAHN)
