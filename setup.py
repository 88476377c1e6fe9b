"""The C extensions, and what is generated before the Python files are collected; the rest is in pyproject.toml."""
import glob
import subprocess
import sys

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

sys.path.insert(0, "tools")
import gen_enums
from build_core import builder

HOT = Extension("xdpws._hot", sorted(glob.glob("csrc/python/*.c")), include_dirs=["csrc"],
                extra_compile_args=["-std=c11", "-O2"], define_macros=[("_GNU_SOURCE", "1")])


class Generate(build_py):
    """The enumerations from the C core's tables, and the steering program, compiled ahead of time."""

    def run(self):
        gen_enums.main("xdpws/_enums.py")
        try:
            subprocess.run(["make", "-s", "bpf"], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(f"the steering program was not compiled ({error}); it needs: "
                             "apt-get install make gcc clang llvm libbpf-dev") from error
        super().run()


setup(ext_modules=[builder().distutils_extension(), HOT], cmdclass={"build_py": Generate})
