"""Build xdpws/_core, the cffi API-mode extension, from csrc/xw_api.h.

`build_core.py --archive LIBXW_A` links a library that make built; setup.py imports `builder()` and compiles csrc/.
"""
import argparse
import glob
import os
import re
import sysconfig
import warnings
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parent.parent
LTO = [] if "clang" in (sysconfig.get_config_var("CC") or "") + os.environ.get("CC", "") else ["-flto=auto"]
"""One unit, as in make; clang's needs a linker of its own."""
LIBS = ["IPSec_MB", "xdp", "bpf", "ssl", "crypto", "z", "elf"]


def declarations() -> str:
    """The text of xw_api.h as cffi takes it: without comments, and with nothing else changed."""
    return re.sub(r"/\*.*?\*/", "", (ROOT / "csrc/xw_api.h").read_text(), flags=re.DOTALL)


def builder(archive: str | None = None) -> FFI:
    ffi = FFI()
    ffi.cdef(declarations())
    ffi.set_source(
        "xdpws._core",
        '#include "xw.h"\n',
        sources=[] if archive else sorted(set(glob.glob("csrc/*.c") + glob.glob("csrc/*/*.c"))
                                          - set(glob.glob("csrc/python/*.c"))),
        extra_objects=[str(Path(archive).resolve())] if archive else [],
        include_dirs=[str(ROOT / "csrc"), str(ROOT / "bpf")],
        libraries=LIBS,
        define_macros=[("_GNU_SOURCE", "1")],
        extra_compile_args=["-std=c11", "-O2", "-fvisibility=hidden", *([] if archive else LTO)],
        extra_link_args=(["-fsanitize=address,undefined"] if archive and "/asan/" in archive else
                         LTO if not archive or "/release/" in archive else []),
        py_limited_api=True,
    )
    return ffi


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # setuptools about itself
    args = argparse.ArgumentParser()
    args.add_argument("--archive", required=True)
    builder(args.parse_args().archive).compile(tmpdir=str(ROOT), verbose=False)
