/* The connection after the handshake, rule by rule: the test is the server, with the record layer of record.h. */
#include "base/err.h"
#include "tls/kdf.h"
#include "tls/own.h"
#include "xt.h"
#include "xt_tls.h"
#include <openssl/evp.h>

static struct xw_aead_lib *lib;
static struct xw_own own;
static struct xw_rec srv_tx, srv_rx; /* the server's keys */
static uint8_t secret[2][32];        /* of client, server */
static uint8_t content[XW_REC_CONTENT_MAX + 1], rec[20000], out[XW_REC_OPEN_MAX];

static void server_key(struct xw_rec *r, bool sealing, const uint8_t *from) {
    uint8_t key[16], iv[12];
    XT_EQ(xw_kdf_expand_label(EVP_sha256(), xw_span(from, 32), "key", key, 16), XW_OK);
    XT_EQ(xw_kdf_expand_label(EVP_sha256(), xw_span(from, 32), "iv", iv, 12), XW_OK);
    XT_EQ(xw_rec_key(r, lib, XW_AEAD_AES128_GCM, true, sealing, key, iv), XW_OK);
}

static void server_next_key(struct xw_rec *r, bool sealing, uint8_t *from) {
    uint8_t next[32];
    XT_EQ(xw_kdf_expand_label(EVP_sha256(), xw_span(from, 32), "traffic upd", next, 32), XW_OK);
    memcpy(from, next, 32);
    server_key(r, sealing, from);
}

static void begin13(void) {
    if (!lib)
        XT_EQ(xw_aead_lib_new(&lib), XW_OK);
    xt_pattern(secret, sizeof secret, 1);
    XT_EQ(xw_own_start13(&own, lib, XW_AEAD_AES128_GCM, EVP_sha256(), xw_span(secret[0], 32), xw_span(secret[1], 32)),
          XW_OK);
    server_key(&srv_rx, false, secret[0]);
    server_key(&srv_tx, true, secret[1]);
}

/* TLS 1.2: the server's keys are the same key block the other way round. */
static void begin12(void) {
    static const uint8_t master[48] = { 7 }, client[32] = { 8 }, server[32] = { 9 };
    uint8_t block[40], seed[64];
    if (!lib)
        XT_EQ(xw_aead_lib_new(&lib), XW_OK);
    XT_EQ(xw_own_start12(&own, lib, XW_AEAD_AES128_GCM, EVP_sha256(), xw_span(master, 48), client, server, 5), XW_OK);
    memcpy(seed, server, 32), memcpy(seed + 32, client, 32);
    XT_EQ(xw_kdf_prf12(EVP_sha256(), xw_span(master, 48), "key expansion", xw_span(seed, 64), block, 40), XW_OK);
    XT_EQ(xw_rec_key(&srv_rx, lib, XW_AEAD_AES128_GCM, false, false, block, block + 32), XW_OK);
    XT_EQ(xw_rec_key(&srv_tx, lib, XW_AEAD_AES128_GCM, false, true, block + 16, block + 36), XW_OK);
    srv_rx.seq = srv_tx.seq = 1;
}

static enum xw_own_result from_server(uint8_t type, const void *bytes, size_t len, size_t *n) {
    if (len)
        memcpy(content, bytes, len);
    size_t rec_len = xw_rec_seal(&srv_tx, type, content, len, rec);
    return xw_own_open(&own, xw_span(rec, rec_len), out, n);
}

/* A record that changes nothing, and a refusal with its alert. */
static void passes(uint8_t type, const void *bytes, size_t len) {
    size_t n = 0;
    enum xw_own_result r = from_server(type, bytes, len, &n);
    if (r)
        XT_FAIL("%s", own.why ? own.why : "not nothing");
}

static void refused(uint8_t type, const void *bytes, size_t len, enum xw_alert alert) {
    size_t n = 0;
    XT_EQ(from_server(type, bytes, len, &n), XW_OWN_FATAL);
    XT_TRUE(!own.by_peer);
    XT_EQ(own.alert, alert);
    XT_TRUE(own.why != NULL && *own.why);
}

static void data_both_ways(void) {
    struct xw_rec_content c;
    size_t n = 0;
    XT_EQ(from_server(XW_REC_DATA, "price", 5, &n), XW_OWN_DATA);
    XT_EQ(n, 5);
    XT_MEM(out, "price", 5);
    memcpy(content, "order", 5);
    n = xw_own_seal(&own, XW_REC_DATA, content, 5, rec);
    XT_TRUE(n > 0);
    XT_EQ(xw_rec_open(&srv_rx, xw_span(rec, n), out, &c), 0);
    XT_EQ(c.type, XW_REC_DATA);
    XT_EQ(c.len, 5);
    XT_MEM(out, "order", 5);
}

