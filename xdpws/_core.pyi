"""The extension as cffi makes it from csrc/xw_api.h: names are looked up at run time."""
from typing import Any

ffi: Any
lib: Any
