/* steer/attach.c: XDP programs on interfaces: attach by a BPF link, find out what is there, take it off. */
#include "steer/steer.h"
#include "base/err.h"
#include "base/setup_error.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <string.h>
#include <unistd.h>

#define MODE_OFFLOADED 3u

int xw_xdp_attach(int prog_fd, uint32_t ifindex, int mode) {
    if (mode != XW_XDP_NATIVE && mode != XW_XDP_GENERIC)
        return XW_EINVAL;
    xw_setup_clear();
    struct bpf_link_create_opts opts = {
        .sz = sizeof opts, .flags = mode == XW_XDP_NATIVE ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE,
    };
    int fd = bpf_link_create(prog_fd, (int)ifindex, BPF_XDP, &opts);
    if (fd < 0)
        return xw_setup_failf(XW_ESYS, "attach the XDP program in %s mode", mode == XW_XDP_NATIVE ? "native" : "generic");
    return fd;
}

/* Name of a program; stays "" when it may not be read. */
static void prog_name(uint32_t id, char name[16]) {
    struct bpf_prog_info info = { 0 };
    uint32_t len = sizeof info;
    int fd = bpf_prog_get_fd_by_id(id);
    if (fd < 0)
        return;
    if (!bpf_obj_get_info_by_fd(fd, &info, &len))
        memcpy(name, info.name, sizeof info.name);
    close(fd);
}

/* The id of the link that holds program prog_id on ifindex; 0 if there is none. Links of every network namespace are listed
 * and interface numbers repeat among them: two links of the same program on the same number cannot be told apart, and are as good as
 * none: -1. */
static int64_t find_link(uint32_t ifindex, uint32_t prog_id) {
    int64_t found = 0;
    for (uint32_t id = 0; !bpf_link_get_next_id(id, &id);) {
        struct bpf_link_info info = { 0 };
        uint32_t len = sizeof info;
        int fd = bpf_link_get_fd_by_id(id);
        if (fd < 0)
            continue;
        if (!bpf_obj_get_info_by_fd(fd, &info, &len) && info.type == BPF_LINK_TYPE_XDP && info.xdp.ifindex == ifindex &&
            info.prog_id == prog_id)
            found = found ? -1 : (int64_t)id;
        close(fd);
        if (found < 0)
            break;
    }
    return found;
}

int xw_xdp_query(uint32_t ifindex, struct xw_xdp_info *out) {
    if (!ifindex || !out)
        return XW_EINVAL;
    xw_setup_clear();
    xw_steer_quiet(0);
    struct bpf_xdp_query_opts opts = { .sz = sizeof opts };
    if (bpf_xdp_query((int)ifindex, 0, &opts))
        return xw_setup_fail(XW_ESYS, "ask which XDP program is attached");
    memset(out, 0, sizeof *out);
    if (opts.drv_prog_id) {
        out->prog_id = opts.drv_prog_id;
        out->mode = XW_XDP_NATIVE;
    } else if (opts.skb_prog_id) {
        out->prog_id = opts.skb_prog_id;
        out->mode = XW_XDP_GENERIC;
    } else if (opts.hw_prog_id) {
        out->prog_id = opts.hw_prog_id;
        out->mode = MODE_OFFLOADED;
    } else {
        return 0;
    }
    prog_name(out->prog_id, out->name);
    int64_t link = find_link(ifindex, out->prog_id);
    if (link < 0)
        return xw_setup_fail_text(XW_ESYS, "find the link of the attached XDP program",
                                  "it is on interfaces of this number in several network namespaces");
    out->link_id = (uint32_t)link;
    return 1;
}

/* Its holder keeps the link, but without the interface. */
static int detach_link(uint32_t link_id) {
    int fd = bpf_link_get_fd_by_id(link_id);
    if (fd < 0)
        return errno == ENOENT ? 0 : xw_setup_fail(XW_ESYS, "open the link of the other XDP program");
    int rc = bpf_link_detach(fd) ? xw_setup_fail(XW_ESYS, "detach the link of the other XDP program") : 0;
    close(fd);
    return rc;
}

int xw_xdp_detach(uint32_t ifindex, const struct xw_xdp_info *info) {
    static const uint32_t flags[] = { [XW_XDP_NATIVE] = XDP_FLAGS_DRV_MODE, [XW_XDP_GENERIC] = XDP_FLAGS_SKB_MODE,
                                      [MODE_OFFLOADED] = XDP_FLAGS_HW_MODE };
    struct xw_xdp_info now;
    if (!info || !info->prog_id || info->mode < XW_XDP_NATIVE || info->mode > MODE_OFFLOADED)
        return XW_EINVAL;
    int there = xw_xdp_query(ifindex, &now);
    if (there < 0)
        return there;
    if (!there || now.prog_id != info->prog_id || now.link_id != info->link_id)
        return XW_ESTATE;
    if (info->link_id)
        return detach_link(info->link_id);
    int fd = bpf_prog_get_fd_by_id(info->prog_id);
    if (fd < 0)
        return xw_setup_fail(XW_ESYS, "open the other XDP program");
    /* the kernel compares: what somebody attached in between stays */
    struct bpf_xdp_attach_opts opts = { .sz = sizeof opts, .old_prog_fd = fd };
    int rc = bpf_xdp_detach((int)ifindex, flags[info->mode], &opts) ?
                 xw_setup_fail(XW_ESYS, "detach the other XDP program") : 0;
    close(fd);
    return rc;
}
