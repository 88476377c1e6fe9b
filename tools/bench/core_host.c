/* tools/bench/core_host.c: see core_host.h. Nothing in here is measured. */
#include "core_host.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const uint8_t HOST_MAC[6] = { 2, 0, 0, 0, 0, 1 }, HOST_CLIENT_MAC[6] = { 2, 0, 0, 0, 0, 2 };

_Noreturn void bench_die(const char *what) {
    fprintf(stderr, "core: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static void need(bool ok, const char *what) {
    if (!ok)
        bench_die(what);
}

/* A server with a certificate made on the spot; the client does not verify it. */
static SSL *tls_server(void) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    SSL_CTX *x = SSL_CTX_new(TLS_server_method());
    need(key && cert && x, "make a key");
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const uint8_t *)"feed.example", -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    X509_set_pubkey(cert, key);
    need(X509_sign(cert, key, EVP_sha256()) > 0, "sign the certificate");
    need(SSL_CTX_use_certificate(x, cert) == 1 && SSL_CTX_use_PrivateKey(x, key) == 1, "use the certificate");
    SSL_CTX_set_min_proto_version(x, TLS1_3_VERSION);
    need(SSL_CTX_set_ciphersuites(x, "TLS_AES_128_GCM_SHA256") == 1, "choose the cipher");
    SSL *s = SSL_new(x);
    SSL_set_accept_state(s);
    EVP_PKEY_free(key);
    X509_free(cert);
    SSL_CTX_free(x);
    return s;
}

void host_init(struct host *h, struct xw_dev *dev) { host_init_at(h, dev, HOST_IP); }

void host_init_at(struct host *h, struct xw_dev *dev, uint32_t ip) {
    struct xw_net_cfg net = { .ip = ip, .mask = 0xffff0000u, .mtu = 1500 };
    struct xw_tcp_cfg tcp;
    uint8_t seed[32] = { 42 };
    *h = (struct host){ .dev = dev, .now = 1000 * XW_NS_PER_S };
    xw_rng_init(&h->rng, seed);
    memcpy(net.mac, HOST_MAC, 6);
    need(!xw_net_init(calloc(1, xw_net_size()), &net, &h->rng, h->drops, &h->net), "network layer");
    xw_net_start(h->net, XW_NET_CLAIM_NONE, h->now);
    need(!xw_net_neigh_set(h->net, HOST_CLIENT_IP, HOST_CLIENT_MAC, h->now), "neighbour");
    xw_tcp_cfg_default(&tcp);
    tcp.max_conns = 2;
    tcp.max_listeners = 1;
    tcp.rng = &h->rng;
    tcp.drops = h->drops;
    tcp.opts.nodelay = true;
    size_t len = (xw_tcp_stack_size(&tcp) + 63) / 64 * 64;
    need(!xw_tcp_stack_init(aligned_alloc(64, len), len, &tcp, &h->tcp), "TCP");
    need(!xw_tcp_listen(h->tcp, 0, HOST_PORT, &h->listener), "listen");
    need(!xw_bytering_map(&h->rcv, 1 << 18) && !xw_bytering_map(&h->snd, 1 << 18), "rings");
    h->ssl = tls_server();
    h->in = BIO_new(BIO_s_mem());
    h->out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(h->in, -1);
    SSL_set_bio(h->ssl, h->in, h->out);
}

static void receive(struct host *h) {
    struct xw_pkt p[XW_RX_BURST_MAX];
    struct xw_net_rx rx;
    unsigned n;
    h->dev->ops->tick(h->dev, h->now);
    while ((n = h->dev->ops->rx_burst(h->dev, p, XW_RX_BURST_MAX))) {
        for (unsigned i = 0; i < n; i++)
            if (xw_net_input(h->net, xw_span(p[i].data, p[i].len), true, h->now, &rx) == XW_NET_TCP)
                xw_tcp_input(h->tcp, rx.tcp.src, rx.tcp.dst, rx.tcp.seg, true, NULL, h->now);
        h->dev->ops->rx_release(h->dev, p, n);
    }
}

