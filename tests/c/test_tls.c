/* The TLS stream against OpenSSL's server: versions, suites, record sizes, cuts, ends, backpressure, stamps. */
#include "base/err.h"
#include "base/limits.h"
#include "tls/tls.h"
#include "xt.h"
#include "xt_tls.h"
#include <openssl/err.h>

static uint8_t sent[70000], got[70000];
static enum xt_engine records_by;

/* Handshake, then a few record sizes each way. */
static void exchange(const struct xt_tls_opt *o, const char *cipher, int version) {
    static const size_t sizes[] = { 1, 200, 16384 };
    struct xt_tls x;
    struct xw_conn_info info = { 0 };
    xt_tls_open(&x, o);
    if (xt_tls_handshake(&x) != XW_BS_OPEN)
        XT_FAIL("%s: %s", cipher, x.tls->ops->error_text(x.tls));
    xw_tls_info(x.tls, &info);
    XT_STR(info.cipher, cipher);
    XT_EQ(info.tls_version, version);
    XT_STR(info.tls_engine, records_by == XT_OPENSSL ? "openssl" : "own");
    if (records_by == XT_OWN_EVP)
        XT_STR(info.tls_library, "evp");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        xt_pattern(sent, sizes[i], (uint32_t)i);
        xt_srv_write(&x, sent, sizes[i]);
        XT_EQ(xt_tls_drain(&x, got, sizeof got), sizes[i]);
        XT_MEM(got, sent, sizes[i]);
        xt_tls_send(&x, sent, sizes[i]);
        XT_EQ(xt_srv_read(&x, got, sizeof got), sizes[i]);
        XT_MEM(got, sent, sizes[i]);
    }
    xt_tls_close(&x);
}