/* What it owes, as the server reads it. */
static void owed(uint8_t type, const void *bytes, size_t len) {
    struct xw_rec_content c;
    XT_TRUE(xw_own_owes(&own));
    size_t n = xw_own_owed(&own, rec);
    XT_TRUE(n > 0 && n <= XW_OWN_OWED_MAX);
    XT_EQ(xw_rec_open(&srv_rx, xw_span(rec, n), out, &c), 0);
    XT_EQ(c.type, type);
    XT_EQ(c.len, len);
    XT_MEM(out, bytes, len);
}

XT_TEST(data) {
    begin13();
    data_both_ways();
    begin12();
    data_both_ways();
    XT_TRUE(!xw_own_owes(&own));
}

/* ---- tickets ---- */

static const uint8_t ticket[] = { 4, 0, 0, 24, 0, 0, 28, 32, 1, 2, 3, 4, 2, 0, 1, 0, 3, 'a', 'b', 'c', 0, 6, 0, 42, 0, 2,
                                  0, 0 };

XT_TEST(tickets_whole_in_pieces_and_together) {
    uint8_t two[2 * sizeof ticket];
    begin13();
    passes(XW_REC_HANDSHAKE, ticket, sizeof ticket);
    for (size_t cut = 1; cut < sizeof ticket; cut++) {
        passes(XW_REC_HANDSHAKE, ticket, cut);
        passes(XW_REC_HANDSHAKE, ticket + cut, sizeof ticket - cut);
    }
    for (size_t i = 0; i < sizeof ticket; i++)
        passes(XW_REC_HANDSHAKE, ticket + i, 1);
    memcpy(two, ticket, sizeof ticket), memcpy(two + sizeof ticket, ticket, sizeof ticket);
    passes(XW_REC_HANDSHAKE, two, sizeof two);
    static const uint8_t no_nonce_no_ext[] = { 4, 0, 0, 14, 0, 0, 28, 32, 1, 2, 3, 4, 0, 0, 1, 9, 0, 0 };
    passes(XW_REC_HANDSHAKE, no_nonce_no_ext, sizeof no_nonce_no_ext);
    data_both_ways();
}

/* Each byte of length one more or less than it should be. */
XT_TEST(malformed_tickets) {
    static const size_t lengths[] = { 3, 12, 16, 21 };
    for (size_t i = 0; i < 4; i++)
        for (int by = -1; by <= 1; by += 2) {
            uint8_t bad[sizeof ticket + 1];
            memcpy(bad, ticket, sizeof ticket);
            bad[sizeof ticket] = 0;
            bad[lengths[i]] = (uint8_t)(bad[lengths[i]] + by);
            begin13();
            if (i == 0 && by < 0)
                refused(XW_REC_HANDSHAKE, bad, sizeof ticket - 1, XW_ALERT_DECODE_ERROR);
            else if (i == 0)
                refused(XW_REC_HANDSHAKE, bad, sizeof ticket + 1, XW_ALERT_DECODE_ERROR);
            else
                refused(XW_REC_HANDSHAKE, bad, sizeof ticket, XW_ALERT_DECODE_ERROR);
        }
    begin13();
    refused(XW_REC_HANDSHAKE, "\4\0\0\0", 4, XW_ALERT_DECODE_ERROR);
    begin13();
    refused(XW_REC_HANDSHAKE, "\4\2\2\0", 4, XW_ALERT_DECODE_ERROR); /* longer than one can be */
    begin13();
    refused(XW_REC_HANDSHAKE, "\4\0\0\x0d\0\0\0\0\0\0\0\0\0\0\0\0\0", 17, XW_ALERT_DECODE_ERROR); /* empty ticket */
}

/* ---- key updates ---- */

XT_TEST(key_updates) {
    begin13();
    passes(XW_REC_HANDSHAKE, "\x18\0\0\1\0", 5);
    server_next_key(&srv_tx, true, secret[1]);
    XT_TRUE(!xw_own_owes(&own));
    data_both_ways();
    for (unsigned i = 0; i < 3; i++) { /* asked for several times before we can answer: one answer */
        passes(XW_REC_HANDSHAKE, "\x18\0\0\1\1", 5);
        server_next_key(&srv_tx, true, secret[1]);
    }
    owed(XW_REC_HANDSHAKE, "\x18\0\0\1\0", 5);
    XT_TRUE(!xw_own_owes(&own));
    server_next_key(&srv_rx, false, secret[0]);
    data_both_ways();
    passes(XW_REC_HANDSHAKE, "\x18\0", 2); /* in pieces */
    passes(XW_REC_HANDSHAKE, "\0\1\0", 3);
    server_next_key(&srv_tx, true, secret[1]);
    data_both_ways();
}

