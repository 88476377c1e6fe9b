/* tests/c/xt_tcp.h: TCP tests as traces: segments in, segments out, the clock by hand, nothing else out.
 *
 *     in_established();
 *     RX("A", .seq = 1, .ack = 1, .len = 100);   a segment of the peer; fails if we still had something to send
 *     EXPECT("A", .seq = 1, .ack = 101);         the next segment of ours; its bytes were emitted, checked and parsed
 *     at(XT_MS(200));                            the clock, relative to the end of the handshake; timers run
 *     EXPECT_NOTHING();
 *
 * Sequence numbers are relative to the initial ones, which lie just below 2^32 on both sides, so every trace crosses
 * the wrap. Payload bytes follow a pattern by stream offset, in both directions, and are checked. */
#ifndef XT_TCP_H
#define XT_TCP_H
#include "tcp/tcp_priv.h"
#include "xt.h"

#define XT_ISN 0xffffff00u      /* ours */
#define XT_PEER_ISN 0xfffffe80u /* the peer's */
#define XT_MS(n) ((uint64_t)(n) * XW_NS_PER_MS)
#define XT_S(n) ((uint64_t)(n) * XW_NS_PER_S)

struct xt_seg {
    const char *flags; /* of S A F R P U; what we send is compared without P unless it is named */
    uint32_t seq, ack; /* relative; ack counts with A only */
    uint32_t len;
    uint32_t win;      /* as it stands; 0: 65535 when received, not compared when sent */
    bool win0;         /* the window is 0 */
    uint16_t mss;
    uint8_t ws1;       /* window scale option: shift + 1 */
    bool sackok;
    uint32_t ts, ecr;  /* timestamp option if ts is not 0 */
    uint8_t sacks;     /* blocks */
    uint32_t sack[4][2];
    uint16_t sport;    /* peer's port, 0: the usual one */
    bool no_opts;      /* sent: has no option at all */
};

struct xt_tcp {
    struct xw_tcp_cfg cfg;
    struct xw_rng rng;
    struct xw_tcp_stack *s;
    struct xw_tcp *c;
    struct xw_tcp_listener *l;
    struct xw_bytering rcv, snd;
    uint64_t drops[XW_DROP_COUNT];
    uint64_t now, epoch, wrote, read;
    uint32_t rcv_cap, snd_cap, mtu;
    uint16_t peer_mss;
    uint32_t straight, straight_hits; /* segments received; taken by tcp/fast.h, which is offered every second one */
    uint32_t straight_out;            /* segments sent; every second one is tcp/fast.h's, if it serves */
    void *mem;
};
extern struct xt_tcp T; /* the one under test; begun anew by each test */

/* xt_defaults: a configuration for T that in_… use unless the test made its own: 64 KiB rings, MTU 1500, no
 * timestamps, no tail loss probe, RTO as in RFC 6298. Change T.cfg and T's sizes between this and xt_begin. */
void xt_defaults(void);
void xt_begin(void);        /* builds the stack from T.cfg */
void xt_end(void);          /* nothing left to send; memory back */
void in_syn_sent(void);     /* begin, connect, SYN taken */
void in_established(void);  /* and SYN-ACK with MSS T.peer_mss, SACK; epoch = now */
void in_listen(void);
void in_syn_rcvd(void);     /* listen, SYN, accept, SYN-ACK taken */
void in_fin_wait_1(void);
void in_fin_wait_2(void);
void in_close_wait(void);
void in_last_ack(void);
void in_closing(void);
void in_time_wait(void);

enum xw_drop xt_rx(const char *file, int line, bool more, struct xt_seg s);
void xt_expect(const char *file, int line, struct xt_seg s);
void xt_nothing(const char *file, int line);
void xt_at(const char *file, int line, uint64_t ns);
void xt_write(uint32_t len); /* commits len bytes of the pattern */
uint32_t xt_read(uint32_t max); /* consumes and checks */
void xt_raw(const uint8_t *seg, size_t len);

/* RX: received after everything due was taken; RX_MORE: in one burst with what came before */
#define RX(...) xt_rx(__FILE__, __LINE__, false, (struct xt_seg){ __VA_ARGS__ })
#define RX_MORE(...) xt_rx(__FILE__, __LINE__, true, (struct xt_seg){ __VA_ARGS__ })
#define EXPECT(...) xt_expect(__FILE__, __LINE__, (struct xt_seg){ __VA_ARGS__ })
#define EXPECT_NOTHING() xt_nothing(__FILE__, __LINE__)
#define at(ns) xt_at(__FILE__, __LINE__, (ns))
#define EXPECT_STATE(st) XT_EQ(xw_tcp_state(T.c), (st))
#define EXPECT_DEADLINE(ns) XT_EQ(xw_tcp_deadline(T.s), T.epoch + (ns))
#endif
