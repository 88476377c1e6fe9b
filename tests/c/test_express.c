/* The straight line against the long way: the same feed by wss over an in-memory link, once with the straight line and once
 * without, over good links and bad ones, must give the same events. */
#include "engine/express.h"
#include "xt.h"
#include "xt_host.h"
#include "xt_tls.h"
#include <openssl/err.h>
#include <string.h>
#include <strings.h>

#define FEED_MAX (1u << 20)
#define LOG_MAX 4096u

struct entry { uint8_t type, opcode; uint64_t len, hash; };
struct log { unsigned cnt; struct entry e[LOG_MAX]; };

/* A WebSocket server on OpenSSL that sends the feed once the connection is open. */
struct server {
    SSL *ssl;
    BIO *in, *out;
    char request[4096];
    size_t request_len;
    bool upgraded;
    struct xw_rng rng;
    const uint8_t *feed;
    size_t len, sent;
    size_t record_max;      /* bytes of one SSL_write at most; 0: any from 1 to 3000 */
    const uint16_t *frames; /* lengths of the feed's frames, when each is to be a record of its own */
    unsigned frame;
    bool updates;           /* KeyUpdates between */
    unsigned per_round;     /* SSL_writes of one round */
};

static void server_make(struct server *s, uint8_t version) {
    SSL_CTX *x = SSL_CTX_new(TLS_server_method());
    const struct xt_cert *leaf = xt_leaf(XT_EC);
    XT_EQ(SSL_CTX_use_certificate(x, leaf->cert), 1);
    XT_EQ(SSL_CTX_use_PrivateKey(x, leaf->key), 1);
    if (version == 12)
        SSL_CTX_set_max_proto_version(x, TLS1_2_VERSION);
    s->ssl = SSL_new(x);
    SSL_CTX_free(x);
    SSL_set_accept_state(s->ssl);
    s->in = BIO_new(BIO_s_mem());
    s->out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(s->in, -1);
    SSL_set_bio(s->ssl, s->in, s->out);
}

