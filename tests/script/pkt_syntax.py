"""The script language: packetdrill's public syntax, read into events.

A script is a list of events, each at a time: a packet in (``<``), a packet expected (``>``), a call on a socket, a
piece of Python that asserts (``%{ }%``), or a shell command, of which only settings are looked at. Times are ns;
sequence numbers are as the script says them. ``SyntaxTrouble`` names line and text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

NS = 1_000_000_000


class SyntaxTrouble(Exception):
    """The script says something that this reader does not know."""


class Anything:  # "..." as a value: anything
    def __repr__(self) -> str:
        return "..."


ANY = Anything()


@dataclass(frozen=True, slots=True)
class Word:
    """A name that stands for a number (a constant of C)."""

    name: str


@dataclass(frozen=True, slots=True)
class When:
    """kind: "abs", "rel", "any". ns, and to_ns for a range or for the end of a call that blocks (end True)."""

    kind: str
    ns: int = 0
    to_ns: int | None = None
    end: bool = False


@dataclass(slots=True)
class Tcp:
    flags: str
    seq: int
    end: int
    length: int
    ack: int | None = None
    win: int | None = None
    urg: int | None = None
    options: list[tuple] | None = field(default_factory=list)  # None: not looked at
    ecn: str | None = None
    ttl: int | None = None


@dataclass(slots=True)
class Icmp:
    kind: str
    code: str
    mtu: int
    seq: int | None
    length: int


@dataclass(slots=True)
class Packet:
    inbound: bool
    body: Tcp | Icmp


@dataclass(slots=True)
class Call:
    name: str
    args: list
    result: object
    errno: str | None


@dataclass(slots=True)
class Shell:
    text: str


@dataclass(slots=True)
class Code:
    text: str


@dataclass(slots=True)
class Event:
    line: int
    text: str
    when: When
    what: Packet | Call | Shell | Code


@dataclass(slots=True)
class Script:
    options: dict[str, str]
    events: list[Event]


SKIP = re.compile(r"""
    (?P<string>"(?:\\.|[^"\\\n])*") | (?P<shell>`(?:\\.|[^`\\])*`) | (?P<code>%\{.*?\}%) |
    (?P<comment>//[^\n]*|/\*.*?\*/|^[ \t]*\#[^\n]*) """, re.X | re.S | re.M)
MARK = re.compile(r"\x01(\d+)\x01")
NUMBER = r"-?\d*\.?\d+"
TIME = re.compile(rf"\s*(?:(?P<any>\*)|(?P<plus>\+)?(?P<t>{NUMBER})(?:\s*~\s*\+?(?P<range>{NUMBER})|"
                  rf"\s*\.\.\.\s*(?P<end>{NUMBER}))?)"
                  r"(?=\s|[<>%\x01])")
TCP = re.compile(r"(?P<flags>[SFRPWEUAC.\-0-9]+)\s+(?P<seq>\d+):(?P<end>\d+)\((?P<len>\d+)\)"
                 r"(?:\s+ack\s+(?P<ack>\d+))?(?:\s+win\s+(?P<win>\d+))?(?:\s+urg\s+(?P<urg>\d+))?"
                 r"\s*(?:<(?P<opts>[^>]*)>)?\s*$")
ICMP = re.compile(r"(?:\[(?P<a>\d+):\d+\((?P<alen>\d+)\)\]\s*)?icmp\s+(?P<kind>\w+)(?:\s+(?P<code>(?!mtu\b)[a-z_]\w*))?"
                  r"(?:\s+mtu\s+(?P<mtu>\d+))?(?:\s+\[(?P<b>\d+):\d+\((?P<blen>\d+)\)\])?\s*$")
CALL = re.compile(r"(?P<name>[a-z_]\w*)\s*\((?P<args>.*)\)\s*=\s*(?P<result>-?\d+|0x[0-9a-fA-F]+|\.\.\.|[A-Z]\w*)"
                  r"(?:\s+(?P<errno>E[A-Z0-9]+))?\s*(?:\([^)]*\))?\s*$", re.S)
TOKEN = re.compile(r'\s*(?:(?P<dots>\.\.\.)|(?P<hex>0x[0-9a-fA-F]+)|(?P<num>-?\d+)|(?P<str>"(?:\\.|[^"\\])*")|'
                   r"(?P<word>[A-Za-z_]\w*)|(?P<ch>[\[\]{}()=,|.:+<>&-]))")


def seconds(text: str) -> int:
    return round(float(text) * NS)


# ---- values --------------------------------------------------------------------------------------------------------


class Values:
    """Arguments of a call: numbers, words, strings, "...", [lists], {field=value, ...}, a | b."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while text[at:].strip():
            m = TOKEN.match(text, at)
            if m is None:
                raise SyntaxTrouble(f"argument {text[at:at + 30]!r}")
            self.tokens.append((m.lastgroup or "", m.group(m.lastgroup or 0)))
            at = m.end()
        self.at = 0

    def peek(self, ch: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at] == ("ch", ch)

    def take(self, ch: str) -> bool:
        found = self.peek(ch)
        self.at += found
        return found

    def items(self, close: str | None) -> list:
        out: list = []
        while self.at < len(self.tokens) and not (close and self.peek(close)):
            out.append(self.value())
            self.take(",")
        if close and not self.take(close):
            raise SyntaxTrouble(f"no {close!r}")
        return out

    def value(self) -> object:
        v = self.one()
        while self.take("|"):
            v = ("|", v, self.one())
        if self.take("="):
            return ("=", v, self.value())
        return v

    def one(self) -> object:
        if self.at >= len(self.tokens):
            raise SyntaxTrouble("a value is missing")
        kind, text = self.tokens[self.at]
        self.at += 1
        if kind == "dots":
            return ANY
        if kind in ("num", "hex"):
            return int(text, 0) if kind == "hex" else int(text)
        if kind == "str":
            self.take_dots()
            return text[1:-1].encode("latin-1").decode("unicode_escape")
        if kind == "word":
            return ("call", text, self.items(")")) if self.take("(") else Word(text)
        if text == "[":
            return self.items("]")
        if text == "{":
            return {"items": self.items("}")}
        raise SyntaxTrouble(f"{text!r} is no value")

    def take_dots(self) -> None:
        if self.at < len(self.tokens) and self.tokens[self.at][0] == "dots":
            self.at += 1


def fields(value: object) -> dict[str, object]:
    """{a=1, b(2)=[...]}: name → value."""
    out: dict[str, object] = {}
    for item in value["items"] if isinstance(value, dict) else []:
        if isinstance(item, tuple) and item[0] == "=":
            out[item[1].name if isinstance(item[1], Word) else item[1][1]] = item[2]
    return out


# ---- packets -------------------------------------------------------------------------------------------------------


def option(text: str) -> tuple:
    words = text.split()
    name = words[0] if words else ""
    if name in ("nop", "eol", "sackOK") and len(words) == 1:
        return (name,)
    if name in ("mss", "wscale") and len(words) == 2:
        return (name, int(words[1]))
    if name == "TS" and words[1::2] == ["val", "ecr"] and len(words) == 5:
        return (name, int(words[2]), int(words[4]))
    if name == "sack":
        blocks = [tuple(int(n) for n in w.split(":")) for w in words[1:]]
        return (name, *blocks)
    if name in ("FO", "FOEXP") and len(words) <= 2:
        return (name, bytes.fromhex(words[1] if len(words) > 1 else ""))
    if name == "md5":
        return (name, bytes.fromhex(words[1]) if len(words) > 1 else bytes(16))
    if name == "ECN":  # RFC 9768 3.2.3: the first counter named says which of the two kinds it is
        return (name, words[1] if len(words) > 1 else "e0b", *(int(w) for w in words[2::2]))
    raise SyntaxTrouble(f"option {text!r}")


def options(text: str | None) -> list[tuple] | None:
    if text is None:
        return []
    if text.strip() == "...":
        return None
    return [option(part.strip()) for part in text.split(",") if part.strip()]


def packet(text: str) -> Packet:
    inbound, body = text[0] == "<", text[1:].strip()
    ecn = ttl = None
    m = re.match(r"\[(noecn|ect0|ect1|ect01|ce)\]\s*|\((?:ttl (\d+)|(?:tos|ipv4)[^)]*)\)\s*", body)
    if m:
        ecn, ttl, body = m[1], int(m[2]) if m[2] else None, body[m.end():]
    m = TCP.match(body)
    if m:
        num = {k: None if m[k] is None else int(m[k]) for k in ("seq", "end", "len", "ack", "win", "urg")}
        return Packet(inbound, Tcp(m["flags"], num["seq"] or 0, num["end"] or 0, num["len"] or 0, num["ack"],
                                   num["win"], num["urg"], options(m["opts"]), ecn, ttl))
    m = ICMP.match(body)
    if m:
        seq, length = (m["a"], m["alen"]) if m["a"] else (m["b"], m["blen"])
        return Packet(inbound, Icmp(m["kind"], m["code"] or "", int(m["mtu"] or 0), int(seq) if seq else None,
                                    int(length or 0)))
    raise SyntaxTrouble(f"packet {text!r}")


# ---- scripts -------------------------------------------------------------------------------------------------------


def number(text: str) -> object:
    if text == "...":
        return ANY
    return Word(text) if text[0].isalpha() else int(text, 0)


def call(text: str) -> Call:
    m = CALL.match(text)
    if m is None:
        raise SyntaxTrouble(f"call {text!r}")
    return Call(m["name"], Values(m["args"]).items(None), number(m["result"]), m["errno"])


def moment(m: re.Match) -> When:
    if m["any"]:
        return When("any")
    kind, t = "rel" if m["plus"] else "abs", seconds(m["t"])
    if m["range"]:
        return When(kind, t, seconds(m["range"]))
    if m["end"]:
        return When(kind, t, seconds(m["end"]), True)
    return When(kind, t)


class Reader:
    def __init__(self, text: str) -> None:
        self.kept: list[str] = []
        self.text = SKIP.sub(self.keep, text)

    def keep(self, m: re.Match) -> str:
        """Comments away, shell and code behind a mark; the lines stay what they were."""
        if m.lastgroup == "string":
            return m.group()
        if m.lastgroup == "comment":
            return "\n" * m.group().count("\n") or " "
        self.kept.append(m.group())
        return f"\x01{len(self.kept) - 1}\x01" + "\n" * m.group().count("\n")

    def what(self, text: str) -> Packet | Call | Shell | Code:
        m = MARK.fullmatch(text)
        if m:
            kept = self.kept[int(m[1])]
            return Shell(kept[1:-1]) if kept[0] == "`" else Code(kept[2:-2])
        return packet(text) if text[:1] in ("<", ">") else call(text)

    def statements(self) -> list[tuple[int, str]]:
        """Lines, joined while a bracket of a call is open."""
        out: list[tuple[int, str]] = []
        open_at = None
        for n, line in enumerate(self.text.split("\n"), 1):
            if not line.strip():
                continue
            if open_at is not None:
                out[-1] = (out[-1][0], out[-1][1] + " " + line.strip())
            else:
                out.append((n, line.strip()))
            bare = re.sub(r'"(?:\\.|[^"\\])*"', "", out[-1][1])
            body = re.sub(r"^.*?(?=[a-z_]+\()", "", bare)
            packet_line = re.match(r"(\S+\s+)?[<>]", out[-1][1])
            opened = body.count("(") + body.count("{") - body.count(")") - body.count("}")
            open_at = n if opened > 0 and not packet_line else None
            if open_at is None and re.search(r"\)\s*=?\s*$", out[-1][1]) and not packet_line and " = " not in bare:
                open_at = n  # the result is on the next line
        return out

    def read(self) -> Script:
        script = Script({}, [])
        for n, text in self.statements():
            try:
                if text.startswith("--"):
                    for word in text.split():
                        name, _, value = word.removeprefix("--").partition("=")
                        script.options[name] = value
                    continue
                m = TIME.match(text)
                when = moment(m) if m else When("rel")
                rest = text[m.end():].strip() if m else text
                if not m and not MARK.fullmatch(rest):
                    raise SyntaxTrouble("no time")
                script.events.append(Event(n, MARK.sub(lambda k: self.kept[int(k[1])], text), when, self.what(rest)))
            except SyntaxTrouble as e:
                raise SyntaxTrouble(f"line {n}: {e}") from None
        return script


def read(text: str, defines: dict[str, str] | None = None) -> Script:
    """Reads a script; defines are what -D gives packetdrill: names in it are replaced."""
    for name, value in (defines or {}).items():
        text = re.sub(rf"\b{re.escape(name)}\b", value, text)
    return Reader(text).read()
