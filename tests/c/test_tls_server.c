/* A server of ours and a client of ours, each end of a pair of memory streams: versions, record layers of the client,
 * chunks, the end, client certificates, settings. */
#include "base/err.h"
#include "xt.h"
#include "xt_tls.h"
#include <unistd.h>

struct side {
    struct xw_tls_ctx *ctx;
    struct xw_bytering plain;
    struct xw_bs *low, *tls;
};
struct both {
    struct side c, s;
    uint64_t now;
};

static uint8_t data[200000], got[200000];

static void start(struct both *b, struct xw_tls_cfg *client, struct xw_tls_cfg *server) {
    struct xw_bs_mem_cfg mem = { .rcv_len = 65536, .snd_len = 65536 };
    char path[64];
    *b = (struct both){ .now = 1 };
    XT_EQ(xw_bs_mem_pair(&mem, &b->c.low, &b->s.low), XW_OK);
    xt_cert_save(xt_leaf(XT_EC), true, path);
    server->server = 1;
    server->cert_file = path;
    client->ca_file = xt_ca_file();
    client->verify = 1;
    XT_EQ(xw_tls_ctx_new(client, &b->c.ctx), XW_OK);
    XT_EQ(xw_tls_ctx_new(server, &b->s.ctx), XW_OK);
    unlink(path);
    XT_EQ(xw_bytering_map(&b->c.plain, 65536), XW_OK);
    XT_EQ(xw_bytering_map(&b->s.plain, 65536), XW_OK);
    XT_EQ(xw_tls_new(b->c.ctx, b->c.low, "feed.example", &b->c.plain, NULL, NULL, &b->c.tls), XW_OK);
    XT_EQ(xw_tls_new(b->s.ctx, b->s.low, NULL, &b->s.plain, NULL, NULL, &b->s.tls), XW_OK);
}

static void finish(struct both *b) {
    struct side *sides[] = { &b->c, &b->s };
    for (unsigned i = 0; i < 2; i++) {
        sides[i]->tls->ops->close(sides[i]->tls);
        xw_tls_ctx_free(sides[i]->ctx);
        xw_bytering_unmap(&sides[i]->plain);
    }
}

static void turn(struct both *b) {
    b->now++;
    b->c.tls->ops->poll(b->c.tls, b->now);
    b->s.tls->ops->poll(b->s.tls, b->now);
}

static struct xw_bs_status status(const struct side *s) {
    struct xw_bs_status st;
    s->tls->ops->status(s->tls, &st);
    return st;
}

static void handshake(struct both *b) {
    for (int i = 0; i < 200000 && status(&b->c).state <= XW_BS_CONNECTING; i++)
        turn(b);
    for (int i = 0; i < 200000 && status(&b->s).state <= XW_BS_CONNECTING; i++)
        turn(b);
}

/* All of data from one side to the other. */
static void carry(struct both *b, struct side *from, struct side *to, size_t len) {
    size_t sent = 0, have = 0;
    for (int i = 0; i < 400000 && have < len; i++) {
        struct xw_mspan room = from->tls->ops->reserve(from->tls);
        size_t n = room.len < len - sent ? room.len : len - sent;
        if (n) {
            memcpy(room.p, data + sent, n);
            from->tls->ops->commit(from->tls, n);
            sent += n;
        }
        turn(b);
        struct xw_span s = to->tls->ops->peek(to->tls);
        if (s.len) {
            memcpy(got + have, s.p, s.len);
            have += s.len;
            to->tls->ops->consume(to->tls, s.len);
        }
    }
    XT_EQ(have, len);
    XT_MEM(got, data, len);
}

XT_TEST(both_ways_in_every_version_and_by_every_record_layer) {
    static const size_t chunks[] = { 1, 7, 1000, SIZE_MAX };
    xt_pattern(data, sizeof data, 7);
    for (uint8_t v = 12; v <= 13; v++)
        for (uint8_t engine = XW_TLS_ENGINE_AUTO; engine <= XW_TLS_ENGINE_OWN; engine++)
            for (unsigned i = 0; i < 4; i++) {
                struct both b;
                struct xw_tls_cfg client = { .version_min = v, .version_max = v, .tls_engine = engine }, server = { 0 };
                start(&b, &client, &server);
                xw_bs_mem_chunk(b.c.low, chunks[i]);
                xw_bs_mem_chunk(b.s.low, chunks[i]);
                handshake(&b);
                XT_EQ(status(&b.c).state, XW_BS_OPEN);
                XT_EQ(status(&b.s).state, XW_BS_OPEN);
                struct xw_conn_info info = { 0 };
                xw_tls_info(b.s.tls, &info);
                XT_EQ(info.tls_version, v);
                XT_STR(info.tls_engine, "openssl");
                size_t len = i ? sizeof data : 3000;
                carry(&b, &b.c, &b.s, len);
                carry(&b, &b.s, &b.c, len);
                b.s.tls->ops->shutdown_wr(b.s.tls);
                for (int t = 0; t < 2000 && !status(&b.c).rx_eof; t++)
                    turn(&b);
                XT_TRUE(status(&b.c).rx_eof);
                b.c.tls->ops->shutdown_wr(b.c.tls);
                for (int t = 0; t < 2000 && status(&b.s).state != XW_BS_CLOSED; t++)
                    turn(&b);
                XT_EQ(status(&b.s).state, XW_BS_CLOSED);
                XT_EQ(status(&b.c).state, XW_BS_CLOSED);
                finish(&b);
            }
}

