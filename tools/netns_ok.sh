#!/bin/bash
# Whether the kernel still carries out changes to its network: it makes a namespace and removes it. Silent and 0 when it does
# (or may not, for want of privilege); one line and 1 when it does not answer within 10 s. A kernel that died with its network
# lock held (dmesg says Oops) answers never again, and whoever asks cannot be killed: tests ask here once instead.
command -v ip >/dev/null || exit 0
name=xwprobe$$
ip netns add "$name" </dev/null >/dev/null 2>&1 &
asked=$!
for _ in {1..100}; do
    if ! kill -0 "$asked" 2>/dev/null; then
        ip netns delete "$name" >/dev/null 2>&1
        exit 0
    fi
    sleep 0.1
done
disown "$asked"
echo "this kernel's network is stuck: making a namespace does not end (dmesg says why); only a reboot helps"
exit 1
