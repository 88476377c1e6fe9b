# fuzzing: each tests/fuzz/fuzz_NAME.c is one libFuzzer program, linked with the fuzz flavour of the core and the test helpers

FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
SECONDS ?= 30
FUZZ_LINK := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all

$(BUILD)/fuzz/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(BUILD)/fuzz/libxw.a $(XT_SRCS:tests/c/%.c=$(BUILD)/fuzz/tests/%.o)
	@mkdir -p $(@D)
	@echo "  LD $@"; $(CLANG) $(CFLAGS_BASE) $(CFLAGS_fuzz) -Itests/c $(FUZZ_LINK) $< $(filter %.o,$^) $(BUILD)/fuzz/libxw.a $(LIBS) -o $@

.PHONY: fuzz run-fuzz
fuzz: ## fuzz one target: make fuzz T=tls SECONDS=30
	@test -n "$(T)" || { echo "which? make fuzz T=NAME SECONDS=30, NAME one of: $(FUZZ_NAMES)"; exit 2; }
	@$(MAKE) --no-print-directory FLAVOUR=fuzz run-fuzz
run-fuzz: $(BUILD)/fuzz/fuzz/fuzz_$(T)
	@mkdir -p $(BUILD)/fuzz/corpus/$(T)
	@$< -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=1024 -max_len=16384 -len_control=0 -print_final_stats=1 \
	    -artifact_prefix=$(BUILD)/fuzz/$(T)- $(BUILD)/fuzz/corpus/$(T) $(wildcard tests/fuzz/seeds/$(T)) \
	    > $(BUILD)/fuzz/$(T).log 2>&1 || { tail -40 $(BUILD)/fuzz/$(T).log; exit 1; }
	@echo "$(T): $$(grep -E 'Done' $(BUILD)/fuzz/$(T).log)"

# What the corpus and the seeds of a target reach: lines and branches of the sources whose names begin with COVER
COVER ?= csrc/ws
.PHONY: fuzz-cov run-fuzz-cov
fuzz-cov: ## coverage of a fuzz target after SECONDS more of it: make fuzz-cov T=ws_conn SECONDS=60 COVER=csrc/ws
	@test -n "$(T)" || { echo "which? make fuzz-cov T=NAME, NAME one of: $(FUZZ_NAMES)"; exit 2; }
	@$(MAKE) --no-print-directory fuzz T=$(T)
	@$(MAKE) --no-print-directory FLAVOUR=fuzzcov run-fuzz-cov
run-fuzz-cov: $(BUILD)/fuzzcov/fuzz_$(T)
	@LLVM_PROFILE_FILE=$(BUILD)/fuzzcov/$(T).raw $< -runs=0 $(BUILD)/fuzz/corpus/$(T) $(wildcard tests/fuzz/seeds/$(T)) > $(BUILD)/fuzzcov/$(T).log 2>&1
	@llvm-profdata merge -sparse $(BUILD)/fuzzcov/$(T).raw -o $(BUILD)/fuzzcov/$(T).prof
	@llvm-cov report $< -instr-profile=$(BUILD)/fuzzcov/$(T).prof $(wildcard $(COVER)*.c $(COVER)/*.c)
$(BUILD)/fuzzcov/fuzz_%: tests/fuzz/fuzz_%.c $(BUILD)/fuzzcov/libxw.a $(XT_SRCS:tests/c/%.c=$(BUILD)/fuzzcov/tests/%.o)
	@echo "  LD $@"; $(CLANG) $(CFLAGS_BASE) $(CFLAGS_fuzzcov) -Itests/c -fsanitize=fuzzer $< $(filter %.o,$^) $(BUILD)/fuzzcov/libxw.a $(LIBS) -o $@

# CI: what was learnt and the seeds are replayed by every run before it goes on; two targets at a time
FUZZ_JOBS ?= 2
.PHONY: fuzz-seeds fuzz-ci
fuzz-seeds: ## seeds of the packet targets, from XDPWS_TCP_PCAPS (../shared/data/tcp_pcaps) or generated
	@$(PY) tests/fuzz/seeds.py
fuzz-ci: fuzz-seeds ## every target for SECONDS=30, FUZZ_JOBS=2 at a time
	@$(MAKE) --no-print-directory -j$(FUZZ_JOBS) FLAVOUR=fuzz $(FUZZ_NAMES:%=$(BUILD)/fuzz/fuzz/fuzz_%)
	@printf '%s\n' $(FUZZ_NAMES) | xargs -P $(FUZZ_JOBS) -I NAME $(MAKE) --no-print-directory FLAVOUR=fuzz T=NAME SECONDS=$(SECONDS) run-fuzz
