/* steer/steer.c: the compiled object through libbpf; maps; test runs. */
#include "steer/steer.h"
#include "base/err.h"
#include "base/setup_error.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef BPF_F_XDP_DEV_BOUND_ONLY
#define BPF_F_XDP_DEV_BOUND_ONLY (1u << 6) /* since Linux 6.3; Debian 12's headers are older */
#endif

/* Room for libbpf's messages of one load, the verifier's report among them; what does not fit is cut off at the end. */
#define LOG_MAX 32768u

struct xw_steer {
    struct bpf_object *obj;
    struct bpf_program *prog;
};

static _Thread_local struct { size_t len; char text[LOG_MAX]; } load_log;

static int keep_message(enum libbpf_print_level level, const char *fmt, va_list ap) {
    size_t room = LOG_MAX - load_log.len;
    if (level == LIBBPF_DEBUG || room < 2)
        return 0;
    int n = vsnprintf(load_log.text + load_log.len, room, fmt, ap);
    if (n > 0)
        load_log.len += (size_t)n < room ? (size_t)n : room - 1;
    return 0;
}

void xw_steer_quiet(int fresh) {
    libbpf_set_print(keep_message);
    if (fresh) {
        load_log.len = 0;
        load_log.text[0] = 0;
    }
}

const char *xw_steer_log(void) { return load_log.text; }

/* The kernel keeps a device-bound program's address in a list of the device. A program that needs another page when the
 * verifier writes calls out in line is moved (bpf_prog_realloc), and the list is not told: when the device goes before the
 * program, the kernel follows the old address and dies with its network lock held. Seen on 6.18. So such a program is given
 * up at once, which is safe. The header before the instructions is between HEAD_MIN and HEAD_MAX bytes, by kernel. */
#define HEAD_MIN 48u
#define HEAD_MAX 256u
#define PAGE 4096u

bool xw_steer_moved(uint32_t insns_given, uint32_t insns_loaded) {
    uint32_t given = (insns_given * 8 + HEAD_MIN - 1) / PAGE, loaded = (insns_loaded * 8 + HEAD_MAX - 1) / PAGE;
    return loaded > given;
}

static int check_not_moved(const struct xw_steer *s) {
    struct bpf_prog_info info = { 0 };
    uint32_t len = sizeof info;
    if (bpf_obj_get_info_by_fd(bpf_program__fd(s->prog), &info, &len))
        return xw_setup_fail(XW_ESYS, "ask how long the steering program became");
    if (!xw_steer_moved((uint32_t)bpf_program__insn_cnt(s->prog), info.xlated_prog_len / 8))
        return XW_OK;
    return xw_setup_fail_text(XW_ESYS, "load the steering program bound to the interface",
                              "it grew by a page while it was verified; the kernel would follow its old address when the interface goes");
}

int xw_steer_load(const char *object_path, uint32_t dev_bound_ifindex, struct xw_steer **out) {
    int rc = XW_ESYS;
    if (!object_path || !out)
        return XW_EINVAL;
    xw_setup_clear();
    xw_steer_quiet(1);
    struct xw_steer *s = calloc(1, sizeof *s);
    if (!s)
        return xw_setup_fail(XW_ENOMEM, "allocate the steering handle");
    errno = 0;
    s->obj = bpf_object__open_file(object_path, NULL);
    if (!s->obj) {
        rc = xw_setup_failf(XW_ESYS, "open the BPF object %s", object_path);
        goto err_free;
    }
    s->prog = bpf_object__next_program(s->obj, NULL);
    if (!s->prog) {
        rc = xw_setup_fail_text(XW_EINVAL, "open the BPF object", "there is no program in it");
        goto err_close;
    }
    if (dev_bound_ifindex) {
        bpf_program__set_ifindex(s->prog, dev_bound_ifindex);
        bpf_program__set_flags(s->prog, bpf_program__flags(s->prog) | BPF_F_XDP_DEV_BOUND_ONLY);
    }
    if (bpf_object__load(s->obj)) {
        rc = xw_setup_fail(XW_ESYS, dev_bound_ifindex ? "load the steering program bound to the interface"
                                                      : "load the steering program");
        goto err_close;
    }
    if (dev_bound_ifindex && (rc = check_not_moved(s)))
        goto err_close;
    *out = s;
    return 0;
err_close:
    bpf_object__close(s->obj);
err_free:
    free(s);
    return rc;
}

int xw_steer_prog_fd(const struct xw_steer *s) { return bpf_program__fd(s->prog); }

int xw_steer_map_fd(const struct xw_steer *s, const char *name) {
    int fd = bpf_object__find_map_fd_by_name(s->obj, name);
    return fd < 0 ? -1 : fd;
}

void xw_steer_close(struct xw_steer *s) {
    if (!s)
        return;
    bpf_object__close(s->obj);
    free(s);
}

int xw_bpf_map_update(int map_fd, const void *key, const void *value) {
    xw_setup_clear();
    return bpf_map_update_elem(map_fd, key, value, BPF_ANY) ? xw_setup_fail(XW_ESYS, "write a BPF map") : 0;
}

int xw_bpf_map_delete(int map_fd, const void *key) {
    xw_setup_clear();
    return bpf_map_delete_elem(map_fd, key) ? xw_setup_fail(XW_ESYS, "delete from a BPF map") : 0;
}

int xw_bpf_map_lookup(int map_fd, const void *key, void *value) {
    xw_setup_clear();
    return bpf_map_lookup_elem(map_fd, key, value) ? xw_setup_fail(XW_ESYS, "read a BPF map") : 0;
}

int xw_bpf_cpu_count(void) {
    xw_steer_quiet(0);
    int n = libbpf_num_possible_cpus();
    return n > 0 ? n : xw_setup_fail(XW_ESYS, "count the possible CPUs");
}

int xw_bpf_test_run(int prog_fd, const void *pkt, uint32_t len, uint32_t meta_len, uint32_t ifindex, uint32_t rx_queue,
                    void *out, uint32_t *out_len, uint32_t *out_meta_len) {
    if (!pkt || !out || !out_len || !out_meta_len || meta_len > len)
        return XW_EINVAL;
    xw_setup_clear();
    /* the kernel's convention: data is the length of the metadata, and counts from its beginning */
    struct xdp_md in = { .data = meta_len, .data_end = len, .ingress_ifindex = ifindex, .rx_queue_index = rx_queue };
    struct xdp_md after = { 0 };
    struct bpf_test_run_opts opts = {
        .sz = sizeof opts, .data_in = pkt, .data_size_in = len, .data_out = out, .data_size_out = *out_len,
        .ctx_in = &in, .ctx_size_in = sizeof in, .ctx_out = &after, .ctx_size_out = sizeof after, .repeat = 1,
    };
    if (bpf_prog_test_run_opts(prog_fd, &opts))
        return xw_setup_fail(XW_ESYS, "run the program on a test packet");
    *out_len = opts.data_size_out;
    *out_meta_len = after.data;
    return (int)opts.retval;
}
