"""What a host had before it was tuned, in a file under /run, so that another process can take it back."""
from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict
from pathlib import Path

from xdpws.control.tune import HostFiles, Setting, tune_plan
from xdpws.errors import SetupError

DIRECTORY = "/run/xdpws"


class TuneState:
    """The settings that are in effect on one interface, each with what was there before the first of them."""

    def __init__(self, interface: str, files: HostFiles) -> None:
        self.interface = interface
        self._files = files
        self.path: Path = files.at(f"{DIRECTORY}/tune-{interface}.json")

    def read(self) -> list[Setting]:
        """[] when it is not tuned. SetupError when the file is damaged."""
        try:
            content = self.path.read_text()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise SetupError(f"read {self.path}", error.strerror or str(error), errno=error.errno) from None
        try:
            return [Setting(**each) for each in json.loads(content)["settings"]]
        except (ValueError, KeyError, TypeError):
            raise SetupError(f"read {self.path}", "it is no state of xdpws tune",
                             f"look at it, set by hand what it names, rm {self.path}") from None

    def _write(self, settings: list[Setting]) -> None:
        if not settings:
            self.path.unlink(missing_ok=True)
            return
        self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644), "w") as file:
            json.dump({"interface": self.interface, "settings": [asdict(s) for s in settings]}, file, indent=1)
        fresh.rename(self.path)

    def apply(self, settings: list[Setting]) -> None:
        """Write the state, then the settings. SetupError when one is refused; then none of them is in effect and the
        state is as before."""
        known = self.read()
        oldest = {s.path: s.before for s in known}
        merged = [s for s in known if s.path not in {new.path for new in settings}] + [
            Setting(s.path, oldest.get(s.path, s.before), s.after, s.why) for s in settings]
        try:
            self._write(merged)
        except OSError as error:
            raise SetupError(f"write {self.path}", error.strerror or str(error), "xdpws tune needs root",
                             error.errno) from None
        try:
            tune_plan(f"tune {self.interface}", settings, self._files).apply()
        except BaseException:
            with contextlib.suppress(OSError):
                self._write(known)
            raise

    def undo(self) -> tuple[list[str], list[str]]:
        """Write what was before, last first: (what was done, what was not, for people). What somebody else has changed
        since is left as it is. What failed stays in the state."""
        done: list[str] = []
        trouble: list[str] = []
        left: list[Setting] = []
        for s in reversed(self.read()):
            now = self._files.read(s.path)
            if now != s.after:
                trouble.append(f"{s.path} is {now} and not {s.after}: changed by somebody else, left as it is")
                continue
            try:
                self._files.write(s.path, s.before)
                done.append(f"{s.path}: {s.after} → {s.before}")
            except OSError as error:
                trouble.append(f"{s.path}: {error.strerror or error}")
                left.insert(0, s)
        self._write(left)
        return done, trouble
