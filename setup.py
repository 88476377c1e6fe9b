"""Only the C extension; everything else is in pyproject.toml."""
import sys

from setuptools import setup

sys.path.insert(0, "tools")
from build_core import builder  # noqa: E402

setup(ext_modules=[builder().distutils_extension()])
