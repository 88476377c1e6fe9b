"""Servers that xdpws is tested against: the simulator as a process, nginx, the websockets library, and bad ones.

`process` starts any of them as a process, also inside a network namespace. All print one JSON line when ready.
"""
