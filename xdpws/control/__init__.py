"""Control of the host: links, routes, neighbours, ports, BPF loading and the checks of `xdpws doctor`.

Deciding is apart from doing: functions that decide take facts and return a plan or a report; small runners gather
the facts and apply the plan. Nothing in here touches rings or connections.
"""
