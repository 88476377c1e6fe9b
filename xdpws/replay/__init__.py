"""Captures through the real path without a NIC (docs/replay.md). `xdpws replay` is its face.

Modules: capture (files), flows (connections in them), secrets (key logs and hellos), run (one connection through an
engine).
"""
