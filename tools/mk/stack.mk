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
