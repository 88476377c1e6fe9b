"""Only the C extensions; everything else is in pyproject.toml."""
import glob
import sys

from setuptools import Extension, setup

sys.path.insert(0, "tools")
from build_core import builder  # noqa: E402

HOT = Extension("xdpws._hot", sorted(glob.glob("csrc/python/*.c")), include_dirs=["csrc"],
                extra_compile_args=["-std=c11", "-O2"], define_macros=[("_GNU_SOURCE", "1")])

setup(ext_modules=[builder().distutils_extension(), HOT])
