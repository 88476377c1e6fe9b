"""`xdpws replay FILE`: a capture through the real path, from the packet seam up, without a NIC."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from xdpws.errors import SetupError
from xdpws.replay.capture import read_capture
from xdpws.replay.flows import flows
from xdpws.replay.run import Data, Replay, Result
from xdpws.replay.secrets import KeyLog


def _shown(payload: bytes, width: int) -> str:
    """One line of a payload; binary ones in hex."""
    try:
        line = payload.decode()
        line = line if line.isprintable() else repr(line)[1:-1]
    except UnicodeDecodeError:
        line = payload[:width].hex()
    return line if len(line) <= width else line[:width - 1] + "…"


def as_json(result: Result) -> dict[str, Any]:
    """One connection for --json; times in ns."""
    stages = result.stages.stages if result.stages else {}
    return {
        "connection": result.name, "kind": result.kind, "frames": result.frames, "frame_bytes": result.octets,
        "messages": result.messages, "payload_bytes": result.payload, "rx_sha256": result.rx_sha256,
        "ns_per_frame": round(result.cost_ns / result.frames, 1) if result.frames else None,
        "ns_per_message": round(result.cost_ns / result.messages, 1) if result.messages else None,
        "tls": {"version": result.info.get("tls_version", 0), "cipher": result.info.get("cipher", ""),
                "library": result.info.get("tls_library", "")},
        "stages_ns": {name: histogram.summary() for name, histogram in stages.items()},
        "drops": result.drops, "closed": result.closed, "trouble": result.trouble}


def _cost(result: Result) -> str:
    if not result.frames:
        return ""
    message = f", {result.cost_ns / result.messages:,.0f} a message" if result.messages else ""
    return f"{result.cost_ns / result.frames:,.0f} ns a frame{message}"


def summary(result: Result) -> Table:
    """One connection for people."""
    table = Table(title=f"{result.name}  {result.kind}", title_justify="left", show_header=False)
    info = result.info
    rows = {
        "not replayed" if not result.kind else "failed": result.trouble,
        "TLS": f"{int(info['tls_version']) / 10} {info['cipher']} ({info['tls_library']})" if info.get("tls_version")
               else "",
        "frames": f"{result.frames:,} of the server, {result.octets:,} bytes" if result.frames else "",
        "messages" if result.kind in ("ws", "wss") else "reads":
            f"{result.messages:,}, {result.payload:,} bytes" if result.kind else "",
        "SHA-256": result.rx_sha256 if result.messages else "",
        "cost": _cost(result),
        "drops": ", ".join(f"{name} {count}" for name, count in result.drops.items()),
        "closed": result.closed if result.closed != result.trouble else ""}
    for name, value in rows.items():
        if value:
            table.add_row(name, value)
    for name, histogram in (result.stages.stages if result.stages else {}).items():
        s = histogram.summary()
        table.add_row(name.replace("_", " "), f"p50 {s['p50']:,} ns, p99 {s['p99']:,}, max {s['max']:,}")
    return table


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@click.option("--keylog", type=click.Path(dir_okay=False, exists=True, path_type=Path),
              help="TLS secrets (SSLKEYLOGFILE); a pcapng file may also bring them itself.")
@click.option("--speed", type=click.Choice(["max", "capture"]), default="max", show_default=True,
              help="As fast as possible, or in the capture's own time.")
@click.option("--checksums", type=click.Choice(["rebuild", "verify"]), default="rebuild", show_default=True,
              help="Captures of a sending host have checksums that its card would have filled in.")
@click.option("--quiet", is_flag=True, help="Do not print the messages.")
@click.option("--width", type=click.IntRange(min=20), default=160, show_default=True, help="Of a printed message.")
@click.option("--json", "json_out", is_flag=True, help="One object on stdout; messages go nowhere.")
def replay(file: Path, keylog: Path | None, speed: str, checksums: str, quiet: bool, width: int,
           json_out: bool) -> int:
    """Play the TCP connections of a pcap or pcapng FILE through xdpws: IP, TCP, TLS, WebSocket; no NIC, no peer.

    Each connection whose SYN is in the capture is replayed with its addresses, ports and sequence numbers; what the
    server sent is received, decrypted with the key log, and printed, with what it cost. `xdpws record` and
    `xdpws attach --record` write such captures, tcpdump does for the rest of a host.

    Exit code: 0 everything was replayed, 1 a connection was not or failed, 2 wrong usage.
    """
    capture = read_capture(file)
    found, others = flows(capture.frames)
    if not found:
        raise SetupError(f"replay {file}", f"none of its {len(capture.frames)} frames belongs to a TCP connection over "
                         "IPv4 whose beginning (SYN and answer) was captured",
                         "begin the capture before the connection")
    try:
        keys = KeyLog(capture.secrets + "\n" + (keylog.read_text() if keylog else ""))
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"read {keylog}", str(error)) from None
    begin = capture.frames[0].ns

    def take(data: Data) -> None:
        if not quiet and not json_out:
            line = _shown(data.payload, width)
            click.echo(f"{(data.ns - begin) / 1e9:12.6f} {data.kind:6} {len(data.payload):6} {line}")

    results = [Replay(flow, keys, take, speed=speed, checksums=checksums == "rebuild").run() for flow in found]
    if json_out:
        click.echo(json.dumps({"file": str(file), "frames": len(capture.frames), "cut": capture.cut,
                               "other_frames": others, "connections": [as_json(each) for each in results]}))
    else:
        console = Console(highlight=False)
        for each in results:
            console.print(summary(each))
        if others or capture.cut:
            console.print(f"{others} frames of no such connection, {capture.cut} cut short")
    return 1 if any(each.trouble for each in results) else 0
