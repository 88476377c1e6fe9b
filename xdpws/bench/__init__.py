"""The instrument: a precise sender, clients over it interleaved, ratios within one run. `xdpws bench` is its face.

It needs the source tree (tools/bench, vm/topo.sh), two cores and root. Modules: scenario (what is sent), clients (who
receives), peers (other libraries, in an environment of their own), runner (processes, topology), figures (percentiles
and ratios), page (the HTML report).
"""
