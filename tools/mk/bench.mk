# the instrument: a precise sender and C baselines over kernel sockets, the end-to-end bench and the in-memory one

BENCH_OUT := $(BUILD)/bench
BENCH_FLAGS = -std=c11 -D_GNU_SOURCE -g -O2 $(WARN) -Werror

$(BENCH_OUT)/%: tools/bench/%.c tools/bench/common.h tools/mk/bench.mk
	@mkdir -p $(@D)
	@echo "  CC $@"; $(CC) $(BENCH_FLAGS) $< -lssl -lcrypto -o $@
$(BENCH_OUT)/clang/%: tools/bench/%.c tools/bench/common.h tools/mk/bench.mk
	@mkdir -p $(@D)
	@echo "  CC $@"; $(CLANG) $(BENCH_FLAGS) $< -lssl -lcrypto -o $@

.PHONY: bench-tools bench-warnings bench
bench-tools: $(BENCH_OUT)/sender $(BENCH_OUT)/cclient
c-warnings: bench-warnings
bench-warnings: bench-tools $(BENCH_OUT)/clang/sender $(BENCH_OUT)/clang/cclient
ARGS ?=
bench: ext bpf bench-tools ## latency and throughput beside C baselines and PyPI's clients; ARGS="--quick --html FILE …"
	$(PY) -m xdpws.cli.main bench $(ARGS)