XT_TEST(tls13_suites_with_both_kinds_of_key) {
    static const char *suites[] = { "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                    "TLS_CHACHA20_POLY1305_SHA256" };
    for (enum xt_key kind = XT_RSA; kind <= XT_EC; kind++)
        for (size_t i = 0; i < 3; i++) {
            struct xt_tls_opt o = { .version = 13, .ciphers13 = suites[i], .cert = xt_leaf(kind), .tickets = 2 };
            exchange(&o, suites[i], 13);
        }
}

XT_TEST(tls12_suites_with_both_kinds_of_key) {
    static const char *suites[] = { "AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305" };
    for (enum xt_key kind = XT_RSA; kind <= XT_EC; kind++)
        for (size_t i = 0; i < 3; i++) {
            char name[64];
            snprintf(name, sizeof name, "ECDHE-%s-%s", kind == XT_RSA ? "RSA" : "ECDSA", suites[i]);
            struct xt_tls_opt o = { .version = 12, .ciphers12 = name, .cert = xt_leaf(kind) };
            exchange(&o, name, 12);
        }
}

XT_TEST(hello_retry_request) {
    struct xt_tls_opt o = { .version = 13, .server_groups = "P-384", .custom = true,
                            .client = { .verify = 1, .ca_file = xt_ca_file(), .groups = "X25519:P-384" } };
    struct xt_tls x;
    xt_tls_open(&x, &o);
    XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
    XT_EQ(SSL_get_negotiated_group(x.srv), NID_secp384r1);
    xt_tls_close(&x);
}

XT_TEST(only_the_versions_that_the_context_allows) {
    for (uint8_t v = 12; v <= 13; v++) {
        struct xt_tls_opt o = { .version = (uint8_t)(25 - v), .custom = true,
                                .client = { .verify = 1, .ca_file = xt_ca_file(), .version_min = v,
                                            .version_max = v } };
        struct xt_tls x;
        xt_tls_open(&x, &o);
        XT_EQ(xt_tls_handshake(&x), XW_BS_FAILED);
        XT_EQ(xt_tls_status(&x).error, XW_ETLS);
        if (!strstr(x.tls->ops->error_text(x.tls), "protocol version"))
            XT_FAIL("%s", x.tls->ops->error_text(x.tls));
        xt_tls_close(&x);
    }
}

/* Length of what the server sends until the handshake is done, tickets and one message included. */
static uint64_t server_bytes(uint8_t version) {
    struct xt_tls_opt o = { .version = version, .tickets = 2 };
    struct xt_tls x;
    xt_tls_open(&x, &o);
    XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
    xt_srv_write(&x, "hello", 5);
    XT_EQ(xt_tls_drain(&x, got, sizeof got), 5);
    uint64_t n = x.low->ops->rx_offset(x.low);
    xt_tls_close(&x);
    return n;
}

static void handshake_and_message(struct xt_tls *x, const char *what, uint64_t cut) {
    size_t n = 0;
    if (xt_tls_handshake(x) != XW_BS_OPEN)
        XT_FAIL("%s %" PRIu64 ": %s", what, cut, x->tls->ops->error_text(x->tls));
    xw_bs_mem_until(x->low, UINT64_MAX);
    xt_srv_write(x, "hello", 5);
    for (unsigned i = 0; i < 20000 && n < 5; i++)
        n += xt_tls_drain(x, got + n, sizeof got - n);
    XT_EQ(n, 5);
    XT_MEM(got, "hello", 5);
}

XT_TEST(handshake_byte_by_byte) {
    for (uint8_t v = 12; v <= 13; v++) {
        struct xt_tls_opt o = { .version = v, .tickets = 2 };
        struct xt_tls x;
        xt_tls_open(&x, &o);
        xw_bs_mem_chunk(x.low, 1);
        xw_bs_mem_chunk(x.far, 1);
        handshake_and_message(&x, "byte by byte", 0);
        xt_tls_close(&x);
    }
}

/* Everything before the cut arrives, is worked on in several polls, and only then the rest. */
XT_TEST(handshake_cut_at_sampled_offsets) {
    for (uint8_t v = 12; v <= 13; v++) {
        uint64_t total = server_bytes(v);
        for (uint64_t cut = 1; cut < total; cut += cut < 140 ? 1 : 37) {
            struct xt_tls_opt o = { .version = v, .tickets = 2 };
            struct xt_tls x;
            xt_tls_open(&x, &o);
            xw_bs_mem_until(x.low, cut);
            for (unsigned i = 0; i < 6; i++) {
                x.tls->ops->poll(x.tls, x.now++);
                xt_srv_step(&x);
            }
            XT_TRUE(xt_tls_status(&x).state != XW_BS_FAILED);
            xw_bs_mem_until(x.low, UINT64_MAX);
            handshake_and_message(&x, "cut at", cut);
            xt_tls_close(&x);
        }
    }
}

XT_TEST(one_record_a_poll) {
    for (uint8_t v = 12; v <= 13; v++) {
        struct xt_tls_opt o = { .version = v, .tickets = 2 };
        struct xt_tls x;
        xt_tls_open(&x, &o);
        XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
        xt_tls_drain(&x, got, sizeof got);
        for (unsigned i = 0; i < 10; i++) {
            sent[0] = (uint8_t)i;
            xt_srv_write(&x, sent, 100 + i);
        }
        for (unsigned i = 0; i < 10; i++) {
            XT_EQ(x.tls->ops->poll(x.tls, x.now++), i < 9 ? XW_EAGAIN : XW_OK);
            struct xw_span s = x.tls->ops->peek(x.tls);
            XT_EQ(s.len, 100 + i);
            XT_EQ(s.p[0], i);
            x.tls->ops->consume(x.tls, s.len);
        }
        xt_tls_close(&x);
    }
}

XT_TEST(key_update_both_ways) {
    static const int kinds[] = { SSL_KEY_UPDATE_NOT_REQUESTED, SSL_KEY_UPDATE_REQUESTED };
    struct xt_tls_opt o = { .version = 13, .tickets = 2 };
    struct xt_tls x;
    xt_tls_open(&x, &o);
    XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
    for (unsigned i = 0; i < 6; i++) {
        XT_EQ(SSL_key_update(x.srv, kinds[i % 2]), 1);
        xt_pattern(sent, 1000, i);
        xt_srv_write(&x, sent, 1000);
        XT_EQ(xt_tls_drain(&x, got, sizeof got), 1000);
        XT_MEM(got, sent, 1000);
        xt_tls_send(&x, sent, 1000);
        XT_EQ(xt_srv_read(&x, got, sizeof got), 1000);
        XT_MEM(got, sent, 1000);
    }
    xt_tls_close(&x);
}

/* Asked for new keys while nothing can be sent: what was sealed before goes first, under the old key, then the answer. */
XT_TEST(key_update_waits_for_room) {
    struct xt_tls_opt o = { .version = 13, .snd_len = 4096 };
    struct xt_tls x;
    if (records_by == XT_OPENSSL)
        return; /* it reads nothing while its answer waits */
    xt_tls_open(&x, &o);
    XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
    xt_pattern(sent, 20000, 5);
    size_t in = x.tls->ops->reserve(x.tls).len, n = 0;
    memcpy(x.tls->ops->reserve(x.tls).p, sent, in);
    x.tls->ops->commit(x.tls, in);
    for (unsigned i = 0; i < 3; i++) { /* the server speaks and does not read */
        size_t put;
        XT_EQ(SSL_key_update(x.srv, SSL_KEY_UPDATE_REQUESTED), 1);
        XT_EQ(SSL_write_ex(x.srv, "price", 5, &put), 1);
        uint8_t wire[256];
        int len = BIO_read(SSL_get_wbio(x.srv), wire, sizeof wire);
        memcpy(x.far->ops->reserve(x.far).p, wire, (size_t)len);
        x.far->ops->commit(x.far, (size_t)len);
        XT_EQ(xt_tls_drain(&x, got, sizeof got), 5);
    }
    xw_bs_mem_chunk(x.far, 7); /* room comes in bits, so that each record has to wait */
    for (unsigned i = 0; n < 20000; i++) {
        struct xw_mspan room = x.tls->ops->reserve(x.tls);
        size_t more = room.len < 20000 - in ? room.len : 20000 - in;
        XT_TRUE(i < 10000);
        memcpy(room.p, sent + in, more);
        x.tls->ops->commit(x.tls, more);
        in += more;
        n += xt_srv_read(&x, got + n, sizeof got - n);
        x.tls->ops->poll(x.tls, x.now++);
    }
    XT_MEM(got, sent, 20000);
    XT_EQ(xt_tls_status(&x).state, XW_BS_OPEN);
    xt_tls_close(&x);
}

/* close_notify is the last that we say: no answer to a KeyUpdate, no alert about what comes then. */
XT_TEST(nothing_follows_our_goodbye) {
    for (unsigned bad = 0; bad < 2; bad++) {
        struct xt_tls_opt o = { .version = 13 };
        struct xt_tls x;
        if (records_by == XT_OPENSSL)
            return; /* it answers */
        xt_tls_open(&x, &o);
        XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
        x.tls->ops->shutdown_wr(x.tls);
        xt_srv_step(&x);
        uint64_t said = x.far->ops->rx_offset(x.far);
        XT_EQ(SSL_key_update(x.srv, SSL_KEY_UPDATE_REQUESTED), 1);
        xt_srv_write(&x, "price", 5);
        if (bad) {
            memcpy(x.far->ops->reserve(x.far).p, "\x17\x03\x03\0\0", 5);
            x.far->ops->commit(x.far, 5);
        }
        XT_EQ(xt_tls_drain(&x, got, sizeof got), 5);
        x.tls->ops->poll(x.tls, x.now++);
        XT_EQ(xt_tls_status(&x).state, bad ? XW_BS_FAILED : XW_BS_OPEN);
        xt_srv_step(&x);
        XT_EQ(x.far->ops->rx_offset(x.far), said);
        XT_TRUE(xt_tls_status(&x).tx_drained); /* nothing waits either */
        xt_tls_close(&x);
    }
}

/* The server asks for a new handshake: refused with a warning, and the data goes on. */
XT_TEST(renegotiation_is_refused) {
    struct xt_tls_opt o = { .version = 12 };
    struct xt_tls x;
    xt_tls_open(&x, &o);
    XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
    uint64_t before = x.far->ops->rx_offset(x.far);
    XT_EQ(SSL_renegotiate(x.srv), 1);
    SSL_do_handshake(x.srv); /* sends HelloRequest */
    ERR_clear_error();
    xt_srv_step(&x);
    XT_EQ(xt_tls_drain(&x, got, sizeof got), 0);
    XT_EQ(xt_tls_status(&x).state, XW_BS_OPEN);
    x.far->ops->poll(x.far, x.now++);
    struct xw_span s = x.far->ops->peek(x.far);
    XT_EQ(s.len, 5 + 8 + 2 + 16); /* one encrypted alert and no ClientHello */
    XT_EQ(s.p[0], 21);
    XT_EQ(x.far->ops->rx_offset(x.far), before);
    xt_tls_close(&x);
}

/* ---- ends ---- */

XT_TEST(peer_says_goodbye_first) {
    for (uint8_t v = 12; v <= 13; v++) {
        struct xt_tls_opt o = { .version = v };
        struct xt_tls x;
        xt_tls_open(&x, &o);
        XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
        xt_srv_write(&x, "last words", 10);
        XT_EQ(SSL_shutdown(x.srv), 0);
        xt_srv_step(&x);
        x.far->ops->shutdown_wr(x.far);
        XT_EQ(xt_tls_drain(&x, got, sizeof got), 10);
        x.tls->ops->poll(x.tls, x.now++);
        struct xw_bs_status st = xt_tls_status(&x);
        XT_EQ(st.state, XW_BS_OPEN);
        XT_TRUE(st.rx_eof);
        xt_tls_send(&x, "answer", 6); /* half-closed: our direction still works */
        x.tls->ops->shutdown_wr(x.tls);
        x.tls->ops->flush(x.tls, x.now++);
        x.far->ops->poll(x.far, x.now);
        XT_EQ(xt_srv_read(&x, got, sizeof got), 6);
        XT_EQ(SSL_get_shutdown(x.srv), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        x.tls->ops->poll(x.tls, x.now++);
        st = xt_tls_status(&x);
        XT_EQ(st.state, XW_BS_CLOSED);
        XT_TRUE(st.tx_drained);
        XT_STR(x.tls->ops->error_text(x.tls), "");
        xt_tls_close(&x);
    }
}

XT_TEST(we_say_goodbye_first) {
    for (uint8_t v = 12; v <= 13; v++) {
        struct xt_tls_opt o = { .version = v };
        struct xt_tls x;
        xt_tls_open(&x, &o);
        XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
        xt_tls_send(&x, "bye", 3);
        x.tls->ops->shutdown_wr(x.tls);
        XT_EQ(x.tls->ops->reserve(x.tls).len, 0);
        XT_EQ(xt_srv_read(&x, got, sizeof got), 3);
        XT_TRUE(SSL_get_shutdown(x.srv) & SSL_RECEIVED_SHUTDOWN);
        if (v == 13) { /* 1.2: RFC 5246 7.2.1 wants the answer at once */
            xt_srv_write(&x, "still here", 10);
            XT_EQ(xt_tls_drain(&x, got, sizeof got), 10);
        }
        XT_EQ(xt_tls_status(&x).state, XW_BS_OPEN);
        SSL_shutdown(x.srv);
        xt_srv_step(&x);
        x.far->ops->shutdown_wr(x.far);
        x.tls->ops->poll(x.tls, x.now++);
        x.tls->ops->poll(x.tls, x.now++);
        XT_EQ(xt_tls_status(&x).state, XW_BS_CLOSED);
        xt_tls_close(&x);
    }
}

/* Behind close_notify nothing counts, whatever it is, and the end of the stream below is still seen. */
XT_TEST(bytes_behind_goodbye_are_dropped) {
    for (uint8_t v = 12; v <= 13; v++) {
        struct xt_tls_opt o = { .version = v };
        struct xt_tls x;
        xt_tls_open(&x, &o);
        XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
        xt_srv_write(&x, "end", 3);
        XT_EQ(SSL_shutdown(x.srv), 0);
        xt_srv_step(&x);
        memset(x.far->ops->reserve(x.far).p, 'x', 3000);
        x.far->ops->commit(x.far, 3000);
        x.far->ops->shutdown_wr(x.far);
        XT_EQ(xt_tls_drain(&x, got, sizeof got), 3);
        for (unsigned i = 0; i < 3; i++)
            x.tls->ops->poll(x.tls, x.now++);
        XT_TRUE(xt_tls_status(&x).rx_eof);
        XT_EQ(xt_tls_status(&x).state, XW_BS_OPEN);
        XT_EQ(x.tls->ops->peek(x.tls).len, 0);
        x.tls->ops->shutdown_wr(x.tls);
        x.tls->ops->flush(x.tls, x.now++);
        xt_srv_step(&x);
        XT_EQ(xt_tls_status(&x).state, XW_BS_CLOSED);
        xt_tls_close(&x);
    }
}

/* The error queue is the thread's: what others leave in it is not our failure, nor does it end up in our texts. */
XT_TEST(foreign_entries_in_the_error_queue) {
    struct xt_tls_opt o = { .version = 13, .tickets = 2 };
    struct xt_tls x;
    xt_tls_open(&x, &o);
    for (unsigned i = 0; i < 10; i++) {
        ERR_raise(ERR_LIB_PEM, ERR_R_INTERNAL_ERROR);
        x.tls->ops->poll(x.tls, x.now++);
        xt_srv_step(&x);
    }
    XT_EQ(xt_tls_status(&x).state, XW_BS_OPEN);
    for (unsigned i = 0; i < 3; i++) {
        xt_srv_write(&x, "data", 4);
        ERR_raise(ERR_LIB_PEM, ERR_R_INTERNAL_ERROR);
        XT_EQ(xt_tls_drain(&x, got, sizeof got), 4);
        ERR_raise(ERR_LIB_PEM, ERR_R_INTERNAL_ERROR);
        XT_EQ(xt_tls_drain(&x, got, sizeof got), 0);
        xt_tls_send(&x, "order", 5);
        XT_EQ(xt_srv_read(&x, got, sizeof got), 5);
    }
    ERR_raise(ERR_LIB_PEM, ERR_R_INTERNAL_ERROR);
    x.far->ops->abort(x.far);
    x.tls->ops->poll(x.tls, x.now++);
    XT_STR(x.tls->ops->error_text(x.tls), xw_strerror(XW_ERESET));
    xt_tls_close(&x);
    ERR_clear_error();
}

/* An end without close_notify is an attack until shown otherwise; what came before is still the reader's. */
XT_TEST(truncation_is_a_failure_after_the_data) {
    for (unsigned partial = 0; partial < 2; partial++) {
        struct xt_tls_opt o = { .version = 13 };
        struct xt_tls x;
        xt_tls_open(&x, &o);
        XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
        xt_tls_drain(&x, got, sizeof got);
        xt_srv_write(&x, "price", 5);
        if (partial) {
            uint8_t half[4] = { 23, 3, 3, 0 };
            memcpy(x.far->ops->reserve(x.far).p, half, 4);
            x.far->ops->commit(x.far, 4);
        }
        x.far->ops->shutdown_wr(x.far);
        x.tls->ops->poll(x.tls, x.now++);
        x.tls->ops->poll(x.tls, x.now++);
        struct xw_bs_status st = xt_tls_status(&x);
        XT_EQ(st.state, XW_BS_FAILED);
        XT_EQ(st.error, XW_ETLS);
        XT_TRUE(!st.rx_eof);
        XT_TRUE(strstr(x.tls->ops->error_text(x.tls), "truncated") != NULL);
        XT_TRUE(!strstr(x.tls->ops->error_text(x.tls), "within a record") == !partial);
        XT_EQ(x.tls->ops->peek(x.tls).len, 5);
        xt_tls_close(&x);
    }
}

XT_TEST(reset_below_is_reported_as_such) {
    struct xt_tls_opt o = { .version = 13 };
    struct xt_tls x;
    xt_tls_open(&x, &o);
    XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
    xt_srv_write(&x, "one", 3);
    xt_srv_write(&x, "two", 3);
    x.low->ops->poll(x.low, x.now++);
    x.far->ops->abort(x.far);
    XT_EQ(xt_tls_drain(&x, got, sizeof got), 6); /* what had arrived is decrypted first */
    x.tls->ops->poll(x.tls, x.now++);
    XT_EQ(xt_tls_status(&x).state, XW_BS_FAILED);
    XT_EQ(xt_tls_status(&x).error, XW_ERESET);
    xt_tls_close(&x);
}

XT_TEST(end_during_the_handshake) {
    struct xt_tls_opt o = { .version = 13 };
    struct xt_tls x;
    xt_tls_open(&x, &o);
    x.tls->ops->poll(x.tls, x.now++);
    x.far->ops->shutdown_wr(x.far);
    x.tls->ops->poll(x.tls, x.now++);
    XT_EQ(xt_tls_status(&x).state, XW_BS_FAILED);
    XT_EQ(xt_tls_status(&x).error, XW_ETLS);
    XT_STR(x.tls->ops->error_text(x.tls), "TLS handshake failed: the peer ended the connection without close_notify");
    xt_tls_close(&x);
}

XT_TEST(corrupted_record_is_refused_with_an_alert) {
    for (uint8_t v = 12; v <= 13; v++) {
        struct xt_tls_opt o = { .version = v };
        struct xt_tls x;
        uint8_t rec[256];
        xt_tls_open(&x, &o);
        XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
        xt_srv_write(&x, "good", 4);
        XT_EQ(xt_tls_drain(&x, got, sizeof got), 4);
        XT_EQ(SSL_write(x.srv, "evil", 4), 4);
        int n = BIO_read(SSL_get_wbio(x.srv), rec, sizeof rec);
        XT_TRUE(n > 5);
        rec[n - 1] ^= 1;
        memcpy(x.far->ops->reserve(x.far).p, rec, (size_t)n);
        x.far->ops->commit(x.far, (size_t)n);
        XT_EQ(xt_tls_drain(&x, got, sizeof got), 0);
        XT_EQ(xt_tls_status(&x).state, XW_BS_FAILED);
        XT_EQ(xt_tls_status(&x).error, XW_ETLS);
        XT_STR(x.tls->ops->error_text(x.tls), "TLS read failed: decryption failed or bad record mac");
        xt_srv_step(&x);
        XT_TRUE(SSL_read(x.srv, got, 1) <= 0); /* our alert */
        XT_EQ(ERR_GET_REASON(ERR_peek_last_error()), SSL_AD_REASON_OFFSET + SSL_AD_BAD_RECORD_MAC);
        xt_tls_close(&x);
    }
}

static void feed_instead_of_tls(const char *bytes, size_t len, const char *want) {
    struct xt_tls_opt o = { .version = 13 };
    struct xt_tls x;
    xt_tls_open(&x, &o);
    x.tls->ops->poll(x.tls, x.now++);
    memcpy(x.far->ops->reserve(x.far).p, bytes, len);
    x.far->ops->commit(x.far, len);
    x.tls->ops->poll(x.tls, x.now++);
    XT_EQ(xt_tls_status(&x).state, XW_BS_FAILED);
    XT_EQ(xt_tls_status(&x).error, XW_ETLS);
    if (!strstr(x.tls->ops->error_text(x.tls), want))
        XT_FAIL("\"%s\" does not contain \"%s\"", x.tls->ops->error_text(x.tls), want);
    xt_tls_close(&x);
}

XT_TEST(what_is_not_tls_is_refused) {
    feed_instead_of_tls("HTTP/1.1 400 Bad Request\r\n\r\n", 28, "does not seem to speak TLS");
    feed_instead_of_tls("\x16\x03\x03\xff\xff", 5, "packet length too long");
    feed_instead_of_tls("\x15\x03\x03\0\x02\x02\x28", 7, "fatal alert: handshake failure (40)");
}

/* The same on an open connection, where our own record layer has to see it; what was read before stays. */
XT_TEST(what_is_no_record_is_refused_later_too) {
    static const struct { const char *bytes; size_t len; } v[] = {
        { "HTTP/1.1 400 Bad Request\r\n", 26 }, { "\x17\x04\x03\0\x40", 5 }, { "\x17\x03\x03\xff\xff", 5 },
        { "\x14\x03\x03\0\1\1", 6 }, { "\x15\x03\x03\0\2\2\x28", 7 }, { "\x17\x03\x03\0\0", 5 } };
    for (uint8_t version = 12; version <= 13; version++)
        for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
            struct xt_tls_opt o = { .version = version };
            struct xt_tls x;
            if (version == 13 && v[i].bytes[0] == 0x14 && records_by == XT_OPENSSL)
                continue; /* OpenSSL drops it */
            xt_tls_open(&x, &o);
            XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
            xt_srv_write(&x, "good", 4);
            memcpy(x.far->ops->reserve(x.far).p, v[i].bytes, v[i].len);
            x.far->ops->commit(x.far, v[i].len);
            XT_EQ(xt_tls_drain(&x, got, sizeof got), 4);
            x.tls->ops->poll(x.tls, x.now++);
            if (xt_tls_status(&x).state != XW_BS_FAILED)
                XT_FAIL("1.%u, case %zu is taken", version - 10u, i);
            XT_EQ(xt_tls_status(&x).error, XW_ETLS);
            XT_TRUE(*x.tls->ops->error_text(x.tls) != 0);
            XT_EQ(x.tls->ops->reserve(x.tls).len, 0);
            xt_srv_step(&x);
            XT_TRUE(SSL_read(x.srv, got, 1) <= 0); /* our alert */
            XT_TRUE(ERR_GET_REASON(ERR_peek_last_error()) > SSL_AD_REASON_OFFSET);
            ERR_clear_error();
            xt_tls_close(&x);
        }
}

/* ---- backpressure ---- */

XT_TEST(nothing_is_decrypted_without_room) {
    struct xt_tls_opt o = { .version = 13, .plain_len = 32768 };
    struct xt_tls x;
    xt_tls_open(&x, &o);
    XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
    xt_pattern(sent, 3 * 16384, 7);
    for (unsigned i = 0; i < 3; i++)
        xt_srv_write(&x, sent + i * 16384, 16384);
    for (unsigned i = 0; i < 6; i++)
        x.tls->ops->poll(x.tls, x.now++);
    XT_EQ(x.tls->ops->peek(x.tls).len, 32768);
    XT_EQ(x.tls->ops->poll(x.tls, x.now++), XW_OK); /* full: no reason to poll again */
    x.tls->ops->consume(x.tls, 16383);
    x.tls->ops->poll(x.tls, x.now++);
    XT_EQ(x.tls->ops->peek(x.tls).len, 16385); /* one byte short of room for a whole record */
    x.tls->ops->consume(x.tls, 1);
    x.tls->ops->poll(x.tls, x.now++);
    struct xw_span s = x.tls->ops->peek(x.tls);
    XT_EQ(s.len, 32768);
    XT_MEM(s.p, sent + 16384, 32768);
    xt_tls_close(&x);
}

XT_TEST(what_finds_no_room_below_is_kept) {
    struct xt_tls_opt o = { .version = 13, .snd_len = 4096 };
    struct xt_tls x;
    size_t in = 0, out = 0;
    xt_tls_open(&x, &o);
    XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
    xt_pattern(sent, sizeof sent, 9);
    for (unsigned i = 0; out < sizeof sent; i++) {
        XT_TRUE(i < 10000);
        struct xw_mspan room = x.tls->ops->reserve(x.tls);
        size_t n = room.len < sizeof sent - in ? room.len : sizeof sent - in;
        memcpy(room.p, sent + in, n);
        x.tls->ops->commit(x.tls, n);
        in += n;
        if (i == 0) {
            XT_TRUE(!xt_tls_status(&x).tx_drained);
            for (unsigned k = 0; k < 4; k++) { /* nobody reads: the space runs out and stays out */
                n = x.tls->ops->reserve(x.tls).len;
                x.tls->ops->commit(x.tls, 0);
                XT_EQ(x.tls->ops->reserve(x.tls).len, n);
            }
        }
        out += xt_srv_read(&x, got + out, sizeof got - out);
        XT_TRUE(out == in || !xt_tls_status(&x).tx_drained); /* the stream below is, ours is not */
        x.tls->ops->poll(x.tls, x.now++);
    }
    XT_MEM(got, sent, sizeof sent);
    XT_TRUE(xt_tls_status(&x).tx_drained);
    xt_tls_close(&x);
}

XT_TEST(goodbye_waits_for_room) {
    struct xt_tls_opt o = { .version = 13, .snd_len = 4096 };
    struct xt_tls x;
    xt_tls_open(&x, &o);
    XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
    xt_pattern(sent, 16384, 3);
    xt_tls_send(&x, sent, 16384);
    x.tls->ops->shutdown_wr(x.tls);
    size_t n = 0;
    for (unsigned i = 0; i < 100 && !(SSL_get_shutdown(x.srv) & SSL_RECEIVED_SHUTDOWN); i++) {
        n += xt_srv_read(&x, got + n, sizeof got - n);
        x.tls->ops->poll(x.tls, x.now++);
    }
    XT_EQ(n, 16384);
    XT_MEM(got, sent, 16384);
    XT_TRUE(SSL_get_shutdown(x.srv) & SSL_RECEIVED_SHUTDOWN);
    xt_tls_close(&x);
}

/* ---- stamps ---- */

static uint64_t tick(void *arg) { return ++*(uint64_t *)arg; }

/* Three records; the middle one comes in two packets. */
XT_TEST(stamps_of_first_and_last_packet_and_decrypt_times) {
    uint64_t clock = 5000, begin, end;
    struct xt_tls_opt o = { .version = 13, .clock = tick, .clock_arg = &clock };
    struct xw_rxstamp p[3] = { { .kern_ns = 100, .valid = XW_RXS_KERN }, { .kern_ns = 200, .valid = XW_RXS_KERN },
                               { .kern_ns = 300, .ring_ns = 301, .valid = XW_RXS_KERN | XW_RXS_RING } };
    struct xw_rxstamp last, first;
    struct xt_tls x;
    xt_tls_open(&x, &o);
    XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
    xt_tls_drain(&x, got, sizeof got);
    xt_pattern(sent, 500, 1);
    uint64_t at = x.low->ops->rx_offset(x.low);
    for (unsigned i = 0; i < 3; i++)
        xt_srv_write(&x, sent, 500);
    uint64_t len = 5 + 500 + 1 + 16;
    xw_bs_mem_set_stamp(x.low, &p[0]);
    xw_bs_mem_until(x.low, at + len + 3); /* the first record and three bytes of the second one's header */
    x.tls->ops->poll(x.tls, x.now++);
    xw_bs_mem_set_stamp(x.low, &p[1]);
    xw_bs_mem_until(x.low, at + 2 * len);
    x.tls->ops->poll(x.tls, x.now++);
    xw_bs_mem_set_stamp(x.low, &p[2]);
    xw_bs_mem_until(x.low, UINT64_MAX);
    x.tls->ops->poll(x.tls, x.now++);
    XT_EQ(x.tls->ops->peek(x.tls).len, 1500);
    static const unsigned want_first[] = { 0, 0, 2 }, want_last[] = { 0, 1, 2 };
    for (uint64_t off = 0; off < 1500; off++) {
        x.tls->ops->stamp(x.tls, off, &last, &first);
        XT_EQ(first.kern_ns, p[want_first[off / 500]].kern_ns);
        XT_EQ(last.kern_ns, p[want_last[off / 500]].kern_ns);
        XT_EQ(last.valid, p[want_last[off / 500]].valid);
        xw_tls_record_times(x.tls, off, &begin, &end);
        XT_EQ(begin, 5001 + 2 * (off / 500));
        XT_EQ(end, begin + 1);
    }
    x.tls->ops->stamp(x.tls, 1500, &last, &first);
    XT_EQ(last.valid, 0);
    xw_tls_record_times(x.tls, 1500, &begin, &end);
    XT_EQ(begin, 0);
    XT_EQ(x.tls->ops->rx_offset(x.tls), 0);
    x.tls->ops->consume(x.tls, 1500);
    XT_EQ(x.tls->ops->rx_offset(x.tls), 1500);
    x.tls->ops->stamp(x.tls, 700, &last, &first); /* consumed since the last poll */
    XT_EQ(first.kern_ns, 100);
    XT_EQ(last.kern_ns, 200);
    xt_tls_close(&x);
}

/* All of it three times: with OpenSSL's record layer, and with ours over each of its libraries. */
int main(int argc, char **argv) {
    static const struct xt_case cases[] = {
        XT_RUN(tls13_suites_with_both_kinds_of_key), XT_RUN(tls12_suites_with_both_kinds_of_key),
        XT_RUN(hello_retry_request),
        XT_RUN(only_the_versions_that_the_context_allows), XT_RUN(handshake_byte_by_byte),
        XT_RUN(handshake_cut_at_sampled_offsets), XT_RUN(one_record_a_poll), XT_RUN(key_update_both_ways),
        XT_RUN(key_update_waits_for_room), XT_RUN(nothing_follows_our_goodbye), XT_RUN(what_is_no_record_is_refused_later_too),
        XT_RUN(renegotiation_is_refused), XT_RUN(peer_says_goodbye_first), XT_RUN(we_say_goodbye_first),
        XT_RUN(bytes_behind_goodbye_are_dropped), XT_RUN(foreign_entries_in_the_error_queue),
        XT_RUN(truncation_is_a_failure_after_the_data), XT_RUN(reset_below_is_reported_as_such),
        XT_RUN(end_during_the_handshake), XT_RUN(corrupted_record_is_refused_with_an_alert),
        XT_RUN(what_is_not_tls_is_refused), XT_RUN(nothing_is_decrypted_without_room),
        XT_RUN(what_finds_no_room_below_is_kept), XT_RUN(goodbye_waits_for_room),
        XT_RUN(stamps_of_first_and_last_packet_and_decrypt_times)
    };
    int rc = 0;
    for (enum xt_engine e = XT_OPENSSL; e < XT_ENGINES; e++) {
        fprintf(stderr, "records by %s\n", xt_engine_name(e));
        xt_tls_engine(records_by = e);
        rc |= xt_main(cases, sizeof cases / sizeof *cases, argc, argv);
    }
    return rc;
}
