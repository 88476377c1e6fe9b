# the steering program, compiled ahead of time (for any interface, and bound to a device for the NIC's time), and its
# one-file text for BCC

# looked up when a recipe runs: on a fresh machine gcc comes with the same make
BPF_ARCH_INC = /usr/include/$(shell gcc -dumpmachine)
BPF_SRCS := $(wildcard bpf/*.c bpf/*.h)
BPF_OUT := xdpws/_bpf/steer.bpf.o xdpws/_bpf/steer_nic.bpf.o xdpws/_bpf/steer.bcc.c
BPF_CC = $(CLANG) -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -Ibpf -I$(BPF_ARCH_INC)

.PHONY: bpf
bpf: $(BPF_OUT) ## compile the steering program

xdpws/_bpf/steer_nic.bpf.o: bpf/steer.bpf.c $(BPF_SRCS) tools/mk/bpf.mk
	@mkdir -p $(@D)
	@echo "  BPF $@"; $(BPF_CC) -DXW_NIC_TIME -c $< -o $@ && llvm-strip -g $@
xdpws/_bpf/steer.bpf.o: bpf/steer.bpf.c $(BPF_SRCS) tools/mk/bpf.mk
	@mkdir -p $(@D)
	@echo "  BPF $@"; $(BPF_CC) -c $< -o $@ && llvm-strip -g $@
xdpws/_bpf/steer.bcc.c: $(BPF_SRCS) tools/flatten_bpf.py
	@mkdir -p $(@D)
	@echo "  BPF $@"; python3 tools/flatten_bpf.py bpf/steer.bpf.c $@
