/* tls/replay.c and bs/bs_sink.h: a captured connection instead of a handshake, by records made here. */
#include "base/err.h"
#include "bs/bs_sink.h"
#include "tls/handover.h"
#include "xt.h"
#include "xt_bs.h"
#include "xt_tls.h"
#include <openssl/evp.h>

static struct xw_own server; /* seals what the captured server sent */
static struct xw_replay_tls secrets;

static void push(struct xt_tls *x, const uint8_t *data, size_t len) {
    struct xw_mspan room = x->far->ops->reserve(x->far);
    XT_TRUE(room.len >= len);
    memcpy(room.p, data, len);
    x->far->ops->commit(x->far, len);
    x->far->ops->flush(x->far, ++x->now);
}

/* A record that the own layer does not look into; type 23: of the handshake's keys. */
static void push_other(struct xt_tls *x, uint8_t type, size_t len) {
    uint8_t rec[300] = { type, 3, 3, (uint8_t)(len >> 8), (uint8_t)len };
    memset(rec + 5, 0x5a, len);
    push(x, rec, 5 + len);
}

static void push_data(struct xt_tls *x, const char *text) {
    uint8_t content[200], rec[300];
    size_t len = strlen(text);
    memcpy(content, text, len);
    push(x, rec, xw_own_seal(&server, XW_REC_DATA, content, len, rec));
}

static void open_replay(struct xt_tls *x, uint8_t version, uint16_t suite) {
    struct xt_tls_opt o = { .version = 13 };
    xt_tls_engine(XT_OWN_MB);
    xt_tls_open(x, &o);
    secrets = (struct xw_replay_tls){ .version = version, .secret_len = version == 13 ? 32 : 48, .suite = suite };
    memset(secrets.client_secret, 0xc1, 48);
    memset(secrets.server_secret, 0x5e, 48);
    memset(secrets.client_random, 1, 32);
    memset(secrets.server_random, 2, 32);
    XT_EQ(xw_tls_replay(x->tls, &secrets), XW_OK);
}

static size_t drain(struct xt_tls *x, char *out) {
    size_t n = 0;
    for (unsigned i = 0; i < 20; i++) {
        x->tls->ops->poll(x->tls, ++x->now);
        struct xw_span s = x->tls->ops->peek(x->tls);
        memcpy(out + n, s.p, s.len);
        n += s.len;
        x->tls->ops->consume(x->tls, s.len);
    }
    out[n] = 0;
    return n;
}

XT_TEST(tls13_begins_with_the_first_record_that_opens) {
    struct xt_tls x;
    char got[1000];
    struct xw_conn_info info;
    open_replay(&x, 13, 0x1301);
    struct xw_span ours = xw_span(secrets.client_secret, 32), theirs = xw_span(secrets.server_secret, 32);
    XT_EQ(xw_own_start13(&server, x.ctx->aead, XW_AEAD_AES128_GCM, EVP_sha256(), theirs, ours), XW_OK);
    push_other(&x, XW_REC_HANDSHAKE, 90); /* ServerHello */
    push_other(&x, XW_REC_CCS, 1);
    push_other(&x, XW_REC_DATA, 120);     /* EncryptedExtensions … */
    push_other(&x, XW_REC_DATA, 50);      /* … Finished */
    XT_EQ(drain(&x, got), 0);
    xw_tls_info(x.tls, &info);
    XT_EQ(info.tls_version, 0);
    push_data(&x, "first ");
    push_data(&x, "second");
    XT_EQ(drain(&x, got), 12);
    XT_STR(got, "first second");
    xw_tls_info(x.tls, &info);
    XT_EQ(info.tls_version, 13);
    XT_STR(info.cipher, "TLS_AES_128_GCM_SHA256");
    push_other(&x, XW_REC_DATA, 60); /* what does not open now is an error */
    XT_EQ(drain(&x, got), 0);
    struct xw_bs_status st;
    x.tls->ops->status(x.tls, &st);
    XT_EQ(st.state, XW_BS_FAILED);
    xw_own_wipe(&server);
    xt_tls_close(&x);
}

