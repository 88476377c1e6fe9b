# everything that a fresh Debian 12 needs

APT := gcc clang llvm libclang-rt-14-dev make pkg-config libbpf-dev libxdp-dev libelf-dev libssl-dev libipsec-mb-dev zlib1g-dev \
       iproute2 ethtool iputils-ping procps liblwip-dev openssl nginx-light shellcheck valgrind python3 python3-dev python3-venv python3-bpfcc linux-headers-amd64

.PHONY: setup apt venv
setup: apt .venv/.ready ext bpf ## install everything and build; quick when repeated
	@echo "ready: .venv/bin/xdpws"

apt: ## the Debian packages
	@tools/apt_install.sh $(APT)

# From Debian's own interpreter, because its bcc module is built for that one. One symlink lets the environment see
# bcc and nothing else of dist-packages (a .pth would drag in Debian's OpenSSL and cffi).
.venv/.ready: pyproject.toml tools/mk/setup.mk
	@test -x .venv/bin/python || /usr/bin/python3 -m venv .venv
	.venv/bin/python -m pip install -q --disable-pip-version-check $$(.venv/bin/python tools/requirements.py dev docs)
	@ln -sfn /usr/lib/python3/dist-packages/bcc .venv/lib/python3.11/site-packages/bcc
	@.venv/bin/python tools/install_dev.py
	@touch $@
