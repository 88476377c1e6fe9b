"""A change of the host as a list of steps that can be shown, applied and undone.

Whoever decides builds a `Plan`; nothing happens until `apply`. It stops at the first step that fails, takes back what
was done, in reverse, and raises `SetupError`. A failure while taking back does not stop the others; it is told in the
error.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from xdpws.errors import SetupError


@dataclass(frozen=True, slots=True)
class Step:
    """One change. `undo` is called only after `apply` returned; None: nothing is to be taken back.

    `describe` says what changes from what to what; `command` is the same as a command to type, where there is one.
    """

    describe: str
    apply: Callable[[], None]
    undo: Callable[[], None] | None = None
    command: str = ""


@dataclass(slots=True)
class Plan:
    """Steps in order, and how many of them are in effect."""

    name: str
    steps: tuple[Step, ...]
    done: int = field(default=0, init=False)

    def show(self) -> str:
        """The steps as numbered lines: a dry run."""
        if not self.steps:
            return f"{self.name}: nothing to change"
        lines = [f"{self.name}:"]
        for i, step in enumerate(self.steps, 1):
            lines.append(f"  {i}. {step.describe}" + (f"   ({step.command})" if step.command else ""))
        return "\n".join(lines)

    def apply(self) -> None:
        """Does the steps that are not in effect yet. Raises `SetupError`; then no step of this plan is in effect."""
        while self.done < len(self.steps):
            step = self.steps[self.done]
            try:
                step.apply()
            except (OSError, SetupError) as e:
                trouble = self.undo()
                raise _failure(self.name, step, e, trouble) from e
            except BaseException:
                self.undo()
                raise
            self.done += 1

    def undo(self) -> list[str]:
        """Takes back what is in effect, last step first. Returns what could not be taken back, for people."""
        trouble = []
        while self.done:
            self.done -= 1
            step = self.steps[self.done]
            if step.undo is None:
                continue
            try:
                step.undo()
            except (OSError, SetupError) as e:
                trouble.append(f"{step.describe}: {e}")
        return trouble


def _failure(plan: str, step: Step, e: OSError | SetupError, trouble: list[str]) -> SetupError:
    """The error of a plan whose `step` failed; `trouble` is what could not be taken back afterwards."""
    cause = e.cause if isinstance(e, SetupError) else (e.strerror or str(e))
    hint = e.hint if isinstance(e, SetupError) else step.command
    if trouble:
        cause += "; not taken back: " + "; ".join(trouble)
    return SetupError(f"{plan}: {step.describe}", cause, hint, e.errno)
