# xdpws: every target. `make help` lists them; CI calls nothing else.
SHELL := /bin/bash
PY := .venv/bin/python
CC ?= gcc
CLANG ?= clang
BUILD ?= build
FLAVOUR ?= release

WARN := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wimplicit-fallthrough
CFLAGS_BASE := -std=c11 -D_GNU_SOURCE -fPIC -g $(WARN) -Icsrc -Ibpf -MMD -MP
# The release is optimized as one unit when it is linked with $(LTO): a message crosses ten files, and a sixth of its time
# went with the calls. Objects are fat, so that whoever links without it has them too.
LTO := $(if $(findstring clang,$(CC)),,-flto=auto)
CFLAGS_release := -O2 -fvisibility=hidden $(if $(LTO),$(LTO) -ffat-lto-objects)
CFLAGS_checked := -O1 -DXW_CHECKED -Werror
CFLAGS_asan := -O1 -DXW_CHECKED -Werror -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_clang := -O2 -DXW_CHECKED -Werror
CFLAGS_gcc := -O2 -Werror
CFLAGS_fuzz := -O1 -DXW_CHECKED -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
CFLAGS_fuzzcov := -O1 -DXW_CHECKED -fsanitize=fuzzer-no-link -fprofile-instr-generate -fcoverage-mapping
LDFLAGS_asan := -fsanitize=address,undefined
LIBS := -lIPSec_MB -lxdp -lbpf -lssl -lcrypto -lz -lelf
OUT := $(BUILD)/$(FLAVOUR)

# bench drivers and examples live in tools/; csrc/ is the library, but for csrc/python, the extension xdpws._hot
SRCS := $(filter-out csrc/python/%,$(sort $(wildcard csrc/*.c csrc/*/*.c)))
OBJS := $(SRCS:%.c=$(OUT)/%.o)
CTESTS := $(sort $(wildcard tests/c/test_*.c))
CTEST_BINS := $(CTESTS:tests/c/%.c=$(OUT)/tests/%)
# asan and checked tests use the same compiler as the release; clang and fuzz use clang
FLAVOUR_CC = $(if $(filter clang fuzz fuzzcov,$(FLAVOUR)),$(CLANG),$(CC))

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9_-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

include tools/mk/setup.mk
include tools/mk/csrc.mk
include tools/mk/bpf.mk
include tools/mk/test.mk
include tools/mk/fuzz.mk
include tools/mk/sim.mk
include tools/mk/bench.mk
include tools/mk/stack.mk
include tools/mk/autobahn.mk
include tools/mk/docs.mk
include tools/mk/ws.mk
