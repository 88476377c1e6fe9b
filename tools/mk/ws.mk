# WebSocket's own: benchmarks of its byte loops, and their tests for another processor

.PHONY: bench-simd run-bench-simd neon
bench-simd: ## masking and UTF-8 in GB/s beside memcpy, every instruction set of this CPU; ARGS=--json
	@$(MAKE) --no-print-directory FLAVOUR=release run-bench-simd
run-bench-simd: $(OUT)/bench_simd
	@$< $(ARGS)
bench-warnings: bench-ws-warnings
.PHONY: bench-ws-warnings
bench-ws-warnings:
	@$(MAKE) --no-print-directory FLAVOUR=gcc $(BUILD)/gcc/bench_simd
	@$(MAKE) --no-print-directory FLAVOUR=clang $(BUILD)/clang/bench_simd
$(OUT)/bench_simd: tools/bench/bench_simd.c $(OUT)/libxw.a
	@echo "  LD $@"; $(FLAVOUR_CC) $(CFLAGS_BASE) $(CFLAGS_$(FLAVOUR)) $^ $(LIBS) -o $@

# what the byte loops need, without OpenSSL and zlib, so that a cross compiler with its C library is enough
NEON_SRCS := csrc/ws/mask.c csrc/ws/utf8.c csrc/ws/simd.c csrc/ws/simd_neon.c csrc/ws/frame.c csrc/base/rng.c csrc/base/base.c csrc/base/assert.c
NEON_TESTS := mask utf8 ws_frame
NEON_CC := aarch64-linux-gnu-gcc -std=c11 -D_GNU_SOURCE -O2 -g -static $(WARN) -Werror -Icsrc -DXW_CHECKED
neon: ## the NEON byte loops: built for aarch64, their tests run under qemu (two more Debian packages)
	@tools/apt_install.sh gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
	@mkdir -p $(BUILD)/neon
	@set -e; for t in $(NEON_TESTS); do \
	    echo "  LD $(BUILD)/neon/test_$$t"; $(NEON_CC) -Itests/c tests/c/test_$$t.c $(NEON_SRCS) -o $(BUILD)/neon/test_$$t; \
	    qemu-aarch64 $(BUILD)/neon/test_$$t; done