static void answer_upgrade(struct server *s) {
    static const char form[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                               "Sec-WebSocket-Accept: %s\r\n\r\n";
    char text[128], answer[256];
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned n;
    s->request[s->request_len] = 0;
    const char *key = strcasestr(s->request, "\r\nsec-websocket-key:");
    if (!strstr(s->request, "\r\n\r\n") || !key)
        return;
    XT_EQ(sscanf(key + 20, " %63[A-Za-z0-9+/=]", text), 1);
    strcat(text, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    EVP_Digest(text, strlen(text), digest, &n, EVP_sha1(), NULL);
    EVP_EncodeBlock((uint8_t *)text, digest, (int)n);
    int len = snprintf(answer, sizeof answer, form, text);
    XT_EQ(SSL_write(s->ssl, answer, len), len);
    s->upgraded = true;
}

static void feed_some(struct server *s) {
    for (unsigned i = 0; i < s->per_round && s->sent < s->len && BIO_pending(s->out) < 20000; i++) {
        size_t left = s->len - s->sent, n = s->frames ? s->frames[s->frame++] : 1 + xw_rng_u32(&s->rng) % 3000;
        if (s->updates && xw_rng_u32(&s->rng) % 16 == 0)
            XT_EQ(SSL_key_update(s->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        n = n < left ? n : left;
        XT_EQ(SSL_write(s->ssl, s->feed + s->sent, (int)n), n);
        s->sent += n;
    }
}

static void serve(struct xt_host *h, void *arg) {
    struct server *s = arg;
    struct xw_span in;
    while ((in = h->bs->ops->peek(h->bs)).len) {
        BIO_write(s->in, in.p, (int)in.len);
        h->bs->ops->consume(h->bs, in.len);
    }
    int k = SSL_read(s->ssl, s->request + s->request_len, (int)(sizeof s->request - 1 - s->request_len));
    if (k > 0 && !s->upgraded) {
        s->request_len += (size_t)k;
        answer_upgrade(s);
    }
    ERR_clear_error();
    if (s->upgraded)
        feed_some(s);
    struct xw_mspan room;
    while (BIO_pending(s->out) > 0 && (room = h->bs->ops->reserve(h->bs)).len) {
        int n = BIO_read(s->out, room.p, (int)room.len);
        h->bs->ops->commit(h->bs, (size_t)n);
    }
}

static uint64_t hash(const uint8_t *p, uint64_t len) {
    uint64_t h = 1469598103934665603ull;
    for (uint64_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 1099511628211ull;
    return h;
}

/* Runs the feed until all of it was delivered; what the user saw. */
static void run(struct server *s, const struct xw_fault_cfg *faults, uint8_t version, bool express, struct log *log,
                uint64_t *hits) {
    struct xt_host h;
    struct xw_tls_cfg tc = { .ca_file = xt_ca_file(), .verify = 1 };
    struct xw_tls_ctx *ctx;
    uint32_t id;
    server_make(s, version);
    XT_EQ(xw_tls_ctx_new(&tc, &ctx), XW_OK);
    xt_host_engine(&h, &(struct xt_host_cfg){ .ws = true, .serve = serve, .serve_arg = s, .faults = faults });
    xw_engine_express(h.e, express);
    struct xw_conn_cfg *cfg = xt_host_target(&h);
    cfg->tls = ctx;
    cfg->server_name = "feed.example";
    cfg->close_timeout_ns = 100 * XW_NS_PER_MS;
    XT_EQ(xw_conn_open(h.e, cfg, h.now, &id), XW_OK);
    log->cnt = 0;
    for (unsigned r = 0, idle = 0; idle < 60000 && r < 4000000; r++) {
        xt_host_round(&h);
        for (int i = 0; i < h.ev_cnt; i++) {
            const struct xw_event *ev = &h.ev[i];
            uint32_t want = XW_ST_RING | XW_ST_KERNEL | XW_ST_FIRST | XW_ST_DECRYPT_BEGIN | XW_ST_DECRYPT_END | XW_ST_PARSED;
            if (ev->type == XW_EV_MESSAGE) {
                XT_EQ(ev->stamps.valid, want);
                XT_TRUE(ev->stamps.decrypt_begin_ns <= ev->stamps.decrypt_end_ns &&
                        ev->stamps.decrypt_end_ns <= ev->stamps.parsed_ns);
                XT_TRUE(faults || ev->stamps.first_ns <= ev->stamps.kernel_ns);
            }
            XT_TRUE(ev->user == 7 && ev->conn == id && log->cnt < LOG_MAX);
            log->e[log->cnt++] = (struct entry){ ev->type, ev->opcode, ev->type == XW_EV_OPEN ? 0 : ev->len,
                                                 ev->type == XW_EV_OPEN ? 0 : hash(ev->data, ev->len) };
        }
        if (h.ev_cnt && h.ev[h.ev_cnt - 1].type == XW_EV_CLOSED)
            break;
        idle = h.ev_cnt || s->sent < s->len ? 0 : idle + 1;
    }
    *hits = h.e->express_hits;
    XT_EQ(s->sent, s->len);
    xt_host_free(&h);
    xw_tls_ctx_free(ctx);
    SSL_free(s->ssl);
}

/* Frames of all kinds: text with and without other than ASCII, binary, empty, long, in fragments, pings and pongs between. */
static size_t make_feed(uint8_t *out, uint16_t *frames, unsigned messages, uint32_t seed, bool odd, unsigned *count) {
    static const uint16_t lens[] = { 0, 1, 125, 126, 200, 200, 200, 201, 1000, 4000 };
    struct xw_rng rng;
    uint8_t key[32] = { (uint8_t)seed, (uint8_t)(seed >> 8) };
    size_t at = 0;
    unsigned fragments = 0;
    xw_rng_init(&rng, key);
    for (*count = 0; *count < messages || fragments; ++*count) {
        uint32_t kind = odd ? xw_rng_u32(&rng) % 16 : 0;
        bool control = kind >= 14;
        size_t len = lens[xw_rng_u32(&rng) % 10];
        struct xw_ws_hdr hdr = { .fin = true, .opcode = control ? (kind == 14 ? 9 : 10) : *count % 3 ? 1 : 2 };
        if (control)
            len %= 126;
        else if (fragments)
            hdr.opcode = 0, hdr.fin = !--fragments;
        else if (kind == 13)
            fragments = 1 + xw_rng_u32(&rng) % 3, hdr.fin = false;
        hdr.len = len;
        size_t begin = at;
        at += xw_ws_hdr_emit(out + at, &hdr);
        for (size_t i = 0; i < len; i++)
            out[at++] = (uint8_t)('a' + (i + *count) % 26);
        if (len >= 200 && kind % 2)
            memcpy(out + at - 100, "\xe2\x82\xac\xf0\x9f\x92\xb0", 7);
        frames[*count] = (uint16_t)(at - begin);
    }
    XT_TRUE(at < FEED_MAX);
    return at;
}

static uint8_t feed[FEED_MAX];
static uint16_t frames[LOG_MAX];
static struct log straight, long_way;

static void same(void) {
    XT_EQ(straight.cnt, long_way.cnt);
    for (unsigned i = 0; i < straight.cnt; i++)
        if (memcmp(&straight.e[i], &long_way.e[i], sizeof *straight.e))
            XT_FAIL("event %u differs: type %u len %llu, not type %u len %llu", i, straight.e[i].type,
                    (unsigned long long)straight.e[i].len, long_way.e[i].type, (unsigned long long)long_way.e[i].len);
}

/* Both ways over the same feed; frames that went straight. */
static unsigned both(const struct server *s, const struct xw_fault_cfg *faults, uint8_t version, unsigned messages) {
    uint64_t hits[2], cnt = 0;
    for (unsigned i = 0; i < 2; i++) {
        struct server copy = *s;
        uint8_t seed[32] = { 5 };
        xw_rng_init(&copy.rng, seed);
        run(&copy, faults, version, i == 0, i ? &long_way : &straight, &hits[i]);
    }
    XT_EQ(hits[1], 0);
    same();
    for (unsigned i = 0; i < straight.cnt; i++)
        cnt += straight.e[i].type == XW_EV_MESSAGE;
    XT_TRUE(cnt >= messages / 2);
    return (unsigned)hits[0];
}

XT_TEST(a_record_a_message_goes_straight) {
    unsigned cnt;
    size_t len = make_feed(feed, frames, 1000, 1, false, &cnt);
    struct server s = { .feed = feed, .len = len, .frames = frames, .per_round = 1 };
    XT_TRUE(both(&s, NULL, 13, cnt) >= cnt * 9 / 10);
    XT_TRUE(both(&s, NULL, 12, cnt) >= cnt * 9 / 10);
}

XT_TEST(bursts_of_frames_of_all_kinds) {
    unsigned cnt;
    size_t len = make_feed(feed, frames, 1500, 2, true, &cnt);
    struct server s = { .feed = feed, .len = len, .frames = frames, .per_round = 12 };
    XT_TRUE(both(&s, NULL, 13, 1000) > 0);
}

XT_TEST(records_cut_anywhere) {
    unsigned cnt;
    for (unsigned seed = 3; seed < 6; seed++) {
        size_t len = make_feed(feed, frames, 1000, seed, true, &cnt);
        struct server s = { .feed = feed, .len = len, .per_round = seed, .updates = seed & 1 };
        both(&s, NULL, 13, 700);
    }
}

XT_TEST(over_bad_links) {
    unsigned cnt;
    for (unsigned seed = 6; seed < 10; seed++) {
        size_t len = make_feed(feed, frames, 400, seed, true, &cnt);
        struct xw_fault_rates bad = { .loss_ppm = 20000, .dup_ppm = 20000, .reorder_ppm = 30000, .corrupt_ppm = 20000 };
        struct xw_fault_cfg faults = { .rx = bad, .tx = { .loss_ppm = 10000 }, .seed = { (uint8_t)seed } };
        struct server s = { .feed = feed, .len = len, .frames = seed & 1 ? frames : NULL, .per_round = 2 };
        both(&s, &faults, 13, 250);
    }
}

/* Text that is not UTF-8, behind many good messages: the same fault, with the same messages before it. */
XT_TEST(a_fault_ends_it_the_same_way) {
    unsigned cnt;
    size_t len = make_feed(feed, frames, 200, 10, false, &cnt);
    memcpy(feed + len, "\x81\x03\xe2\x82\x41", 5);
    frames[cnt] = 5;
    struct server s = { .feed = feed, .len = len + 5, .frames = frames, .per_round = 3 };
    both(&s, NULL, 13, 190);
    XT_TRUE(straight.e[straight.cnt - 1].type == XW_EV_CLOSED);
}

XT_MAIN(XT_RUN(a_record_a_message_goes_straight), XT_RUN(bursts_of_frames_of_all_kinds), XT_RUN(records_cut_anywhere),
        XT_RUN(over_bad_links), XT_RUN(a_fault_ends_it_the_same_way))
