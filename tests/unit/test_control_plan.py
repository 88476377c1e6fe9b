"""control/plan.py: order, stop at the first failure, undo in reverse."""
from __future__ import annotations

import errno

import pytest

from xdpws.control.plan import Plan, Step
from xdpws.errors import SetupError


def recorder(log: list[str], name: str, *, fails: BaseException | None = None, undo_fails: bool = False,
             undoable: bool = True) -> Step:
    def apply() -> None:
        if fails is not None:
            raise fails
        log.append(f"+{name}")

    def undo() -> None:
        log.append(f"-{name}")
        if undo_fails:
            raise OSError(errno.EBUSY, "busy")

    return Step(f"do {name}", apply, undo if undoable else None, f"cmd {name}")


def test_applies_in_order_and_undoes_in_reverse() -> None:
    log: list[str] = []
    plan = Plan("p", tuple(recorder(log, n) for n in "abc"))
    plan.apply()
    assert log == ["+a", "+b", "+c"]
    plan.apply()
    assert len(log) == 3, "what is in effect is not done again"
    assert plan.undo() == []
    assert log[3:] == ["-c", "-b", "-a"]
    assert plan.undo() == []
    assert len(log) == 6, "what was taken back is not taken back again"


def test_a_failing_step_takes_back_the_ones_before_and_names_itself() -> None:
    log: list[str] = []
    plan = Plan("p", (recorder(log, "a"), recorder(log, "b", undoable=False),
                      recorder(log, "c", fails=OSError(errno.EPERM, "not permitted")), recorder(log, "d")))
    with pytest.raises(SetupError) as e:
        plan.apply()
    assert log == ["+a", "+b", "-a"]
    assert (e.value.step, e.value.cause, e.value.hint, e.value.errno) == ("p: do c", "not permitted", "cmd c",
                                                                         errno.EPERM)
    assert plan.done == 0


def test_a_failure_while_taking_back_is_told_and_does_not_stop_the_rest() -> None:
    log: list[str] = []
    plan = Plan("p", (recorder(log, "a"), recorder(log, "b", undo_fails=True),
                      recorder(log, "c", fails=SetupError("x", "broken", "mend it"))))
    with pytest.raises(SetupError) as e:
        plan.apply()
    assert log == ["+a", "+b", "-b", "-a"]
    assert e.value.cause.startswith("broken; not taken back: do b: ")
    assert e.value.hint == "mend it"


def test_an_unforeseen_exception_takes_back_too_and_passes_through() -> None:
    log: list[str] = []
    plan = Plan("p", (recorder(log, "a"), recorder(log, "b", fails=KeyboardInterrupt())))
    with pytest.raises(KeyboardInterrupt):
        plan.apply()
    assert log == ["+a", "-a"]


def test_show_changes_nothing() -> None:
    log: list[str] = []
    assert Plan("p", (recorder(log, "a"),)).show() == "p:\n  1. do a   (cmd a)"
    assert Plan("p", ()).show() == "p: nothing to change"
    assert log == []