XT_TEST(tls12_begins_behind_finished) {
    struct xt_tls x;
    char got[1000];
    struct xw_conn_info info;
    open_replay(&x, 12, 0xc02f);
    push_other(&x, XW_REC_HANDSHAKE, 90);
    push_other(&x, XW_REC_CCS, 1);
    XT_EQ(drain(&x, got), 0);
    push_other(&x, XW_REC_HANDSHAKE, 40); /* Finished */
    XT_EQ(drain(&x, got), 0);
    xw_tls_info(x.tls, &info);
    XT_EQ(info.tls_version, 12);
    XT_STR(info.cipher, "ECDHE-RSA-AES128-GCM-SHA256");
    xt_tls_close(&x);
}

XT_TEST(what_cannot_be_replayed_is_refused) {
    struct xt_tls x;
    char got[1000];
    open_replay(&x, 13, 0x1303);
    struct xw_replay_tls wrong = secrets;
    wrong.suite = 0x002f; /* CBC */
    XT_EQ(xw_tls_replay(x.tls, &wrong), XW_EINVAL);
    XT_TRUE(strstr(xw_setup_error(NULL), "cipher suite") != NULL);
    wrong = secrets;
    wrong.version = 11;
    XT_EQ(xw_tls_replay(x.tls, &wrong), XW_EINVAL);
    XT_EQ(xw_tls_replay(x.tls, &secrets), XW_OK);
    push(&x, (const uint8_t *)"GET / HTTP/1.1\r\n", 16);
    XT_EQ(drain(&x, got), 0);
    XT_TRUE(strstr(x.tls->ops->error_text(x.tls), "not TLS") != NULL);
    xt_tls_close(&x);
}

/* What is written above is swallowed; what comes from below is shown; only abort goes through. */
XT_TEST(sink_swallows_what_is_written) {
    static struct xt_bs inner;
    struct xw_bs *s;
    struct xw_bs_status st;
    uint8_t buf[100];
    xt_bs_init(&inner, 65536, true, 4096);
    inner.st.state = XW_BS_OPEN;
    XT_EQ(xw_bs_sink_new(&inner.bs, &s), XW_OK);
    struct xw_mspan room = s->ops->reserve(s);
    XT_TRUE(room.len >= 16384);
    memset(room.p, 'x', 1000);
    s->ops->commit(s, 1000);
    XT_EQ(s->ops->poll(s, 1), XW_OK);
    s->ops->flush(s, 1);
    XT_EQ(xw_bs_sink_swallowed(s), 1000);
    XT_EQ(xt_bs_take(&inner, buf, sizeof buf), 0);
    XT_EQ(xt_bs_push(&inner, "abc", 3), 3);
    XT_MEM(s->ops->peek(s).p, "abc", 3);
    s->ops->consume(s, 2);
    XT_EQ(s->ops->rx_offset(s), 2);
    s->ops->status(s, &st);
    XT_TRUE(st.state == XW_BS_OPEN && st.tx_drained && !st.tx_shut);
    s->ops->shutdown_wr(s);
    s->ops->status(s, &st);
    XT_TRUE(st.tx_shut && !inner.shuts);
    XT_EQ(s->ops->reserve(s).len, 0);
    struct xw_bs *below = xw_bs_sink_inner(s);
    XT_TRUE(below == &inner.bs);
    memcpy(below->ops->reserve(below).p, "hello", 5);
    below->ops->commit(below, 5);
    XT_EQ(xt_bs_take(&inner, buf, sizeof buf), 5);
    s->ops->abort(s);
    XT_EQ(inner.aborts, 1);
    s->ops->close(s);
    xt_bs_free(&inner);
}

XT_MAIN(XT_RUN(tls13_begins_with_the_first_record_that_opens), XT_RUN(tls12_begins_behind_finished),
        XT_RUN(what_cannot_be_replayed_is_refused), XT_RUN(sink_swallows_what_is_written))