XT_TEST(no_tickets_are_sent) {
    struct both b;
    struct xw_tls_cfg client = { .version_min = 13 }, server = { 0 };
    start(&b, &client, &server);
    handshake(&b);
    uint64_t in = b.c.low->ops->rx_offset(b.c.low);
    for (int i = 0; i < 50; i++)
        turn(&b);
    XT_EQ(b.c.low->ops->rx_offset(b.c.low), in);
    finish(&b);
}

/* extendedKeyUsage is not in the leaf, so that it may be a client's too. */
XT_TEST(client_certificates_are_demanded_and_verified) {
    char mine[64], stranger[64];
    struct xt_cert self = xt_cert_make(NULL, XT_EC, "stranger", NULL, false, -3600, 86400);
    xt_cert_save(xt_leaf(XT_RSA), true, mine);
    xt_cert_save(&self, true, stranger);
    const char *const files[] = { mine, stranger, NULL };
    for (uint8_t v = 12; v <= 13; v++)
        for (unsigned i = 0; i < 3; i++) {
            struct both b;
            struct xw_tls_cfg client = { .version_min = v, .version_max = v, .cert_file = files[i] };
            struct xw_tls_cfg server = { .verify = 1, .ca_file = xt_ca_file() };
            start(&b, &client, &server);
            handshake(&b);
            XT_EQ(status(&b.s).state, i ? XW_BS_FAILED : XW_BS_OPEN);
            if (i) {
                XT_EQ(status(&b.s).error, XW_ETLS);
                XT_TRUE(strstr(b.s.tls->ops->error_text(b.s.tls), "TLS handshake failed") != NULL);
            }
            finish(&b);
        }
    unlink(mine);
    unlink(stranger);
    xt_cert_free(&self);
}

XT_TEST(settings_that_are_none) {
    struct xw_tls_ctx *ctx;
    struct xw_tls_cfg none = { .server = 1 };
    XT_EQ(xw_tls_ctx_new(&none, &ctx), XW_EINVAL);
    XT_TRUE(strstr(xw_setup_error(NULL), "a server needs one: cert_file") != NULL);
    char path[64];
    xt_cert_save(xt_leaf(XT_EC), true, path);
    struct xw_tls_cfg own = { .server = 1, .cert_file = path, .tls_engine = XW_TLS_ENGINE_OWN };
    XT_EQ(xw_tls_ctx_new(&own, &ctx), XW_EINVAL);
    XT_TRUE(strstr(xw_setup_error(NULL), "serves clients only") != NULL);
    struct xw_tls_cfg missing = { .server = 1, .cert_file = "/nonexistent.pem" };
    XT_EQ(xw_tls_ctx_new(&missing, &ctx), XW_ESYS);
    XT_TRUE(strstr(xw_setup_error(NULL), "read the server certificate /nonexistent.pem") != NULL);
    unlink(path);
}

/* What a stranger sends is no handshake: the server says so and ends. */
XT_TEST(a_client_that_speaks_no_tls) {
    struct both b;
    struct xw_tls_cfg client = { 0 }, server = { 0 };
    start(&b, &client, &server);
    struct xw_mspan room = b.c.low->ops->reserve(b.c.low);
    memcpy(room.p, "GET / HTTP/1.1\r\n\r\n", 18);
    b.c.low->ops->commit(b.c.low, 18);
    for (int i = 0; i < 100; i++) {
        b.now++;
        b.c.low->ops->flush(b.c.low, b.now);
        b.s.tls->ops->poll(b.s.tls, b.now);
    }
    XT_EQ(status(&b.s).state, XW_BS_FAILED);
    finish(&b);
}

XT_MAIN(XT_RUN(both_ways_in_every_version_and_by_every_record_layer), XT_RUN(no_tickets_are_sent),
        XT_RUN(client_certificates_are_demanded_and_verified), XT_RUN(settings_that_are_none),
        XT_RUN(a_client_that_speaks_no_tls))
