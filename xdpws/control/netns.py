"""Looking into another network namespace, for the peer of a veth.

A namespace belongs to a thread, so the work is done by a thread of its own that ends with it. Needs CAP_SYS_ADMIN.
"""
from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from xdpws.control.netlink import Netlink

T = TypeVar("T")
_CLONE_NEWNET = 0x40000000
_NAMED = Path("/run/netns")


def run_in_namespace(path: Path, work: Callable[[], T]) -> T:
    """What `work` returns when it runs in the network namespace behind `path`. Raises what it raises, or `OSError`."""
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(fd, _CLONE_NEWNET):
                    code = ctypes.get_errno()
                    raise OSError(code, os.strerror(code))
            finally:
                os.close(fd)
            results.append(work())
        except BaseException as e:
            errors.append(e)

    thread = threading.Thread(target=body, name="xdpws-netns")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def find_namespace(nl: Netlink, nsid: int) -> Path | None:
    """The file of the namespace that has the id `nsid` here: a named one, or the first process's; None if unknown."""
    named = sorted(_NAMED.iterdir()) if _NAMED.is_dir() else []
    for path in [*named, Path("/proc/1/ns/net")]:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            if nl.namespace_id(fd) == nsid:
                return path
        except OSError:
            continue
        finally:
            os.close(fd)
    return None


def command_prefix(namespace: Path | None) -> str:
    """What to put before a command so that it works in that namespace (None: this one)."""
    if namespace is None:
        return ""
    if namespace.parent == _NAMED:
        return f"ip netns exec {namespace.name} "
    return f"nsenter --net={namespace} "