XT_TEST(malformed_key_updates) {
    static const struct { const char *bytes; size_t len; enum xw_alert alert; } v[] = {
        { "\x18\0\0\1\2", 5, XW_ALERT_ILLEGAL_PARAMETER },
        { "\x18\0\0\0", 4, XW_ALERT_DECODE_ERROR },
        { "\x18\0\0\2\0\0", 6, XW_ALERT_DECODE_ERROR },
        { "\x18\0\0\1\0\x18\0\0\1\0", 10, XW_ALERT_UNEXPECTED_MESSAGE }, /* must end its record */
    };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        begin13();
        refused(XW_REC_HANDSHAKE, v[i].bytes, v[i].len, v[i].alert);
    }
}

/* RFC 8446 5.5: new keys before the old ones have protected too much; ours by a number of records, the peer's by bytes. */
XT_TEST(keys_are_renewed_in_time) {
    size_t n;
    begin13();
    XT_EQ(own.tx_records_max, 1 << 24);
    own.tx_records_max = 3;
    for (unsigned i = 0; i < 3; i++) {
        XT_TRUE(!xw_own_owes(&own));
        data_both_ways();
    }
    owed(XW_REC_HANDSHAKE, "\x18\0\0\1\0", 5);
    server_next_key(&srv_rx, false, secret[0]);
    data_both_ways();
    XT_TRUE(!xw_own_owes(&own));
    own.rx_bytes_max = 10;
    XT_EQ(from_server(XW_REC_DATA, "123456", 6, &n), XW_OWN_DATA);
    owed(XW_REC_HANDSHAKE, "\x18\0\0\1\1", 5);
    server_next_key(&srv_rx, false, secret[0]);
    data_both_ways();
    begin12();
    own.rx_bytes_max = own.tx_records_max = 1;
    data_both_ways();
    XT_TRUE(!xw_own_owes(&own)); /* 1.2 has no such thing */
}

/* ---- alerts ---- */

XT_TEST(goodbye_and_alerts) {
    size_t n = 0;
    for (unsigned v = 12; v <= 13; v++) {
        v == 12 ? begin12() : begin13();
        XT_EQ(from_server(XW_REC_ALERT, "\1\0", 2, &n), XW_OWN_END);
        v == 12 ? begin12() : begin13();
        XT_EQ(from_server(XW_REC_ALERT, "\2\x28", 2, &n), XW_OWN_FATAL);
        XT_TRUE(own.by_peer);
        XT_EQ(own.alert, 40);
        v == 12 ? begin12() : begin13();
        refused(XW_REC_ALERT, "\1", 1, XW_ALERT_DECODE_ERROR);
        v == 12 ? begin12() : begin13();
        refused(XW_REC_ALERT, "\1\0\0", 3, XW_ALERT_DECODE_ERROR);
        v == 12 ? begin12() : begin13();
        refused(XW_REC_ALERT, "", 0, XW_ALERT_UNEXPECTED_MESSAGE);
    }
    begin13(); /* the level means nothing */
    XT_EQ(from_server(XW_REC_ALERT, "\2\0", 2, &n), XW_OWN_END);
    begin13();
    XT_EQ(from_server(XW_REC_ALERT, "\1\x64", 2, &n), XW_OWN_FATAL);
    begin12();
    refused(XW_REC_ALERT, "\3\0", 2, XW_ALERT_ILLEGAL_PARAMETER);
}

XT_TEST(warnings_are_bounded) {
    for (unsigned v = 12; v <= 13; v++) {
        const char *warning = v == 12 ? "\1\x64" : "\1\x5a";
        v == 12 ? begin12() : begin13();
        for (unsigned i = 0; i < 4; i++)
            passes(XW_REC_ALERT, warning, 2);
        data_both_ways(); /* counts anew */
        for (unsigned i = 0; i < 4; i++)
            passes(XW_REC_ALERT, warning, 2);
        refused(XW_REC_ALERT, warning, 2, XW_ALERT_UNEXPECTED_MESSAGE);
    }
}

XT_TEST(our_alerts) {
    struct xw_rec_content c;
    for (unsigned v = 12; v <= 13; v++) {
        v == 12 ? begin12() : begin13();
        size_t n = xw_own_seal_alert(&own, XW_ALERT_CLOSE_NOTIFY, rec);
        XT_EQ(xw_rec_open(&srv_rx, xw_span(rec, n), out, &c), 0);
        XT_EQ(c.type, XW_REC_ALERT);
        XT_MEM(out, "\1\0", 2);
        n = xw_own_seal_alert(&own, XW_ALERT_BAD_RECORD_MAC, rec);
        XT_EQ(xw_rec_open(&srv_rx, xw_span(rec, n), out, &c), 0);
        XT_MEM(out, "\2\x14", 2);
    }
}

/* ---- what must not come ---- */

