"""Exceptions of xdpws, by who erred.

* the caller: `UsageError`; raised at once, nothing was changed.
* the environment (driver, privileges, memory, routes): `SetupError`; it names the step that failed, the cause and,
  where one is known, a command that can be typed.
"""
from __future__ import annotations

import os

__all__ = ["SetupError", "UsageError", "XdpwsError"]


class XdpwsError(Exception):
    """Base of every exception that xdpws raises on purpose."""


class UsageError(XdpwsError, ValueError):
    """The caller's mistake: an argument that is out of range, malformed or contradicts another one."""


class SetupError(XdpwsError):
    """The environment does not allow a step of the set-up.

    `step`   what was being done ("attach to eth0", "resolve the gateway")
    `cause`  why it failed, for people
    `hint`   what to type or to change; "" if nothing is known to help
    `errno`  the system's error number, None if no system call failed
    """

    def __init__(self, step: str, cause: str, hint: str = "", errno: int | None = None) -> None:
        super().__init__(step, cause, hint, errno)
        self.step = step
        self.cause = cause
        self.hint = hint
        self.errno = errno

    def __str__(self) -> str:
        text = f"{self.step}: {self.cause}"
        return f"{text}; try: {self.hint}" if self.hint else text

    @classmethod
    def from_errno(cls, step: str, errno: int, hint: str = "") -> SetupError:
        """A `SetupError` whose cause is the system's text for `errno`."""
        return cls(step, os.strerror(errno), hint, errno)
