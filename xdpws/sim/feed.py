"""Recorded feeds, format xdpws-feed/1: gzip'd JSON lines.

The first line is a header object, every other line one record::

    {"t_ns_rel": int|null, "dir": "open"|"tx"|"rx", "opcode": 1|2|null, "payload": str}      text, exact as UTF-8
    {"t_ns_rel": int|null, "dir": ..., "opcode": 2, "payload_b64": str}                      exact bytes as base64

`rx` is what the server sent, `tx` what the recording client sent, `open` marks an opened connection. Files are read
lazily; what is wrong with one is reported with the line it was found in.
"""
from __future__ import annotations

import base64
import binascii
import gzip
import json
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xdpws.digest import FeedDigest
from xdpws.errors import SetupError

__all__ = ["BINARY", "FORMAT", "TEXT", "Feed", "FeedError", "FeedHeader", "Record", "write_feed"]

FORMAT = "xdpws-feed/1"
TEXT = 1
BINARY = 2
_DIRECTIONS = ("open", "tx", "rx")


class FeedError(SetupError):
    """A feed file that cannot be read, or is not what it says."""


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a feed.

    `t_ns` nanoseconds since the start of the recording; `direction` "open", "tx" or "rx"; `opcode` 1 text, 2 binary,
    None for "open"; `payload` the exact bytes of the message; `url` of an opened connection, else "".
    """

    t_ns: int
    direction: str
    opcode: int | None
    payload: bytes
    url: str = ""


@dataclass(frozen=True, slots=True)
class FeedHeader:
    """The header line. `messages` and `rx_sha256` are what the file promises about its rx records, None if silent."""

    venue: str
    name: str
    url: str
    messages: int | None
    rx_sha256: str | None
    raw: Mapping[str, Any] = field(repr=False)


class Feed:
    """A feed file. Iterating yields its records, from the start each time."""

    def __init__(self, path: str | Path) -> None:
        """Read the header. Raises `FeedError` if there is no such file or it is no feed."""
        self.path = Path(path)
        lines = self._lines()
        try:
            first = next(lines, None)
        finally:
            lines.close()
        if first is None:
            raise self._error(1, "the file is empty")
        self.header = self._header(first[1])

    def __iter__(self) -> Iterator[Record]:
        last_ns = 0
        lines = self._lines()
        next(lines)
        for number, line in lines:
            record = self._record(number, line, last_ns)
            last_ns = record.t_ns
            yield record

    def messages(self) -> Iterator[Record]:
        """The data messages of the server, in order."""
        return (record for record in self if record.direction == "rx")

    def verify(self) -> FeedDigest:
        """Read the file to its end and compare number and digest of its rx records with the header's.

        Returns the digest. Raises `FeedError` if one differs; what the header does not state is not compared.
        """
        digest = FeedDigest()
        for record in self.messages():
            digest.update(record.payload)
        promised = self.header
        if promised.messages not in (None, digest.messages):
            raise self._error(1, f"the header promises {promised.messages} rx records, the file has {digest.messages}")
        if promised.rx_sha256 not in (None, digest.hexdigest()):
            raise self._error(1, f"the header's rx_sha256 is {promised.rx_sha256}, the records' {digest.hexdigest()}")
        return digest

    def _lines(self) -> Generator[tuple[int, bytes], None, None]:
        number = 0
        try:
            with gzip.open(self.path, "rb") as stream:
                for number, line in enumerate(stream, 1):
                    yield number, line
        except EOFError:
            raise self._error(number + 1, "the file ends inside its gzip stream (incomplete copy?)") from None
        except (gzip.BadGzipFile, zlib.error) as exc:
            raise self._error(number + 1, f"not valid gzip: {exc}") from None
        except OSError as exc:
            hint = "xdpws sim synthetic  (needs no file)" if isinstance(exc, FileNotFoundError) else ""
            raise FeedError(f"read feed {self.path}", exc.strerror or str(exc), hint, exc.errno) from None

    def _error(self, line: int, cause: str) -> FeedError:
        return FeedError(f"read feed {self.path}", f"line {line}: {cause}")

    def _object(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            value = json.loads(line)
        except (json.JSONDecodeError, UnicodeDecodeError) as exc:
            raise self._error(number, f"not JSON: {exc}") from None
        if not isinstance(value, dict):
            raise self._error(number, f"expected a JSON object, found {type(value).__name__}")
        return value

    def _header(self, line: bytes) -> FeedHeader:
        raw = self._object(1, line)
        if raw.get("format") != FORMAT:
            raise self._error(1, f'the header\'s "format" is {raw.get("format")!r}, expected {FORMAT!r}')
        stats = raw.get("stats")
        stats = stats if isinstance(stats, dict) else {}
        messages, sha = stats.get("rx"), stats.get("rx_sha256", raw.get("rx_sha256"))
        return FeedHeader(
            venue=str(raw.get("venue", "")),
            name=str(raw.get("name", "")),
            url=str(raw.get("url", "")),
            messages=messages if isinstance(messages, int) else None,
            rx_sha256=sha if isinstance(sha, str) else None,
            raw=raw,
        )

    def _record(self, number: int, line: bytes, last_ns: int) -> Record:
        raw = self._object(number, line)
        t_ns, direction, opcode = raw.get("t_ns_rel"), raw.get("dir"), raw.get("opcode")
        if t_ns is None:
            t_ns = last_ns
        if not isinstance(t_ns, int) or t_ns < 0:
            raise self._error(number, f'"t_ns_rel" is {t_ns!r}, expected nanoseconds since the start')
        if direction not in _DIRECTIONS:
            raise self._error(number, f'"dir" is {direction!r}, expected one of {", ".join(_DIRECTIONS)}')
        if direction == "open":
            return Record(t_ns, direction, None, b"", str(raw.get("url", "")))
        if opcode not in (TEXT, BINARY):
            raise self._error(number, f'"opcode" is {opcode!r}, expected 1 (text) or 2 (binary)')
        return Record(t_ns, direction, opcode, self._payload(number, raw))

    def _payload(self, number: int, raw: Mapping[str, Any]) -> bytes:
        text, coded = raw.get("payload"), raw.get("payload_b64")
        if isinstance(text, str) and coded is None:
            try:
                return text.encode("utf-8")
            except UnicodeEncodeError as exc:
                raise self._error(number, f'"payload" is not Unicode text: {exc.reason}') from None
        if isinstance(coded, str) and text is None:
            try:
                return base64.b64decode(coded, validate=True)
            except (binascii.Error, ValueError) as exc:
                raise self._error(number, f'"payload_b64" is not base64: {exc}') from None
        raise self._error(number, 'expected exactly one string of "payload" and "payload_b64"')


def write_feed(
    path: str | Path, records: Iterable[Record], venue: str = "", url: str = "", **header: Any
) -> FeedDigest:
    """Write records as a feed file and return the digest of its rx records.

    The header's statistics are computed from the records, which therefore are held in memory once. Further keyword
    arguments become members of the header.
    """
    digest = FeedDigest()
    lines, sent, last_ns = [], 0, 0
    for record in records:
        row: dict[str, Any] = {"t_ns_rel": record.t_ns, "dir": record.direction, "opcode": record.opcode}
        if record.direction == "open":
            row["url"] = record.url
        elif record.opcode == TEXT:
            row["payload"] = record.payload.decode("utf-8")
        else:
            row["payload_b64"] = base64.b64encode(record.payload).decode("ascii")
        if record.direction == "rx":
            digest.update(record.payload)
        sent += record.direction == "tx"
        last_ns = record.t_ns
        lines.append(_dump(row))
    stats = {"rx": digest.messages, "tx": sent, "rx_bytes": digest.payload_bytes, "duration_s": last_ns / 1e9,
             "rx_sha256": digest.hexdigest()}
    with gzip.open(path, "wb") as stream:
        stream.write(_dump({"format": FORMAT, "venue": venue, "url": url, **header, "stats": stats}))
        stream.writelines(lines)
    return digest


def _dump(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n"
