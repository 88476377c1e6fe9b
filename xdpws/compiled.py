"""`CompiledHandler`: messages to a C function, without the interpreter.

    int handler(const struct xw_event *events, uint32_t count, void *context);

is called with `count` (at least 1) messages of one connection, in order; `struct xw_event` is declared in
csrc/xw_api.h. What the events show is valid until it returns. A result other than 0 ends `Client.run` behind them. It
runs on the client's thread without the interpreter lock: it must not touch Python objects.

By numba:

    event = numba.from_dtype(xdpws.compiled.event_dtype())
    signature = numba.types.intc(numba.types.CPointer(event), numba.types.uint32, numba.types.voidptr)

    @numba.cfunc(signature)
    def handler(events, count, context):
        view = numba.carray(events, count)
        ...
        return 0

    xdpws.Client(url, xdpws.CompiledHandler.of(handler)).run()
"""
from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

from xdpws.errors import UsageError

_CTYPES_FUNCTION: Any = ctypes.CFUNCTYPE(None).__mro__[1]


@dataclass(frozen=True, slots=True)
class CompiledHandler:
    """A C function and what it is called with.

    address: of the function. context: an address handed on as its last argument. keep: whatever must live as long as
    the handler (the library, the arrays that it fills).
    """

    address: int
    context: int = 0
    keep: Any = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.address <= 0 or self.context < 0:
            raise UsageError("the address of a compiled handler is not 0; its context is an address or 0")

    @classmethod
    def of(cls, function: Any, context: int = 0, keep: Any = None) -> CompiledHandler:
        """From numba's `cfunc` (anything with an `address`), or a function of `ctypes`; UsageError for anything else.

        A cffi function: `CompiledHandler(int(ffi.cast("uintptr_t", function)))`.
        """
        if isinstance(getattr(function, "address", None), int):
            return cls(function.address, context, (function, keep))
        if isinstance(function, _CTYPES_FUNCTION):
            return cls(ctypes.cast(function, ctypes.c_void_p).value or 0, context, (function, keep))
        raise UsageError(f"{function!r} is no compiled function: give numba's cfunc, a function of ctypes, or its "
                         "address: xdpws.CompiledHandler(address)")


def event_dtype() -> Any:
    """`struct xw_event` as a numpy dtype; pointers are u8, the stamps a nested record. Needs numpy."""
    import numpy

    from xdpws._ffi import ffi

    kinds = {"uint8_t": "u1", "uint32_t": "u4", "int32_t": "i4", "uint64_t": "u8"}

    def of(name: str) -> Any:
        fields = [(member, at) for member, at in ffi.typeof(name).fields if member != "pad"]
        types = [at.type for _, at in fields]
        formats = [of(each.cname) if each.kind == "struct" else kinds.get(each.cname, "u8") for each in types]
        return numpy.dtype({"names": [member for member, _ in fields], "formats": formats,
                            "offsets": [at.offset for _, at in fields], "itemsize": ffi.sizeof(name)})

    return of("struct xw_event")
