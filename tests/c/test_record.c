/* Records against RFC 8448, both directions against each other, and every rule of their form. */
#include "base/err.h"
#include "tls/record.h"
#include "xt.h"
#include "xt_hex.h"
#include "xt_tls.h"

static uint8_t content[XW_REC_CONTENT_MAX + 2], rec[XW_REC_CONTENT_MAX + 4096], out[XW_REC_OPEN_MAX + 1];
static struct xw_rec tx, rx;
static struct xw_aead_lib *lib;

static void pair(enum xw_aead_alg alg, bool tls13, enum xw_aead_backend backend) {
    static const uint8_t key[32] = { 1, 2, 3 }, iv[12] = { 4, 5, 6 };
    if (!lib)
        XT_EQ(xw_aead_lib_new(&lib), XW_OK);
    xw_aead_lib_prefer(lib, xw_aead_has(lib, backend, alg) ? backend : XW_AEAD_EVP);
    XT_EQ(xw_rec_key(&tx, lib, alg, tls13, true, key, iv), XW_OK);
    XT_EQ(xw_rec_key(&rx, lib, alg, tls13, false, key, iv), XW_OK);
}

static int open_len(size_t len, struct xw_rec_content *c) { return xw_rec_open(&rx, xw_span(rec, len), out, c); }

XT_TEST(application_records_of_rfc8448) {
    static const struct { const char *key, *iv, *rec; uint64_t seq; } v[] = {
        { "17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9",
          "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a"
          "6292a2977014bd1e3deae63aeebb21694915e4", 0 },
        { "9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984", /* behind the ticket */
          "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c4bf2e5"
          "f0a21c0047c2abf332540dd032e167c2955d", 1 },
    };
    uint8_t key[16], iv[12];
    for (unsigned k = 0; k < 4; k++) {
        struct xw_rec_content c;
        unsigned i = k / 2;
        pair(XW_AEAD_AES128_GCM, true, k % 2 ? XW_AEAD_EVP : XW_AEAD_IPSEC_MB);
        XT_EQ(xt_hex(v[i].key, key, 16) + xt_hex(v[i].iv, iv, 12), 28);
        XT_EQ(xw_rec_key(&tx, lib, XW_AEAD_AES128_GCM, true, true, key, iv), XW_OK);
        XT_EQ(xw_rec_key(&rx, lib, XW_AEAD_AES128_GCM, true, false, key, iv), XW_OK);
        tx.seq = rx.seq = v[i].seq;
        size_t n = xt_hex(v[i].rec, rec, sizeof rec);
        XT_EQ(open_len(n, &c), 0);
        XT_EQ(c.type, XW_REC_DATA);
        XT_EQ(c.len, 50);
        for (unsigned b = 0; b < 50; b++)
            XT_EQ(out[b], b);
        uint8_t again[128];
        XT_EQ(xw_rec_seal(&tx, XW_REC_DATA, out, 50, again), n);
        XT_MEM(again, rec, n);
    }
}

XT_TEST(sealed_and_opened) {
    static const size_t lens[] = { 0, 1, 15, 16, 17, 200, 4096, 16383, 16384 };
    for (enum xw_aead_alg alg = XW_AEAD_AES128_GCM; alg <= XW_AEAD_CHACHA20_POLY1305; alg++)
        for (unsigned k = 0; k < 4; k++) {
            bool tls13 = k & 1;
            pair(alg, tls13, k & 2 ? XW_AEAD_EVP : XW_AEAD_IPSEC_MB);
            XT_EQ(xw_rec_overhead(&tx), tls13 ? 22 : alg == XW_AEAD_CHACHA20_POLY1305 ? 21 : 29);
            for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
                struct xw_rec_content c;
                xt_pattern(content, lens[i], (uint32_t)i);
                size_t n = xw_rec_seal(&tx, XW_REC_ALERT + i % 3, content, lens[i], rec);
                XT_EQ(n, lens[i] + xw_rec_overhead(&tx));
                XT_EQ(rec[0], tls13 ? XW_REC_DATA : XW_REC_ALERT + i % 3);
                out[XW_REC_OPEN_MAX] = 0x77;
                XT_EQ(open_len(n, &c), 0);
                XT_EQ(c.type, XW_REC_ALERT + i % 3);
                XT_EQ(c.len, lens[i]);
                XT_MEM(out, content, lens[i]);
                XT_EQ(out[XW_REC_OPEN_MAX], 0x77);
                XT_EQ(tx.seq, i + 1);
                XT_EQ(rx.seq, i + 1);
            }
            XT_EQ(open_len(lens[8] + xw_rec_overhead(&tx), &(struct xw_rec_content){ 0 }),
                  XW_ALERT_BAD_RECORD_MAC); /* the same again is a replay */
        }
}

