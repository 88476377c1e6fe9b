"""The project's own style rules, which no general linter knows. Prints `file:line: rule: text`; exit code 1 if any.

Rules: file-length, function-length, line-length, include, import, c-test, mutable-global, unfinished, machine-path.
The C side is read by a small scanner (comments, strings and preprocessor lines blanked, braces counted), which is
enough for this code; it is no parser.
"""
from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

FILE_LINES = 700
FUNCTION_LINES = 70
COLUMNS = 140  # of C; ruff holds Python to 120

# Which of our headers a file in csrc/<key>/ may include: a folder, or one header of it. Mirrors docs/architecture.md.
# The API header says what some layers implement, so it may be included where that is the case.
API = ("xw.h", "xw_api.h")
INCLUDES: dict[str, tuple[str, ...]] = {
    "base": ("base/", *API),
    "mem": ("mem/", "base/"),
    "wire": ("wire/", "base/"),
    "dev": ("dev/", "mem/", "base/", "shared.h", *API),
    "net": ("net/", "wire/", "dev/dev.h", "mem/", "base/", *API),
    "tcp": ("tcp/", "net/", "wire/", "dev/dev.h", "mem/", "base/", *API),
    "stack": ("stack/", "tcp/", "net/", "wire/", "mem/", "base/", "xw_stack.h", *API),
    "bs": ("bs/", "mem/", "base/", *API),
    "tls": ("tls/", "bs/bs.h", "bs/marks.h", "mem/", "base/", *API),
    "ws": ("ws/", "bs/bs.h", "mem/", "base/", *API),
    "shm": ("shm/", "mem/", "base/"),
    "steer": ("steer/", "base/", "shared.h", *API),
    "python": ("python/", "base/err.h", *API),
}
# A file that may do more than its folder.
INCLUDES_OF_FILE: dict[str, tuple[str, ...]] = {
    "csrc/bs/bs_tcp.c": ("tcp/",),
    "csrc/bs/bs_tcp.h": ("tcp/",),
}

# Which packages a module may not import; the longest matching prefix of the importer counts.
FORBIDDEN_IMPORTS: dict[str, tuple[str, ...]] = {
    "xdpws": ("scapy", "websockets", "hypothesis", "pytest", "xdpws._core", "bcc", "pyroute2", "click", "rich",
              "xdpws.cli"),
    "xdpws._ffi": ("xdpws.stack", "xdpws.control", "xdpws.cli", "pyroute2", "bcc", "OpenSSL"),
    "xdpws.stack": ("xdpws._core", "xdpws.cli", "pyroute2", "bcc", "OpenSSL", "click", "rich", "scapy", "websockets"),
    "xdpws.control": ("xdpws._core", "xdpws.cli", "xdpws.stack", "OpenSSL", "click", "rich", "scapy", "websockets"),
    "xdpws.cli": ("xdpws._core", "scapy", "websockets", "hypothesis", "pytest", "pyroute2", "bcc"),
}
LEAVES = ("xdpws.errors", "xdpws.http", "xdpws.uri", "xdpws.config", "xdpws.timestamps", "xdpws.messages")
LEAF_FORBIDDEN = ("xdpws.stack", "xdpws.control", "xdpws.cli", "xdpws._ffi", *FORBIDDEN_IMPORTS["xdpws"])

TESTED_BY_PYTHON = frozenset({"python"})  # an extension module: tests/unit/test_hot.py

# Per-thread text of the last failure, as xw_setup_error and xw_steer_log promise; CPython's definition of a module.
GLOBALS_ALLOWED = frozenset({"csrc/base/setup_error.c", "csrc/steer/steer.c", "csrc/python/module.c"})

SKIP_DIRS = frozenset({".git", ".venv", "build", "dist", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache",
                       ".hypothesis", "_bpf"})
GENERATED = frozenset({"xdpws/_enums.py", "xdpws/_core.c"})
TEXT_SUFFIXES = frozenset({".c", ".h", ".py", ".pyi", ".md", ".toml", ".mk", ".sh", ".def", ".txt", ".yml", ".yaml",
                           ".tsv", ".json", ".pkt", ""})
# Written in pieces so that this file does not offend itself.
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
MACHINE_PATH = re.compile(r"(?<![\w.])/wo" + r"rk/")


@dataclass(frozen=True, slots=True)
class Offence:
    """One breach of a rule; `path` is relative to the project's root."""

    path: str
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


# ---- any text ---------------------------------------------------------------------------------------------------


def check_text(path: str, text: str) -> Iterator[Offence]:
    """Rules for every text file."""
    for number, line in enumerate(text.splitlines(), 1):
        found = UNFINISHED.search(line)
        if found:
            yield Offence(path, number, "unfinished", f"{found.group()} in committed text")
        if MACHINE_PATH.search(line):
            yield Offence(path, number, "machine-path", "names a folder of one machine")


