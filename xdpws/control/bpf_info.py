"""The name of a BPF program by its id, to say who is on an interface. By bpf(2) directly; needs CAP_SYS_ADMIN."""
from __future__ import annotations

import ctypes
import os
import platform
import struct

_SYS_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280}
_PROG_GET_FD_BY_ID, _OBJ_GET_INFO_BY_FD = 13, 15
_INFO_LEN = 256    # of struct bpf_prog_info, as much as holds the name
_NAME_OFF = 64     # type id tag[8] jited_len xlated_len jited xlated load_time uid nr_map_ids map_ids name
_NAME_LEN = 16
_ATTR_LEN = 64


def program_name(prog_id: int) -> str:
    """The program's name; "" if it is gone, has none, or may not be asked."""
    fd = _bpf(_PROG_GET_FD_BY_ID, struct.pack("=III", prog_id, 0, 0))
    if fd < 0:
        return ""
    try:
        info = ctypes.create_string_buffer(_INFO_LEN)
        if _bpf(_OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", fd, _INFO_LEN, ctypes.addressof(info))) < 0:
            return ""
        return info.raw[_NAME_OFF:_NAME_OFF + _NAME_LEN].split(b"\0")[0].decode(errors="replace")
    finally:
        os.close(fd)


def _bpf(command: int, attr: bytes) -> int:
    number = _SYS_BPF.get(platform.machine())
    if number is None:
        return -1
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.syscall(number, command, ctypes.create_string_buffer(attr, _ATTR_LEN), _ATTR_LEN))