XT_TEST(empty_records_are_bounded) {
    for (unsigned v = 12; v <= 13; v++) {
        v == 12 ? begin12() : begin13();
        for (unsigned i = 0; i < 32; i++)
            passes(XW_REC_DATA, "", 0);
        data_both_ways();
        for (unsigned i = 0; i < 32; i++)
            passes(XW_REC_DATA, "", 0);
        refused(XW_REC_DATA, "", 0, XW_ALERT_UNEXPECTED_MESSAGE);
    }
}

XT_TEST(unexpected_messages) {
    static const uint8_t types[] = { 0, 1, 2, 8, 11, 13, 15, 20, 254 };
    for (size_t i = 0; i < sizeof types; i++) {
        uint8_t message[4] = { types[i], 0, 0, 0 };
        begin13();
        refused(XW_REC_HANDSHAKE, message, 4, XW_ALERT_UNEXPECTED_MESSAGE);
        begin12();
        if (types[i])
            refused(XW_REC_HANDSHAKE, message, 4, XW_ALERT_UNEXPECTED_MESSAGE);
    }
    for (unsigned v = 12; v <= 13; v++) {
        v == 12 ? begin12() : begin13();
        refused(XW_REC_HANDSHAKE, "", 0, XW_ALERT_UNEXPECTED_MESSAGE);
        v == 12 ? begin12() : begin13();
        refused(XW_REC_CCS, "\1", 1, XW_ALERT_UNEXPECTED_MESSAGE);
    }
    begin13();
    refused(24, "\1", 1, XW_ALERT_UNEXPECTED_MESSAGE);
    begin12();
    refused(XW_REC_HANDSHAKE, "\x18\0\0\1\0", 5, XW_ALERT_UNEXPECTED_MESSAGE); /* KeyUpdate is of 1.3 */
}

/* RFC 8446 5.1: nothing between the pieces of a handshake message. */
XT_TEST(no_interleaving) {
    static const uint8_t types[] = { XW_REC_DATA, XW_REC_ALERT };
    for (size_t i = 0; i < 2; i++) {
        begin13();
        passes(XW_REC_HANDSHAKE, ticket, 10);
        refused(types[i], "\1\0", 2, XW_ALERT_UNEXPECTED_MESSAGE);
    }
}

XT_TEST(hello_request_is_answered_by_a_warning) {
    begin12();
    passes(XW_REC_HANDSHAKE, "\0\0\0\0\0\0\0\0", 8);
    owed(XW_REC_ALERT, "\1\x64", 2);
    XT_TRUE(!xw_own_owes(&own));
    data_both_ways();
    refused(XW_REC_HANDSHAKE, "\0\0\0\1\0", 5, XW_ALERT_DECODE_ERROR);
}

XT_TEST(bad_mac_and_the_end_of_numbers) {
    size_t n = 0;
    begin13();
    n = xw_rec_seal(&srv_tx, XW_REC_DATA, content, 5, rec);
    rec[7] ^= 1;
    XT_EQ(xw_own_open(&own, xw_span(rec, n), out, &n), XW_OWN_FATAL);
    XT_EQ(own.alert, XW_ALERT_BAD_RECORD_MAC);
    begin13();
    own.rx.seq = UINT64_MAX;
    refused(XW_REC_DATA, "x", 1, XW_ALERT_INTERNAL_ERROR);
    own.tx.seq = UINT64_MAX;
    XT_EQ(xw_own_seal(&own, XW_REC_DATA, content, 1, rec), 0);
    XT_EQ(xw_own_seal_alert(&own, XW_ALERT_CLOSE_NOTIFY, rec), 0);
}

XT_TEST(nothing_is_left_behind) {
    static const struct xw_own none;
    begin13();
    XT_EQ(xw_own_start13(&own, lib, XW_AEAD_AES128_GCM, EVP_sha256(), xw_span(secret, 32), xw_span(secret, 31)),
          XW_EINVAL);
    xw_own_wipe(&own);
    XT_MEM(&own, &none, sizeof none);
    xw_rec_wipe(&srv_tx);
    xw_rec_wipe(&srv_rx);
    xw_aead_lib_free(lib);
    lib = NULL;
}

XT_MAIN(XT_RUN(data), XT_RUN(tickets_whole_in_pieces_and_together), XT_RUN(malformed_tickets), XT_RUN(key_updates),
        XT_RUN(malformed_key_updates), XT_RUN(keys_are_renewed_in_time), XT_RUN(goodbye_and_alerts),
        XT_RUN(warnings_are_bounded), XT_RUN(our_alerts), XT_RUN(empty_records_are_bounded),
        XT_RUN(unexpected_messages), XT_RUN(no_interleaving), XT_RUN(hello_request_is_answered_by_a_warning),
        XT_RUN(bad_mac_and_the_end_of_numbers), XT_RUN(nothing_is_left_behind))