def check_length(path: str, text: str) -> Iterator[Offence]:
    """Length of a source file."""
    count = len(text.splitlines())
    if count > FILE_LINES:
        yield Offence(path, count, "file-length", f"{count} lines, at most {FILE_LINES}")


# ---- C ----------------------------------------------------------------------------------------------------------

_C_NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
_C_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
_C_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.MULTILINE)


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match.group())


def blank_c(text: str) -> str:
    """The code alone: comments, literals and preprocessor lines are spaces, every line keeps its number."""
    return _C_DIRECTIVE.sub(_blank, _C_NOISE.sub(_blank, text))


@dataclass(frozen=True, slots=True)
class CItem:
    """A statement or definition. `depth` 0 is file scope; `lines` is (first, last); `body` says that braces follow."""

    depth: int
    head: str
    lines: tuple[int, int]
    body: bool


def scan_c(text: str) -> list[CItem]:
    """The functions and declarations of a file in order of their end; initialisers count as part of a declaration."""
    code = blank_c(text)
    items: list[CItem] = []
    stack: list[tuple[str, int]] = []
    head, start, line = "", 0, 1
    for char in code:
        if char == "\n":
            line += 1
        if not head.strip() and not char.isspace():
            head, start = "", line
        if char == "{" and not _is_value(head):
            stack.append((head.strip(), start))
            head = ""
        elif char == "}" and stack and head.count("{") == head.count("}"):
            opened, first = stack.pop()
            is_type = re.match(r"(static |extern |const |typedef )*(struct|union|enum)\b", opened) and ")" not in opened
            if is_type:
                head, start = opened + " {} ", first  # a type's body: what follows may declare a variable
            else:
                items.append(CItem(len(stack), opened, (first, line), True))
                head = ""
        elif char == ";" and head.count("{") == head.count("}"):
            items.append(CItem(len(stack), head.strip(), (start, line), False))
            head = ""
        else:
            head += char
    return items


def _is_value(head: str) -> bool:
    """Whether a brace after this text begins (or lies within) an initialiser or compound literal and not a body."""
    if head.count("{") != head.count("}"):
        return True
    flat, count = head, 1
    while count:
        flat, count = re.subn(r"\([^()]*\)", " ", flat)
    return "(" in flat or "=" in flat or flat.split()[:1] == ["return"]


def _mutable(head: str) -> bool:
    """Whether a declaration at file scope (or one with `static` in a function) makes a variable that can change."""
    declaration = re.sub(r"\{.*\}", "{}", head.split("=")[0], flags=re.DOTALL)
    declaration = re.sub(r"__attribute__\s*\(\(.*?\)\)|_Alignas\s*\([^()]*\)|\[[^\]]*\]", " ", declaration)
    words = declaration.split()
    if not words or words[0] in ("typedef", "extern", "_Static_assert", "return", "XW_STATIC_ASSERT"):
        return False
    if "(" in declaration:
        pointer = re.match(r"[^(]*\(\s*\*([^()]*)\)", declaration)  # a function pointer; otherwise a prototype
        return pointer is not None and "const" not in pointer.group(1).split()
    if "*" in declaration:
        return "const" not in declaration.rsplit("*", 1)[1].split()
    if words[-1] == "{}" or (words[0] in ("struct", "union", "enum") and len(words) == 2):
        return False  # a type alone
    return "const" not in words and len(words) > 1


def check_c(path: str, text: str) -> Iterator[Offence]:
    """Rules for .c and .h files."""
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > COLUMNS:
            yield Offence(path, number, "line-length", f"{len(line)} columns, at most {COLUMNS}")
    for item in scan_c(text):
        first, last = item.lines
        if item.body and item.depth == 0 and ")" in item.head and last - first + 1 > FUNCTION_LINES:
            name = next(n for n in re.findall(r"(\w+)\s*\(", item.head) if n != "__attribute__")
            yield Offence(path, first, "function-length", f"{name}: {last - first + 1} lines, "
                          f"at most {FUNCTION_LINES}")
        if path.startswith("csrc/") and path not in GLOBALS_ALLOWED and not item.body:
            scope = item.depth == 0 or item.head.startswith("static ")
            if scope and _mutable(item.head):
                yield Offence(path, first, "mutable-global", " ".join(item.head.split())[:60])
    yield from check_includes(path, text)


def check_includes(path: str, text: str) -> Iterator[Offence]:
    """Which layer may see which (csrc/<layer>/ only; engine/ and the API header see all)."""
    parts = path.split("/")
    if parts[0] != "csrc" or len(parts) < 3 or parts[1] not in INCLUDES:
        return
    allowed = INCLUDES[parts[1]] + INCLUDES_OF_FILE.get(path, ())
    code = re.sub(r"/\*.*?\*/", _blank, text, flags=re.DOTALL)
    for match in _C_INCLUDE.finditer(code):
        name = match.group(1)
        own = "/" not in name and name not in (*API, "shared.h")  # a header or table of the same folder
        fits = any(name.startswith(a) if a.endswith("/") else name == a for a in allowed)
        if not own and not fits:
            yield Offence(path, code.count("\n", 0, match.start() + 1) + 1, "include",
                          f"{parts[1]}/ may not include {name}")


