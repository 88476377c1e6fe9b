"""The child process of `loader_bcc`: loader_bcc_child.py SOURCE SOCKET_FD MAP…

Compiles and loads SOURCE by BCC and sends the descriptors of the program and of the maps, in this order, over the
socket. Imports nothing of this package: it may run under another interpreter. Status 0, or 1 with the reason on stderr.
"""
from __future__ import annotations

import array
import glob
import os
import platform
import re
import socket
import sys
import tempfile

FUNCTION = "xw_steer"


def version_key(path: str) -> list[int]:
    """For sorting header packages by version."""
    return [int(part) for part in re.findall(r"\d+", path)]


def header_trees(root: str = "/usr/src") -> tuple[str, str] | None:
    """Debian's newest pair of split header packages: (of one architecture, common), or None."""
    for common in sorted(glob.glob(f"{root}/linux-headers-*-common"), key=version_key, reverse=True):
        for own in sorted(glob.glob(common.removesuffix("common") + "*")):
            if own != common and os.path.isdir(f"{own}/include/generated"):
                return own, common
    return None


def link_all(source: str, target: str) -> None:
    """A folder `target` that shows what is in the folder `source`; what is there already stays."""
    os.makedirs(target, exist_ok=True)
    for name in os.listdir(source):
        if not os.path.lexists(f"{target}/{name}"):
            os.symlink(f"{source}/{name}", f"{target}/{name}")


def merge(own: str, common: str, target: str) -> None:
    """One tree of the two, as BCC wants it: generated headers beside the others. Symbolic links only."""
    arch = "arch/x86" if platform.machine() == "x86_64" else "arch/" + {"aarch64": "arm64"}.get(platform.machine(), "")
    for folder in ("include", f"{arch}/include"):
        for tree in (own, common):
            if os.path.isdir(f"{tree}/{folder}"):
                link_all(f"{tree}/{folder}", f"{target}/{folder}")


def provide_headers(target: str) -> None:
    """Point BCC to kernel headers unless the running kernel's are where it looks. Of which version they are does not
    matter: the program uses the fixed packet and XDP interface only."""
    if os.path.isdir(f"/lib/modules/{platform.release()}/build") or "BCC_KERNEL_SOURCE" in os.environ:
        return
    trees = header_trees()
    if trees is None:
        sys.exit("no kernel headers found for BCC in /lib/modules or /usr/src")
    merge(*trees, target)
    os.environ["BCC_KERNEL_SOURCE"] = target


def main(source: str, fd: int, maps: list[str]) -> None:
    """Load and send."""
    with tempfile.TemporaryDirectory(prefix="xdpws-headers-") as target:
        provide_headers(target)
        import bcc
        with open(source, encoding="utf-8") as file:
            module = bcc.BPF(text=file.read(), cflags=["-w"])
        program = module.load_func(FUNCTION, bcc.BPF.XDP)
        fds = [program.fd] + [bcc.lib.bpf_table_fd(module.module, name.encode()) for name in maps]
    if min(fds) < 0:
        sys.exit(f"a map of {maps} is missing in the program that BCC loaded")
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
    with socket.socket(fileno=fd) as sock:
        sock.sendmsg([b"x"], [rights])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
