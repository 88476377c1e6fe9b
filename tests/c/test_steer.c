/* loading, maps and test runs of the steering program; the tables of packets are in tests/bpf */
#include "steer/steer.h"
#include "base/err.h"
#include "xt.h"
#include <errno.h>
#include <linux/types.h>
#include <shared.h>
#include <unistd.h>

#define OBJECT "xdpws/_bpf/steer.bpf.o"

XT_TEST(what_cannot_be_opened) {
    struct xw_steer *s = NULL;
    int e = 0;
    XT_EQ(xw_steer_load("/nonexistent.o", 0, &s), XW_ESYS);
    XT_EQ(strncmp(xw_setup_error(&e), "open the BPF object /nonexistent.o: No such file", 48), 0);
    XT_EQ(e, ENOENT);
    XT_TRUE(strstr(xw_steer_log(), "nonexistent"));
    XT_EQ(xw_steer_load("Makefile", 0, &s), XW_ESYS);
    XT_TRUE(strstr(xw_steer_log(), "Makefile"));
    XT_TRUE(!strstr(xw_steer_log(), "nonexistent"));
    XT_TRUE(s == NULL);
    XT_EQ(xw_steer_load(NULL, 0, &s), XW_EINVAL);
    xw_steer_close(NULL);
}

/* A page has 512 instructions less the header before the first, of 48 to 256 bytes. */
XT_TEST(a_program_that_needs_another_page_has_moved) {
    XT_TRUE(!xw_steer_moved(400, 480));
    XT_TRUE(xw_steer_moved(400, 481));  /* with a header of 256 bytes */
    XT_TRUE(!xw_steer_moved(507, 900)); /* two pages from the start, with any header */
    XT_TRUE(xw_steer_moved(703, 1034));
    XT_TRUE(!xw_steer_moved(1103, 1034));
}

XT_TEST(bad_arguments) {
    uint8_t pkt[64] = { 0 };
    uint32_t len = sizeof pkt, meta = 0;
    struct xw_xdp_info info = { 0 };
    XT_EQ(xw_xdp_attach(-1, 1, 9), XW_EINVAL);
    XT_EQ(xw_xdp_query(0, &info), XW_EINVAL);
    XT_EQ(xw_xdp_detach(1, &info), XW_EINVAL);
    XT_EQ(xw_bpf_test_run(-1, pkt, 16, 17, 0, 0, pkt, &len, &meta), XW_EINVAL);
    XT_EQ(xw_bpf_test_run(-1, NULL, 16, 0, 0, 0, pkt, &len, &meta), XW_EINVAL);
    XT_TRUE(xw_bpf_cpu_count() >= 1);
}

XT_TEST(descriptors_that_are_none) {
    uint32_t key = 0, value = 0;
    int e = 0;
    XT_EQ(xw_bpf_map_update(-1, &key, &value), XW_ESYS);
    xw_setup_error(&e);
    XT_EQ(e, EBADF);
    XT_EQ(xw_bpf_map_lookup(-1, &key, &value), XW_ESYS);
    XT_EQ(xw_bpf_map_delete(-1, &key), XW_ESYS);
    XT_EQ(xw_xdp_attach(-1, 1, XW_XDP_NATIVE), XW_ESYS);
    XT_STR(xw_setup_error(NULL), "attach the XDP program in native mode: Bad file descriptor (errno 9)");
}

/* What needs CAP_BPF, as root: one TCP segment passes through, is counted, and is redirected never without a socket. */
XT_TEST(load_and_run) {
    struct xw_steer *s = NULL;
    if (geteuid() != 0 || access(OBJECT, R_OK)) {
        fprintf(stderr, "    skipped: needs root and " OBJECT " (make bpf)\n");
        return;
    }
    XT_EQ(xw_steer_load(OBJECT, 0, &s), 0);
    XT_STR(xw_setup_error(NULL), "");
    XT_TRUE(xw_steer_prog_fd(s) >= 0);
    XT_EQ(xw_steer_map_fd(s, "nothing"), -1);
    int flows = xw_steer_map_fd(s, "flows"), counters = xw_steer_map_fd(s, "counters");
    XT_TRUE(flows >= 0 && counters >= 0 && xw_steer_map_fd(s, "xsks") >= 0 && xw_steer_map_fd(s, "config") >= 0);

    uint8_t pkt[64] = { [12] = 8, [14] = 0x45, [17] = 40, [23] = 6, [26] = 10, [29] = 1, [30] = 10, [33] = 2, [34] = 1, [37] = 9,
                        [46] = 0x50 };
    uint8_t out[256];
    uint32_t len = sizeof out, meta = 1;
    XT_EQ(xw_bpf_test_run(xw_steer_prog_fd(s), pkt, sizeof pkt, 0, 0, 0, out, &len, &meta), 2); /* XDP_PASS */
    XT_EQ(len, sizeof pkt);
    XT_EQ(meta, 0);
    XT_MEM(out, pkt, sizeof pkt);

    struct xw_flow_key key = { .saddr = 0x0100000a, .daddr = 0x0200000a, .sport = 0x0001, .dport = 0x0900 };
    struct xw_flow_val val = { .flags = XW_FLOW_ACTIVE }, got;
    XT_EQ(xw_bpf_map_update(flows, &key, &val), 0);
    XT_EQ(xw_bpf_map_lookup(flows, &key, &got), 0);
    XT_EQ(got.flags, XW_FLOW_ACTIVE);
    len = sizeof out;
    XT_EQ(xw_bpf_test_run(xw_steer_prog_fd(s), pkt, sizeof pkt, 0, 0, 0, out, &len, &meta), 2);
    uint64_t per_cpu[1024] = { 0 }, sum = 0;
    uint32_t index = XW_STEER_PASS_NO_SOCKET;
    XT_TRUE(xw_bpf_cpu_count() <= 1024);
    XT_EQ(xw_bpf_map_lookup(counters, &index, per_cpu), 0);
    for (int i = 0; i < xw_bpf_cpu_count(); i++)
        sum += per_cpu[i];
    XT_EQ(sum, 1);
    XT_EQ(xw_bpf_map_delete(flows, &key), 0);
    XT_EQ(xw_bpf_map_delete(flows, &key), XW_ESYS);

    len = 8; /* no room for what comes out */
    XT_EQ(xw_bpf_test_run(xw_steer_prog_fd(s), pkt, sizeof pkt, 0, 0, 0, out, &len, &meta), XW_ESYS);
    xw_steer_close(s);
}

XT_MAIN(XT_RUN(what_cannot_be_opened), XT_RUN(a_program_that_needs_another_page_has_moved),
        XT_RUN(bad_arguments), XT_RUN(descriptors_that_are_none), XT_RUN(load_and_run))
