#!/bin/bash
# Two network namespaces joined by a veth pair, for the demo, the tests and the benchmarks. Run as root.
#
#     P-srv [P-v0 SUBNET.1/24] ==== [P-v1 SUBNET.2/24] P-cli
#
# The interfaces are made inside the namespaces and never appear in the host's own; nothing else is touched. Offloads are
# off on both ends: with them on, veth hands over super-frames and packets without checksums, which no wire does.
set -euo pipefail

prefix=${XW_TOPO_PREFIX:-xw}
subnet=${XW_TOPO_SUBNET:-10.199.0}
queues=${XW_TOPO_QUEUES:-1}
mtu=${XW_TOPO_MTU:-1500}
offloads=off

usage() {
    cat <<'USAGE'
usage: topo.sh [OPTION…] up            make the topology (does nothing when it is there already) and print it
       topo.sh [OPTION…] down          remove it
       topo.sh [OPTION…] exec srv|cli COMMAND…   run a command in one of the namespaces
       topo.sh [OPTION…] show          print it; status 1 when it is not (wholly) there
options, also between the verb and its arguments:
  --prefix P     names: P-srv, P-cli, P-v0, P-v1; begins with xw, at most 12 of [a-z0-9]    (XW_TOPO_PREFIX, xw)
  --subnet A.B.C the /24: server .1, client .2                                              (XW_TOPO_SUBNET, 10.199.0)
  --queues N     receive and transmit queues of each end                                    (XW_TOPO_QUEUES, 1)
  --mtu N        of both ends                                                               (XW_TOPO_MTU, 1500)
  --offloads     leave the kernel's offloads as they are (to see what they break)
USAGE
}

die() {
    echo "topo.sh: $*" >&2
    exit 2
}

verb=
while [ $# -gt 0 ]; do
    case $1 in
    --prefix | --subnet | --queues | --mtu)
        [ $# -ge 2 ] || die "$1 needs a value"
        declare "${1#--}=$2"
        shift 2
        ;;
    --offloads) offloads=keep && shift ;;
    -h | --help) usage && exit 0 ;;
    up | down | exec | show)
        [ -z "$verb" ] || break
        verb=$1 && shift
        ;;
    *) break ;;
    esac
done
[ -n "$verb" ] || { usage >&2 && exit 2; }
[[ $prefix =~ ^xw[a-z0-9]{0,10}$ ]] || die "prefix '$prefix' must be xw and at most 10 of [a-z0-9]"
[[ $subnet =~ ^[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}$ ]] || die "subnet '$subnet' is not of the form A.B.C"
[[ $queues =~ ^[1-9][0-9]?$ ]] || die "queues '$queues' is not a number from 1 to 99"
[[ $mtu =~ ^[0-9]{2,5}$ ]] || die "mtu '$mtu' is not a number"

srv_ns=$prefix-srv cli_ns=$prefix-cli srv_if=$prefix-v0 cli_if=$prefix-v1

need() {
    [ "$(id -u)" = 0 ] || die "must be root: network namespaces cannot be made without"
    local tool
    for tool in ip ethtool; do
        command -v "$tool" >/dev/null || die "$tool is missing: apt-get install iproute2 ethtool"
    done
}

# The namespace's /etc/resolv.conf and the like do not matter here: ip -n and ip netns exec are enough.
in_ns() { ip netns exec "$@"; }

has_ns() { [ -e "/run/netns/$1" ] && ip -n "$1" link show lo >/dev/null 2>&1; }

end_ok() { # NS IF ADDRESS: the interface is there as asked for
    local ns=$1 dev=$2 address=$3 link
    has_ns "$ns" || return 1
    link=$(ip -n "$ns" -d -o link show dev "$dev" 2>/dev/null) || return 1
    [[ $link == *"<"*UP*">"* && $link == *" mtu $mtu "* && $link == *" numrxqueues $queues "* ]] || return 1
    [[ $(ip -n "$ns" -o -4 address show dev "$dev") == *" $address/24 "* ]] || return 1
    [ $offloads = keep ] || [[ $(in_ns "$ns" ethtool -k "$dev") == *"tx-checksumming: off"* ]]
}

is_up() { end_ok "$srv_ns" "$srv_if" "$subnet.1" && end_ok "$cli_ns" "$cli_if" "$subnet.2"; }

show() {
    local ns dev address
    while read -r ns dev address; do
        printf 'netns=%s interface=%s address=%s/24 mac=%s mtu=%s queues=%s offloads=%s\n' "$ns" "$dev" "$address" \
            "$(ip -n "$ns" -o link show dev "$dev" | sed 's/.*link\/ether \([0-9a-f:]*\) .*/\1/')" "$mtu" "$queues" "$offloads"
    done <<<"$srv_ns $srv_if $subnet.1"$'\n'"$cli_ns $cli_if $subnet.2"
}

down() {
    local ns dev
    while read -r ns dev; do
        [ -e "/run/netns/$ns" ] || continue
        ip -n "$ns" link delete dev "$dev" 2>/dev/null || : # gone with its peer, or never made
        ip netns delete "$ns"
    done <<<"$srv_ns $srv_if"$'\n'"$cli_ns $cli_if"
}

set_up_end() { # NS IF ADDRESS
    local ns=$1 dev=$2 address=$3
    # no IPv6: its router solicitations and multicast reports would disturb exact packet counts
    in_ns "$ns" tee /proc/sys/net/ipv6/conf/{all,default}/disable_ipv6 <<<1 >/dev/null 2>&1 || : # a kernel without IPv6
    ip -n "$ns" link set dev lo up
    [ $offloads = keep ] || in_ns "$ns" ethtool -K "$dev" tso off gso off gro off tx off rx off >/dev/null
    ip -n "$ns" address add "$address/24" dev "$dev"
    ip -n "$ns" link set dev "$dev" mtu "$mtu" up
}

wait_carrier() { # NS IF
    for _ in {1..100}; do
        [[ $(ip -n "$1" -o link show dev "$2") == *LOWER_UP* ]] && return 0
        sleep 0.02
    done
    die "$2 did not come up"
}

up() {
    is_up && { show && return 0; }
    down
    trap down EXIT # whatever ends this halfway
    ip netns add "$srv_ns"
    ip netns add "$cli_ns"
    ip link add name "$srv_if" mtu "$mtu" numrxqueues "$queues" numtxqueues "$queues" netns "$srv_ns" type veth \
        peer name "$cli_if" mtu "$mtu" numrxqueues "$queues" numtxqueues "$queues" netns "$cli_ns"
    set_up_end "$srv_ns" "$srv_if" "$subnet.1"
    set_up_end "$cli_ns" "$cli_if" "$subnet.2"
    wait_carrier "$srv_ns" "$srv_if"
    wait_carrier "$cli_ns" "$cli_if"
    trap - EXIT
    show
}

need
case $verb in
up) up ;;
down) down ;;
show) is_up && show ;;
exec)
    case ${1:-} in
    srv) ns=$srv_ns ;;
    cli) ns=$cli_ns ;;
    *) die "exec wants srv or cli" ;;
    esac
    shift
    [ $# -gt 0 ] || die "exec wants a command"
    has_ns "$ns" || die "there is no namespace $ns: topo.sh --prefix $prefix up"
    exec ip netns exec "$ns" "$@"
    ;;
esac
