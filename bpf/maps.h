/* bpf/maps.h: the four maps and the functions that touch them.
 *
 * flows     hash, struct xw_flow_key → struct xw_flow_val: the exact 4-tuples that are ours
 * xsks      XSKMAP, receive queue → AF_XDP socket
 * config    array of one struct xw_steer_config
 * counters  per-CPU array of __u64, index enum xw_steer_counter
 *
 * Everything that libbpf and BCC write differently is here, as one tiny function each, twice: BCC rewrites map accesses in
 * the source and sees them neither in macros nor in included files. */
#ifndef XW_BPF_MAPS_H
#define XW_BPF_MAPS_H
#include "shared.h"

#define XW_FN static inline __attribute__((always_inline))

#ifdef XW_BCC

BPF_HASH(flows, struct xw_flow_key, struct xw_flow_val, XW_STEER_MAX_FLOWS);
BPF_XSKMAP(xsks, XW_STEER_MAX_QUEUES);
BPF_ARRAY(config, struct xw_steer_config, 1);
BPF_PERCPU_ARRAY(counters, __u64, XW_STEER_COUNTERS);

XW_FN struct xw_flow_val *xw_map_flow(struct xw_flow_key *key) {
    return flows.lookup(key);
}

XW_FN struct xw_steer_config *xw_map_config(void) {
    int zero = 0;
    return config.lookup(&zero);
}

XW_FN __u64 *xw_map_counter(__u32 index) {
    int i = index;
    return counters.lookup(&i);
}

/* XDP_REDIRECT, or XDP_PASS when no socket is there (the flags' low bits are the verdict for that). */
XW_FN int xw_map_redirect(__u32 queue) {
    return xsks.redirect_map(queue, XDP_PASS);
}

#else

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, XW_STEER_MAX_FLOWS);
    __type(key, struct xw_flow_key);
    __type(value, struct xw_flow_val);
} flows SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, XW_STEER_MAX_QUEUES);
    __type(key, __u32);
    __type(value, __u32);
} xsks SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct xw_steer_config);
} config SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, XW_STEER_COUNTERS);
    __type(key, __u32);
    __type(value, __u64);
} counters SEC(".maps");

XW_FN struct xw_flow_val *xw_map_flow(struct xw_flow_key *key) {
    return bpf_map_lookup_elem(&flows, key);
}

XW_FN struct xw_steer_config *xw_map_config(void) {
    __u32 zero = 0;
    return bpf_map_lookup_elem(&config, &zero);
}

XW_FN __u64 *xw_map_counter(__u32 index) {
    return bpf_map_lookup_elem(&counters, &index);
}

/* XDP_REDIRECT, or XDP_PASS when no socket is there (the flags' low bits are the verdict for that). */
XW_FN int xw_map_redirect(__u32 queue) {
    return bpf_redirect_map(&xsks, queue, XDP_PASS);
}

#endif
#endif