def check_c_tests(sources: dict[str, str], headers: Iterable[str], tests: dict[str, str]) -> Iterator[Offence]:
    """Every csrc/<layer>/<file>.c with a function has a test program that includes its header.

    A file without a header of its own goes by the longest header name that it begins with (simd_avx2.c: simd.h), or
    by any header of its folder.
    """
    known = set(headers)
    included = {name for text in tests.values() for name in _C_INCLUDE.findall(text)}
    for path, text in sorted(sources.items()):
        parts = path.split("/")
        if len(parts) != 3 or parts[1] in TESTED_BY_PYTHON:
            continue
        if not any(i.body and i.depth == 0 and ")" in i.head for i in scan_c(text)):
            continue
        layer, stem = parts[1], parts[2].removesuffix(".c")
        folder = sorted((h for h in known if h.startswith(f"{layer}/")), key=len, reverse=True)
        own = [h for h in folder if stem.startswith(h.removeprefix(f"{layer}/").removesuffix(".h"))][:1]
        wanted = own or folder
        if not included.intersection(wanted):
            yield Offence(path, 1, "c-test", f"no tests/c/test_*.c includes {' or '.join(wanted[:3]) or 'its header'}")


# ---- Python -----------------------------------------------------------------------------------------------------


def check_python(path: str, text: str) -> Iterator[Offence]:
    """Rules for .py files."""
    tree = ast.parse(text, path)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            count = (node.end_lineno or node.lineno) - node.lineno + 1
            if count > FUNCTION_LINES:
                yield Offence(path, node.lineno, "function-length", f"{node.name}: {count} lines, "
                              f"at most {FUNCTION_LINES}")
    if path.startswith("xdpws/"):
        yield from _check_imports(path, tree)


def _check_imports(path: str, tree: ast.AST) -> Iterator[Offence]:
    module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    forbidden = forbidden_for(module)
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = module.rsplit(".", node.level)[0] + "." if node.level else ""
            names = [f"{base}{node.module or ''}".rstrip(".")]
            names += [f"{names[0]}.{alias.name}" for alias in node.names]
        for name in names:
            hit = next((f for f in forbidden if name == f or name.startswith(f + ".")), None)
            if hit is not None and module != hit and not module.startswith(hit + "."):
                yield Offence(path, getattr(node, "lineno", 1), "import", f"{module} may not import {hit}")
                break


def forbidden_for(module: str) -> tuple[str, ...]:
    """What a module may not import."""
    if module in LEAVES:
        return LEAF_FORBIDDEN
    if module == "xdpws._ffi":
        return FORBIDDEN_IMPORTS["xdpws._ffi"]
    fits = [p for p in FORBIDDEN_IMPORTS if module == p or module.startswith(p + ".")]
    return FORBIDDEN_IMPORTS[max(fits, key=len)] if fits else ()


# ---- the tree ---------------------------------------------------------------------------------------------------


def text_files(root: Path) -> Iterator[tuple[str, str]]:
    """(path, content) of every text file of the project, in order."""
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if any(part in SKIP_DIRS or part.endswith(".egg-info") for part in relative.parts):
            continue
        name = relative.as_posix()
        if path.suffix in TEXT_SUFFIXES and path.is_file() and name not in GENERATED:
            try:
                yield name, path.read_text()
            except UnicodeDecodeError:
                continue


def check_tree(root: Path) -> list[Offence]:
    """Every offence of the project at `root`."""
    offences: list[Offence] = []
    files = dict(text_files(root))
    for name, text in files.items():
        offences += check_text(name, text)
        if name.endswith((".c", ".h", ".py", ".pyi")):
            offences += check_length(name, text)
        if name.endswith((".c", ".h")):
            offences += check_c(name, text)
        if name.endswith(".py"):
            offences += check_python(name, text)
    sources = {n: t for n, t in files.items() if n.startswith("csrc/") and n.endswith(".c")}
    headers = [n.removeprefix("csrc/") for n in files if n.startswith("csrc/") and n.endswith(".h")]
    tests = {n: t for n, t in files.items() if n.startswith("tests/c/test_") and n.endswith(".c")}
    offences += check_c_tests(sources, headers, tests)
    return sorted(offences, key=lambda o: (o.path, o.line, o.rule))


def main() -> int:
    """Checks the project that this file belongs to."""
    offences = check_tree(Path(__file__).resolve().parent.parent)
    for offence in offences:
        print(offence)
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
