# the steering program, compiled ahead of time, and its one-file text for BCC

BPF_ARCH_INC := /usr/include/$(shell gcc -dumpmachine)
BPF_SRCS := $(wildcard bpf/*.c bpf/*.h)

.PHONY: bpf
bpf: xdpws/_bpf/steer.bpf.o xdpws/_bpf/steer.bcc.c ## compile the steering program

xdpws/_bpf/%.bpf.o: bpf/%.bpf.c $(BPF_SRCS)
	@mkdir -p $(@D)
	$(CLANG) -target bpf -mcpu=v3 -O2 -g -Wall -Werror -Ibpf -I$(BPF_ARCH_INC) -c $< -o $@
	llvm-strip -g $@
xdpws/_bpf/steer.bcc.c: $(BPF_SRCS) tools/flatten_bpf.py
	@mkdir -p $(@D)
	python3 tools/flatten_bpf.py bpf/steer.bpf.c $@
