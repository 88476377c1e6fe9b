"""The shape of a preflight report: checks with a status, and the command that mends what is not as it should be."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a check came out. FAIL: AF_XDP will not work, or data will be wrong. WARN: works, but not at its best."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report. `mend` is a command to type, "" where nothing is to be mended or can be."""

    name: str
    status: Status
    detail: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of one interface, in the order in which they are shown."""

    interface: str
    checks: tuple[Check, ...]

    @property
    def status(self) -> Status:
        """The worst of them."""
        found = {check.status for check in self.checks}
        return next((s for s in (Status.FAIL, Status.WARN) if s in found), Status.OK)

    def named(self, name: str) -> Check:
        """The check of that name. `KeyError` if there is none."""
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def as_dict(self) -> dict[str, object]:
        """The report as plain values, for JSON."""
        checks = [{**asdict(check), "status": check.status.value} for check in self.checks]
        return {"interface": self.interface, "status": self.status.value, "checks": checks}


def ok(name: str, detail: str) -> Check:
    """A check that is as it should be."""
    return Check(name, Status.OK, detail)


def warn(name: str, detail: str, mend: str = "") -> Check:
    """A check that works, but not as well as it could."""
    return Check(name, Status.WARN, detail, mend)


def fail(name: str, detail: str, mend: str = "") -> Check:
    """A check that prevents AF_XDP or corrupts data."""
    return Check(name, Status.FAIL, detail, mend)


def listed(items: Iterable[str]) -> str:
    """The items in order with commas; "none" for no items."""
    return ", ".join(sorted(items)) or "none"
