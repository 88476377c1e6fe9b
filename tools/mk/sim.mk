# the deterministic simulation of two stacks (tests/sim) and the goodput table that it gives

SIM_OBJS := $(patsubst tests/sim/%.c,$(OUT)/sim/%.o,$(filter-out tests/sim/main.c tests/sim/goodput.c,$(sort $(wildcard tests/sim/*.c))))
SEEDS ?= 2000
FIRST ?= 1
JOBS ?= $(shell nproc)
SIM_FLAGS ?=

$(OUT)/sim/%.o: tests/sim/%.c
	@mkdir -p $(@D)
	@echo "  CC $@"; $(FLAVOUR_CC) $(CFLAGS_BASE) $(CFLAGS_$(FLAVOUR)) -Itests/sim -c $< -o $@
$(OUT)/sim/sim: $(OUT)/sim/main.o $(SIM_OBJS) $(OUT)/libxw.a
	@$(FLAVOUR_CC) $(CFLAGS_$(FLAVOUR)) $^ $(LDFLAGS_$(FLAVOUR)) -o $@
$(OUT)/sim/goodput: $(OUT)/sim/goodput.o $(SIM_OBJS) $(OUT)/libxw.a
	@$(FLAVOUR_CC) $(CFLAGS_$(FLAVOUR)) $^ $(LDFLAGS_$(FLAVOUR)) -o $@
-include $(SIM_OBJS:.o=.d) $(OUT)/sim/main.d $(OUT)/sim/goodput.d

.PHONY: sim sim-asan run-sim sim-bins
sim-bins: $(OUT)/sim/sim
sim: ## simulate SEEDS=2000 from FIRST=1 on JOBS cores, or one with its story: SEED=N
	@$(MAKE) --no-print-directory FLAVOUR=checked run-sim
sim-asan: ## the same under AddressSanitizer and UBSan
	@$(MAKE) --no-print-directory FLAVOUR=asan run-sim
run-sim: $(OUT)/sim/sim
	@$< $(SIM_FLAGS) $(if $(SEED),-1 $(SEED),-f $(FIRST) -n $(SEEDS) -j $(JOBS))
.PHONY: sim-mutants
sim-mutants: ## break the stack in one place at a time: does the simulation notice?
	@$(PY) tests/sim/mutants.py

.PHONY: goodput goodput-check run-goodput
goodput: ## rewrite the goodput table tests/sim/goodput.tsv
	@$(MAKE) --no-print-directory FLAVOUR=checked run-goodput GOODPUT=tests/sim/goodput.tsv
goodput-check: ## the table is what the stack gives
	@$(MAKE) --no-print-directory FLAVOUR=checked run-goodput GOODPUT=$(BUILD)/goodput.tsv
	@diff -U1 tests/sim/goodput.tsv $(BUILD)/goodput.tsv || { echo "the goodput changed: make goodput, look at git diff, say why in the commit"; exit 1; }
run-goodput: $(OUT)/sim/goodput
	@$< > $(GOODPUT)
