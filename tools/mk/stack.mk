# the TCP/IP stack alone, for other programs: one archive, one header (csrc/xw_stack.h), docs/stack-lib.md

STACK_SRCS := csrc/base/base.c csrc/base/rng.c csrc/mem/bytering.c \
              $(sort $(wildcard csrc/wire/*.c csrc/net/*.c csrc/tcp/*.c csrc/stack/*.c))
STACK_OBJS := $(STACK_SRCS:%.c=$(BUILD)/release/%.o)

.PHONY: stack-lib tcp-cat
stack-lib: $(BUILD)/libxdpws_stack.a ## build/libxdpws_stack.a: TCP/IP behind sockets, without anything below
$(BUILD)/libxdpws_stack.a: $(STACK_OBJS)
	@rm -f $@ && ar rcs $@ $^ && echo "  AR $@"

tcp-cat: $(BUILD)/tcp_cat ## build/tcp_cat: the example over TUN, TAP or a packet socket
$(BUILD)/tcp_cat: tools/tcp_cat.c csrc/xw_stack.h $(BUILD)/libxdpws_stack.a
	@install -D -m 644 csrc/xw_stack.h $(BUILD)/stack-include/xw_stack.h
	@echo "  LD $@"; $(CC) -std=c11 -D_GNU_SOURCE -O2 $(WARN) -I$(BUILD)/stack-include $< $(BUILD)/libxdpws_stack.a -o $@

# the same as a shared object, for tests that drive it from Python; FLAVOUR=checked has the assertions
STACK_SO_OBJS := $(STACK_SRCS:%.c=$(OUT)/%.o) $(OUT)/csrc/base/assert.o
.PHONY: stack-so pkt
stack-so: $(OUT)/libxdpws_stack.so
$(OUT)/libxdpws_stack.so: $(STACK_SO_OBJS) tools/mk/stack.mk
	@echo "  LD $@"; $(FLAVOUR_CC) -shared $(LDFLAGS_$(FLAVOUR)) $(STACK_SO_OBJS) -o $@

SCRIPTS ?= tests/script
PKTFLAGS ?=
pkt: ## packetdrill scripts below SCRIPTS= against the stack in a box; PKTFLAGS=--help says more
	@$(MAKE) --no-print-directory -s FLAVOUR=checked stack-so
	@$(PY) tests/script/pkt_main.py $(PKTFLAGS) $(SCRIPTS)

.PHONY: replay
replay: ## recorded captures of ../shared/data/tcp_pcaps (XDPWS_TCP_PCAPS) through the stack as receiver, with a table
	@$(PY) tests/replay/replay_table.py

# lwIP (Debian's liblwip-dev) as a peer
$(BUILD)/lwip_peer: tests/net/peers/lwip_peer.c tests/net/peers/lwip_wire.c
	@mkdir -p $(@D)
	@echo "  LD $@"; $(CC) -std=gnu11 -O2 -Wall -Wextra -DOPENSSL_SUPPRESS_DEPRECATED $$(pkg-config --cflags lwip) $^ -o $@ \
		$$(pkg-config --libs lwip) -lcrypto -lpthread

.PHONY: interop lwip-peer
lwip-peer: $(BUILD)/lwip_peer
INTEROP ?=
interop: ext bpf tcp-cat lwip-peer ## our TCP with Linux and lwIP over a faulty wire, beside kernel to kernel: table, build/interop.json
	@$(PY) tests/net/interop.py $(INTEROP)
