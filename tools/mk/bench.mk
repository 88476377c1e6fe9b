# the instrument: a precise sender and C baselines over kernel sockets, the end-to-end bench and the in-memory one

BENCH_OUT := $(BUILD)/bench
BENCH_FLAGS = -std=c11 -D_GNU_SOURCE -g -O2 $(WARN) -Werror
CORE_SRCS := tools/bench/core.c tools/bench/core_host.c

$(BENCH_OUT)/core: $(CORE_SRCS) $(wildcard tools/bench/*.h) $(BUILD)/release/libxw.a
	@mkdir -p $(@D)
	@echo "  CC $@"; $(CC) $(BENCH_FLAGS) $(LTO) -Icsrc -Ibpf $(CORE_SRCS) $(BUILD)/release/libxw.a $(LIBS) -o $@
SCALE_SRCS := tools/bench/scale.c tools/bench/core_host.c
$(BENCH_OUT)/scale: $(SCALE_SRCS) $(wildcard tools/bench/*.h) $(BUILD)/release/libxw.a
	@mkdir -p $(@D)
	@echo "  CC $@"; $(CC) $(BENCH_FLAGS) $(LTO) -Icsrc -Ibpf $(SCALE_SRCS) $(BUILD)/release/libxw.a $(LIBS) -lpthread -o $@
.PHONY: bench-scale
bench-scale: .venv/.ready $(BENCH_OUT)/scale ## cost a message at 1 to 256 connections, and on 1 to 4 engines
	$(PY) tools/bench/scale.py $(ARGS)

$(BENCH_OUT)/clang/core: $(CORE_SRCS) $(wildcard tools/bench/*.h)
	@mkdir -p $(@D)
	@for f in $(CORE_SRCS) tools/bench/scale.c; do echo "  CC $$f"; $(CLANG) $(BENCH_FLAGS) -Icsrc -Ibpf -fsyntax-only $$f || exit 1; done
	@touch $@

$(BENCH_OUT)/%: tools/bench/%.c tools/bench/common.h tools/mk/bench.mk
	@mkdir -p $(@D)
	@echo "  CC $@"; $(CC) $(BENCH_FLAGS) $< -lssl -lcrypto -o $@
$(BENCH_OUT)/clang/%: tools/bench/%.c tools/bench/common.h tools/mk/bench.mk
	@mkdir -p $(@D)
	@echo "  CC $@"; $(CLANG) $(BENCH_FLAGS) $< -lssl -lcrypto -o $@

.PHONY: bench-tools bench-warnings bench
bench-tools: $(BENCH_OUT)/sender $(BENCH_OUT)/cclient $(BENCH_OUT)/handler.so
$(BENCH_OUT)/handler.so: tools/bench/handler.c tools/bench/common.h csrc/xw_api.h csrc/xw.h
	@mkdir -p $(@D)
	@echo "  CC $@"; $(CC) $(BENCH_FLAGS) -Icsrc -shared -fPIC $< -o $@
c-warnings: bench-warnings
bench-warnings: bench-tools $(BENCH_OUT)/clang/core $(BENCH_OUT)/clang/sender $(BENCH_OUT)/clang/cclient
ARGS ?=
bench: ext bpf bench-tools ## latency and throughput beside C baselines and PyPI's clients; ARGS="--quick --html FILE …"
	$(PY) -m xdpws.cli.main bench $(ARGS)

.PHONY: bench-core bench-core-check bench-core-baseline
bench-core: .venv/.ready $(BENCH_OUT)/core ## packet to message in memory: ns, instructions by layer, allocations
	$(PY) tools/bench/core.py
bench-core-check: .venv/.ready $(BENCH_OUT)/core ## not more than 3 % more instructions than tools/bench/baseline.json
	$(PY) tools/bench/core.py --check
bench-core-baseline: .venv/.ready $(BENCH_OUT)/core
	$(PY) tools/bench/core.py --write

# links the core and the tests' TLS server
.PHONY: bench-tls run-bench-tls
bench-tls: ## what a TLS record costs: our record layer, OpenSSL's, bare AEADs; ARGS=--json
	@$(MAKE) --no-print-directory FLAVOUR=release run-bench-tls
run-bench-tls: $(OUT)/bench_tls
	@$< $(ARGS)
bench-warnings: bench-tls-warnings
.PHONY: bench-tls-warnings
bench-tls-warnings:
	@$(MAKE) --no-print-directory FLAVOUR=gcc $(BUILD)/gcc/bench_tls
	@$(MAKE) --no-print-directory FLAVOUR=clang $(BUILD)/clang/bench_tls
$(OUT)/bench_tls: tools/bench/bench_tls.c $(OUT)/tests/xt_tls.o $(OUT)/libxw.a
	@echo "  LD $@"; $(FLAVOUR_CC) $(CFLAGS_BASE) $(CFLAGS_$(FLAVOUR)) -Itests/c $^ $(LIBS) -o $@

.PHONY: bench-stages run-bench-stages
bench-stages: ## what recording a message's stages in histograms costs
	@$(MAKE) --no-print-directory FLAVOUR=release run-bench-stages
run-bench-stages: $(OUT)/bench_stages
	@$<
$(OUT)/bench_stages: tools/bench/bench_stages.c $(OUT)/libxw.a
	@echo "  LD $@"; $(FLAVOUR_CC) $(CFLAGS_BASE) $(CFLAGS_$(FLAVOUR)) -Itools/bench $^ $(LIBS) -o $@

.PHONY: bench-hot
bench-hot: ext $(BENCH_OUT)/hot_engine.so ## what a message costs from the event array to Python's callback, by batch size
	$(PY) tools/bench/hot.py $(ARGS)
$(BENCH_OUT)/hot_engine.so: tools/bench/hot_engine.c csrc/xw_api.h
	@mkdir -p $(@D)
	@echo "  CC $@"; $(CC) $(BENCH_FLAGS) -Icsrc -fPIC -shared $< -o $@
bench-warnings: $(BENCH_OUT)/hot_engine.so

# cost a packet and an idle connection from 1 to 4,096 connections
$(BENCH_OUT)/tcp_scale: tools/bench/tcp_scale.c $(BUILD)/release/libxw.a
	@mkdir -p $(@D)
	@echo "  CC $@"; $(CC) $(BENCH_FLAGS) -Icsrc $< $(BUILD)/release/libxw.a $(LIBS) -o $@
.PHONY: bench-tcp-scale
bench-tcp-scale: .venv/.ready ## what a packet costs among 1 to 4,096 connections: instructions, ns, memory
	@$(MAKE) --no-print-directory FLAVOUR=release $(BUILD)/release/libxw.a $(BENCH_OUT)/tcp_scale
	$(PY) tools/bench/tcp_scale.py $(ARGS)
