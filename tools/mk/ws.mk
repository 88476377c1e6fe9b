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

# ISA-L and libdeflate are compared with zlib, which is what the core uses; zlib-ng too where `pip install zlib-ng` was run
.PHONY: bench-deflate
bench-deflate: .venv/.ready $(BENCH_OUT)/libbench_deflate.so ## zlib, zlib-ng, ISA-L, libdeflate on the feeds' messages; ARGS=--json
	@$(PY) tools/bench/deflate.py $(ARGS)
$(BENCH_OUT)/libbench_deflate.so: tools/bench/deflate.c
	@tools/apt_install.sh libisal-dev libdeflate-dev
	@mkdir -p $(@D)
	@echo "  LD $@"; $(CC) $(BENCH_FLAGS) -fPIC -shared $< -lz -lisal -ldeflate -o $@

# zlib-ng in its zlib-compatible form, from the source that PyPI's module carries: libz.so.1 for LD_LIBRARY_PATH=build/zlib-ng
ZLIB_NG := $(BUILD)/zlib-ng
.PHONY: zlib-ng
zlib-ng: $(ZLIB_NG)/libz.so.1 ## build zlib-ng as libz.so.1 (PyPI) and run the tests of compression with it
	@$(MAKE) --no-print-directory FLAVOUR=checked $(BUILD)/checked/tests/test_deflate $(BUILD)/checked/tests/test_ws_deflate
	@set -e; for t in deflate ws_deflate; do LD_LIBRARY_PATH=$(ZLIB_NG) $(BUILD)/checked/tests/test_$$t; done
$(ZLIB_NG)/libz.so.1:
	@rm -rf $(ZLIB_NG) && mkdir -p $(ZLIB_NG)/src
	@$(PY) -m pip download -q --disable-pip-version-check --no-deps --no-binary :all: -d $(ZLIB_NG) zlib-ng==1.1.0
	@tar -xzf $(ZLIB_NG)/zlib_ng-1.1.0.tar.gz -C $(ZLIB_NG)/src --strip-components=1
	@cd $(ZLIB_NG) && (src/src/zlib_ng/zlib-ng/configure --zlib-compat && $(MAKE)) > build.log 2>&1 || { tail -20 build.log; exit 1; }
	@test -e $@ && echo "  LD $@"

# a connection of csrc/ws as a shared library, for tests/differential
$(OUT)/ws_peer.so: tests/differential/ws_peer.c $(OUT)/libxw.a
	@echo "  LD $@"; $(FLAVOUR_CC) $(CFLAGS_BASE) $(CFLAGS_$(FLAVOUR)) -shared $^ $(LDFLAGS_$(FLAVOUR)) $(LIBS) -o $@
.PHONY: ws-peer
ws-peer: ## tests/differential's connection, build/checked/ws_peer.so
	@$(MAKE) --no-print-directory FLAVOUR=checked $(BUILD)/checked/ws_peer.so
.PHONY: differential
differential: ext ## csrc/ws against websockets and wsproto, 3000 new examples a test
	@XDPWS_EXAMPLES=3000 $(PY) -m pytest -q --timeout 3600 tests/differential

# all feeds, with disconnects, over a socket and (as root) over AF_XDP; figures in build/soak/soak.json
MINUTES ?= 10
.PHONY: soak
soak: ext bpf ## feeds in a loop with disconnects, nothing lost, memory flat: make soak MINUTES=10
	@$(PY) tools/soak.py --minutes $(MINUTES)
