# the C core in its flavours, its tests, and the Python extension

$(OUT)/csrc/%.o: csrc/%.c
	@mkdir -p $(@D)
	@echo "  CC $@"; $(FLAVOUR_CC) $(CFLAGS_BASE) $(CFLAGS_$(FLAVOUR)) -c $< -o $@

$(OUT)/libxw.a: $(OBJS)
	@rm -f $@
	@ar rcs $@ $(OBJS)

# test helpers shared by several test programs: tests/c/xt_*.c
XT_SRCS := $(sort $(wildcard tests/c/xt_*.c))
XT_OBJS := $(XT_SRCS:tests/c/%.c=$(OUT)/tests/%.o)
$(OUT)/tests/%.o: tests/c/%.c
	@mkdir -p $(@D)
	@echo "  CC $@"; $(FLAVOUR_CC) $(CFLAGS_BASE) $(CFLAGS_$(FLAVOUR)) -Itests/c -c $< -o $@
$(OUT)/tests/test_%: $(OUT)/tests/test_%.o $(XT_OBJS) $(OUT)/libxw.a
	@$(FLAVOUR_CC) $(CFLAGS_$(FLAVOUR)) $< $(XT_OBJS) $(OUT)/libxw.a $(LDFLAGS_$(FLAVOUR)) $(LIBS) -o $@
.SECONDARY:

.PHONY: lib c-test-bins run-c-tests test-c asan c-warnings
lib: $(OUT)/libxw.a
c-test-bins: $(CTEST_BINS)
run-c-tests: c-test-bins
	@set -e; for t in $(CTEST_BINS); do echo "$$t"; timeout 300 $$t 2>$$t.log || { tail -20 $$t.log; exit 1; }; done

test-c: ## C tests, checked build
	@$(MAKE) --no-print-directory FLAVOUR=checked run-c-tests
asan: ## C tests under AddressSanitizer and UBSan
	@$(MAKE) --no-print-directory FLAVOUR=asan run-c-tests
c-warnings: ## the core and its tests without a warning, gcc and clang
	@$(MAKE) --no-print-directory FLAVOUR=gcc lib c-test-bins sim-bins
	@$(MAKE) --no-print-directory FLAVOUR=clang lib c-test-bins sim-bins

# Extension: the release objects linked into xdpws/_core.abi3.so. XDPWS_FLAVOUR=checked builds it with assertions.
EXT_FLAVOUR ?= release
.PHONY: ext
ext: .venv/.ready ## build the Python extension in place
	@$(MAKE) --no-print-directory FLAVOUR=$(EXT_FLAVOUR) $(BUILD)/$(EXT_FLAVOUR)/ext.stamp $(BUILD)/hot.stamp

# The hot loop, xdpws/_hot: CPython's own API, for this interpreter. It links nothing of csrc.
HOT_SRCS := $(sort $(wildcard csrc/python/*.c))
PY_CONFIG = $(PY) -c 'import sysconfig as s; print($(1))'
HOT_CC = $(1) -std=c11 -D_GNU_SOURCE -fPIC -g -O2 $(WARN) -Werror -Icsrc -isystem $(shell $(call PY_CONFIG,s.get_paths()["include"]))
$(BUILD)/hot.stamp: $(HOT_SRCS) $(wildcard csrc/python/*.h) csrc/xw_api.h .venv/.ready
	@mkdir -p $(@D)
	@echo "  CC xdpws/_hot"
	@$(call HOT_CC,$(CC)) -shared $(HOT_SRCS) -o xdpws/_hot$(shell $(call PY_CONFIG,s.get_config_var("EXT_SUFFIX")))
	@touch $@
c-warnings: hot-warnings
.PHONY: hot-warnings
hot-warnings: .venv/.ready
	@for cc in gcc $(CLANG); do for f in $(HOT_SRCS); do $(call HOT_CC,$$cc) -fsyntax-only $$f || exit 1; done; done
$(OUT)/ext.stamp: $(OUT)/libxw.a csrc/xw_api.h csrc/xw.h tools/build_core.py
	$(PY) tools/build_core.py --archive $(OUT)/libxw.a
	$(PY) tools/gen_enums.py xdpws/_enums.py
	@touch $@

# what each object includes, as the compiler noted it (-MMD)
-include $(OBJS:.o=.d) $(XT_OBJS:.o=.d) $(CTESTS:tests/c/%.c=$(OUT)/tests/%.d)