/* Any changed bit: bad MAC, except where the header itself says what is wrong. Nothing of the content shows. */
XT_TEST(every_changed_bit_is_refused) {
    for (unsigned k = 0; k < 2; k++) {
        struct xw_rec_content c;
        static const uint8_t zero[40];
        pair(XW_AEAD_AES256_GCM, k, XW_AEAD_IPSEC_MB);
        xt_pattern(content, 40, 3);
        size_t n = xw_rec_seal(&tx, XW_REC_DATA, content, 40, rec);
        for (size_t bit = 0; bit < n * 8; bit++) {
            if (!k && bit >= 24 && bit < 40)
                continue; /* the length, which the caller cut by: in 1.2 what counts is that of the content */
            rec[bit / 8] ^= (uint8_t)(1u << bit % 8);
            int alert = open_len(n, &c);
            bool header = bit < 24;
            if (!header)
                XT_EQ(alert, XW_ALERT_BAD_RECORD_MAC);
            XT_TRUE(alert > 0);
            XT_EQ(rx.seq, 0);
            if (alert == XW_ALERT_BAD_RECORD_MAC)
                XT_MEM(out, zero, 40);
            rec[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        XT_EQ(open_len(n, &c), 0);
    }
}

/* Content of any inner form: the content is sealed as data by hand. */
static size_t seal_inner(const void *inner, size_t len) {
    uint8_t nonce[16];
    memcpy(nonce, tx.iv, 16);
    for (unsigned i = 0; i < 8; i++)
        nonce[4 + i] ^= (uint8_t)(tx.seq >> (56 - 8 * i));
    tx.seq++;
    rec[0] = XW_REC_DATA, rec[1] = rec[2] = 3, rec[3] = (uint8_t)((len + 16) >> 8), rec[4] = (uint8_t)(len + 16);
    XT_TRUE(xw_aead_seal(&tx.aead, nonce, xw_span(rec, 5), xw_span(inner, len), rec + 5));
    return len + 16 + 5;
}

XT_TEST(padding) {
    static uint8_t inner[XW_REC_CONTENT_MAX + 300];
    struct xw_rec_content c;
    pair(XW_AEAD_AES128_GCM, true, XW_AEAD_IPSEC_MB);
    memcpy(inner, "abc\x17", 4);
    static const size_t whole[] = { 4, 5, 100, XW_REC_CONTENT_MAX, XW_REC_OPEN_MAX };
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        XT_EQ(open_len(seal_inner(inner, whole[i]), &c), 0);
        XT_EQ(c.type, XW_REC_DATA);
        XT_EQ(c.len, 3);
    }
    XT_EQ(open_len(seal_inner("\0\0\0\x15", 4), &c), 0); /* zeros in front of the type are content */
    XT_EQ(c.type, XW_REC_ALERT);
    XT_EQ(c.len, 3);
    XT_EQ(open_len(seal_inner("\0\0\0\0", 4), &c), XW_ALERT_UNEXPECTED_MESSAGE);
    pair(XW_AEAD_AES128_GCM, true, XW_AEAD_IPSEC_MB);
    XT_EQ(open_len(seal_inner("", 0), &c), XW_ALERT_UNEXPECTED_MESSAGE);
    XT_EQ(open_len(seal_inner(inner, XW_REC_OPEN_MAX + 1), &c), XW_ALERT_RECORD_OVERFLOW);
}

static int header(uint8_t type, uint8_t minor, size_t len) {
    struct xw_rec_content c;
    rec[0] = type, rec[1] = 3, rec[2] = minor, rec[3] = (uint8_t)(len >> 8), rec[4] = (uint8_t)len;
    return open_len(5 + len, &c);
}

XT_TEST(headers) {
    pair(XW_AEAD_AES128_GCM, true, XW_AEAD_IPSEC_MB);
    for (unsigned type = 20; type <= 24; type++)
        if (type != 23)
            XT_EQ(header((uint8_t)type, 3, 40), XW_ALERT_UNEXPECTED_MESSAGE);
    XT_EQ(header(23, 3, 0), XW_ALERT_BAD_RECORD_MAC);
    XT_EQ(header(23, 3, 15), XW_ALERT_BAD_RECORD_MAC);
    XT_EQ(header(23, 3, XW_REC_CONTENT_MAX + 257), XW_ALERT_RECORD_OVERFLOW);
    pair(XW_AEAD_AES128_GCM, false, XW_AEAD_IPSEC_MB);
    XT_EQ(header(24, 3, 40), XW_ALERT_UNEXPECTED_MESSAGE);
    XT_EQ(header(23, 2, 40), XW_ALERT_PROTOCOL_VERSION);
    XT_EQ(header(23, 4, 40), XW_ALERT_PROTOCOL_VERSION);
    XT_EQ(header(23, 3, 23), XW_ALERT_BAD_RECORD_MAC);
    XT_EQ(header(23, 3, XW_REC_CONTENT_MAX + 25), XW_ALERT_RECORD_OVERFLOW);
    XT_EQ(header(23, 3, XW_REC_CONTENT_MAX + 24), XW_ALERT_BAD_RECORD_MAC);
}

XT_TEST(sequence_numbers_end) {
    struct xw_rec_content c;
    pair(XW_AEAD_CHACHA20_POLY1305, true, XW_AEAD_IPSEC_MB);
    tx.seq = rx.seq = UINT64_MAX - 1;
    size_t n = xw_rec_seal(&tx, XW_REC_DATA, content, 10, rec);
    XT_EQ(n, 32);
    XT_EQ(open_len(n, &c), 0);
    XT_EQ(xw_rec_seal(&tx, XW_REC_DATA, content, 10, rec), 0);
    XT_EQ(open_len(n, &c), XW_ALERT_INTERNAL_ERROR);
}

XT_TEST(explicit_nonces_count) {
    pair(XW_AEAD_AES128_GCM, false, XW_AEAD_IPSEC_MB);
    tx.nonce = UINT64_MAX;
    for (unsigned i = 0; i < 2; i++) {
        struct xw_rec_content c;
        size_t n = xw_rec_seal(&tx, XW_REC_DATA, content, 10, rec);
        XT_EQ(rec[5], i ? 0 : 0xff);
        XT_EQ(rec[12], i ? 0 : 0xff);
        XT_EQ(open_len(n, &c), 0);
    }
    xw_rec_wipe(&tx);
    xw_rec_wipe(&rx);
    static const struct xw_rec none;
    XT_MEM(&tx, &none, sizeof none);
    xw_aead_lib_free(lib);
}

XT_MAIN(XT_RUN(application_records_of_rfc8448), XT_RUN(sealed_and_opened), XT_RUN(every_changed_bit_is_refused),
        XT_RUN(padding), XT_RUN(headers), XT_RUN(sequence_numbers_end), XT_RUN(explicit_nonces_count))