static void transmit(struct host *h) {
    struct xw_txbuf b;
    struct xw_tcp_seg g;
    struct xw_net_ip ip = { .proto = 6, .ttl = 64, .df = true };
    while (!h->dev->ops->tx_reserve(h->dev, &b)) {
        if (!xw_tcp_output(h->tcp, h->now, &g)) {
            h->dev->ops->tx_cancel(h->dev, &b);
            break;
        }
        struct xw_net_hop hop = { 0 };
        need(xw_net_route(h->net, g.tuple.remote_ip, &hop) >= 0, "route");
        int head = xw_net_eth_ip(h->net, &hop, xw_mspan(b.data, b.cap), xw_tcp_seg_len(&g), &ip, h->now);
        need(head > 0, "headers");
        uint32_t len = xw_tcp_seg_emit(&g, xw_mspan(b.data + head, b.cap - (size_t)head));
        h->dev->ops->tx_submit(h->dev, &b, (uint32_t)head + len);
    }
    h->dev->ops->tx_flush(h->dev);
}

/* Records that OpenSSL has made go into the TCP stream. */
static void records_out(struct host *h) {
    char *data;
    long n = BIO_get_mem_data(h->out, &data);
    if (n <= 0)
        return;
    struct xw_mspan room = h->bs->ops->reserve(h->bs);
    need(room.len >= (size_t)n, "send ring full");
    memcpy(room.p, data, (size_t)n);
    h->bs->ops->commit(h->bs, (size_t)n);
    (void)BIO_reset(h->out);
    h->bs->ops->flush(h->bs, h->now);
}

static void upgrade_answer(struct host *h) {
    char text[128], answer[256];
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_len;
    h->request[h->request_len] = 0;
    const char *key = strcasestr(h->request, "\r\nsec-websocket-key:");
    if (!strstr(h->request, "\r\n\r\n"))
        return;
    need(key && sscanf(key + 20, " %63[A-Za-z0-9+/=]", text) == 1, "the upgrade request has no key");
    size_t len = strlen(text);
    memcpy(text + len, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 37);
    EVP_Digest(text, len + 36, digest, &digest_len, EVP_sha1(), NULL);
    EVP_EncodeBlock((uint8_t *)text, digest, (int)digest_len);
    int n = snprintf(answer, sizeof answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", text);
    need(SSL_write(h->ssl, answer, n) == n, "answer the upgrade");
    h->upgraded = true;
}

static void serve(struct host *h) {
    if (!h->bs && !xw_tcp_accept(h->listener, &h->rcv, &h->snd, 1500, NULL, h->now, &h->conn))
        need(!xw_bs_tcp_new(h->conn, h->now, &h->bs), "stream");
    if (!h->bs)
        return;
    h->bs->ops->poll(h->bs, h->now);
    struct xw_span in = h->bs->ops->peek(h->bs);
    if (in.len) {
        BIO_write(h->in, in.p, (int)in.len);
        h->bs->ops->consume(h->bs, in.len);
    }
    int k = SSL_read(h->ssl, h->request + h->request_len, (int)(sizeof h->request - 1 - h->request_len));
    if (k > 0) {
        h->request_len += (size_t)k;
        if (!h->upgraded)
            upgrade_answer(h);
    }
    ERR_clear_error();
    records_out(h);
    h->bs->ops->poll(h->bs, h->now);
}

void host_round(struct host *h) {
    uint32_t what;
    receive(h);
    xw_tcp_tick(h->tcp, h->now);
    while (xw_tcp_changed(h->tcp, &what)) {
    }
    serve(h);
    transmit(h);
}

void host_send(struct host *h, const uint8_t *payload, size_t len) {
    uint8_t frame[4200];
    size_t head = len < 126 ? 2 : 4;
    need(len + head <= sizeof frame, "message too long");
    frame[0] = 0x81;
    frame[1] = (uint8_t)(len < 126 ? len : 126);
    frame[2] = (uint8_t)(len >> 8);
    frame[3] = (uint8_t)len;
    memcpy(frame + head, payload, len);
    need(SSL_write(h->ssl, frame, (int)(len + head)) == (int)(len + head), "encrypt");
    records_out(h);
    transmit(h);
}
