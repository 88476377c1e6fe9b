/* tools/bench/core_host.h: the far end for the in-memory benchmark: our own network layer and TCP in the passive role, an
 * OpenSSL server (TLS 1.3, AES-128-GCM) and a WebSocket server that only sends, over one end of an in-memory pair. */
#ifndef XW_BENCH_CORE_HOST_H
#define XW_BENCH_CORE_HOST_H
#include "base/rng.h"
#include "bs/bs_tcp.h"
#include "dev/dev.h"
#include "mem/bytering.h"
#include "net/net.h"
#include "tcp/tcp.h"
#include "xw.h"
#include <openssl/ssl.h>

#define HOST_IP 0x0a000001u
#define HOST_CLIENT_IP 0x0a000002u
#define HOST_PORT 9443

struct host {
    struct xw_dev *dev;
    struct xw_net *net;
    struct xw_tcp_stack *tcp;
    struct xw_tcp_listener *listener;
    struct xw_tcp *conn;
    struct xw_bs *bs;
    struct xw_rng rng;
    struct xw_bytering rcv, snd;
    SSL *ssl;
    BIO *in, *out;
    char request[2048];
    size_t request_len;
    bool upgraded;
    uint64_t drops[XW_DROP_COUNT];
    uint64_t now;
};
extern const uint8_t HOST_MAC[6], HOST_CLIENT_MAC[6];

/* Takes dev. Ends the program when something cannot be had. */
void host_init(struct host *h, struct xw_dev *dev);
/* The same at another address of 10.0.0.0/16. */
void host_init_at(struct host *h, struct xw_dev *dev, uint32_t ip);
/* Receives, answers the handshakes and the upgrade, transmits, at the time h->now. */
void host_round(struct host *h);
/* Encrypts one text message of len bytes into one record and one segment, and puts the frame on the wire. */
void host_send(struct host *h, const uint8_t *payload, size_t len);
_Noreturn void bench_die(const char *what);
#endif
