/* Captures of other implementations' connections with their keys: both directions must open to the last record, with the
 * bytes that are known to be in them. The captures are not part of the project: XDPWS_PCAPS names their folder, else
 * ../shared/data/pcaps; what is not there is skipped. */
#include "base/err.h"
#include "tls/kdf.h"
#include "tls/own.h"
#include "xt.h"
#include "xt_hex.h"
#include <openssl/evp.h>
#include <unistd.h>

#define STREAM_MAX 400000u

struct stream {
    uint32_t first;        /* sequence number of its first byte */
    bool syn;
    size_t len;
    uint8_t bytes[STREAM_MAX];
};
struct keys {
    bool tls13;
    enum xw_aead_alg alg;
    const EVP_MD *md;
    uint8_t client_random[32], server_random[32];
    char log[65536];
};

static struct stream dir[2];      /* of client, of server */
static uint16_t client_port;
static struct keys keys;
static struct xw_own own;
static uint8_t plain[XW_REC_OPEN_MAX], flight[65536];

static uint32_t be(const uint8_t *p, unsigned n) {
    uint32_t v = 0;
    while (n--)
        v = v << 8 | *p++;
    return v;
}

/* ---- packets to streams ---- */

static void segment(const uint8_t *tcp, size_t len) {
    uint16_t from = (uint16_t)be(tcp, 2);
    uint32_t seq = be(tcp + 4, 4);
    size_t head = (size_t)(tcp[12] >> 4) * 4;
    bool syn = tcp[13] & 2, ack = tcp[13] & 16;
    if (syn && !ack && !client_port)
        client_port = from;
    if (from != client_port && (uint16_t)be(tcp + 2, 2) != client_port)
        return; /* another connection */
    struct stream *s = &dir[from != client_port];
    if (syn && !s->syn)
        s->syn = true, s->first = seq + 1;
    size_t at = (uint32_t)(seq - s->first), n = len - head;
    if (syn || !s->syn || !n || at > STREAM_MAX || n > STREAM_MAX - at)
        return;
    memcpy(s->bytes + at, tcp + head, n);
    s->len = s->len > at + n ? s->len : at + n;
}

static void packet(const uint8_t *p, size_t len) {
    if (len > 40 && p[0] >> 4 == 4 && p[9] == 6) {
        size_t head = (size_t)(p[0] & 15) * 4, whole = be(p + 2, 2);
        segment(p + head, (whole && whole < len ? whole : len) - head);
    } else if (len > 60 && p[0] >> 4 == 6 && p[6] == 6)
        segment(p + 40, be(p + 4, 2));
}

static bool read_capture(const char *path) {
    uint8_t h[24], data[70000];
    FILE *f = fopen(path, "rb");
    memset(dir, 0, sizeof dir);
    client_port = 0;
    if (!f)
        return false;
    XT_EQ(fread(h, 1, 24, f), 24);
    XT_MEM(h, "\xd4\xc3\xb2\xa1", 4); /* little-endian, microseconds */
    size_t link = h[20] == 1 ? 14 : h[20] == 0 ? 4 : h[20] == 113 ? 16 : 0;
    while (fread(h, 1, 16, f) == 16) {
        uint32_t n = h[8] | (uint32_t)h[9] << 8 | (uint32_t)h[10] << 16;
        XT_TRUE(n <= sizeof data && n >= link);
        XT_EQ(fread(data, 1, n, f), n);
        packet(data + link, n - link);
    }
    fclose(f);
    return true;
}

/* ---- the handshake: what keys there are ---- */

static void choose_suite(uint16_t suite) {
    static const struct { uint16_t id; enum xw_aead_alg alg; bool sha384; } known[] = {
        { 0x1301, XW_AEAD_AES128_GCM, false }, { 0x1302, XW_AEAD_AES256_GCM, true },
        { 0x1303, XW_AEAD_CHACHA20_POLY1305, false }, { 0xc02b, XW_AEAD_AES128_GCM, false },
        { 0xc02f, XW_AEAD_AES128_GCM, false }, { 0xc02c, XW_AEAD_AES256_GCM, true },
        { 0xc030, XW_AEAD_AES256_GCM, true }, { 0xcca8, XW_AEAD_CHACHA20_POLY1305, false } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].id == suite) {
            keys.alg = known[i].alg;
            keys.md = known[i].sha384 ? EVP_sha384() : EVP_sha256();
            keys.tls13 = suite >> 8 == 0x13;
            return;
        }
    XT_FAIL("suite %04x", suite);
}

static void hellos(const char *keylog) {
    FILE *f = fopen(keylog, "r");
    XT_TRUE(f != NULL);
    size_t n = fread(keys.log, 1, sizeof keys.log - 1, f);
    fclose(f);
    keys.log[n] = 0;
    for (unsigned side = 0; side < 2; side++) {
        XT_EQ(dir[side].bytes[0], XW_REC_HANDSHAKE);
        XT_EQ(dir[side].bytes[5], 1 + side);
    }
    memcpy(keys.client_random, dir[0].bytes + 11, 32);
    memcpy(keys.server_random, dir[1].bytes + 11, 32);
    const uint8_t *session = dir[1].bytes + 11 + 32;
    choose_suite((uint16_t)be(session + 1 + session[0], 2));
}

static size_t secret(const char *label, uint8_t *out) {
    char want[128] = "", hex[128];
    size_t n = (size_t)snprintf(want, sizeof want, "%s ", label);
    for (unsigned i = 0; i < 32; i++)
        n += (size_t)snprintf(want + n, sizeof want - n, "%02x", keys.client_random[i]);
    const char *line = strstr(keys.log, want);
    if (!line || sscanf(line + n, "%127s", hex) != 1)
        XT_FAIL("no %s in the key log", label);
    return xt_hex(hex, out, XW_OWN_SECRET_MAX);
}

/* ---- opening ---- */

static size_t record_at(const struct stream *s, size_t at) {
    size_t n = at + 5 <= s->len ? 5 + be(s->bytes + at + 3, 2) : 0;
    return n && at + n <= s->len ? n : 0;
}

/* TLS 1.3: the encrypted part of the handshake, up to and with Finished; where it ends. */
static size_t behind_finished13(unsigned side, const struct xw_aead_lib *lib) {
    static struct xw_rec rec;
    uint8_t s[XW_OWN_SECRET_MAX], key[32], iv[12];
    size_t len = secret(side ? "SERVER_HANDSHAKE_TRAFFIC_SECRET" : "CLIENT_HANDSHAKE_TRAFFIC_SECRET", s), got = 0;
    XT_EQ(xw_kdf_expand_label(keys.md, xw_span(s, len), "key", key, xw_aead_key_len(keys.alg)), 0);
    XT_EQ(xw_kdf_expand_label(keys.md, xw_span(s, len), "iv", iv, 12), 0);
    XT_EQ(xw_rec_key(&rec, lib, keys.alg, true, false, key, iv), 0);
    for (size_t at = 0, n; (n = record_at(&dir[side], at)); at += n) {
        struct xw_rec_content c;
        if (dir[side].bytes[at] != XW_REC_DATA)
            continue;
        XT_EQ(xw_rec_open(&rec, xw_span(dir[side].bytes + at, n), plain, &c), 0);
        XT_EQ(c.type, XW_REC_HANDSHAKE);
        XT_TRUE(got + c.len <= sizeof flight);
        memcpy(flight + got, plain, c.len);
        got += c.len;
        for (size_t m = 0; m + 4 <= got; m += 4 + be(flight + m + 1, 3))
            if (flight[m] == 20) { /* Finished */
                XT_EQ(m + 4 + be(flight + m + 1, 3), got);
                xw_rec_wipe(&rec);
                return at + n;
            }
    }
    XT_FAIL("no Finished");
}

/* TLS 1.2: behind the record after change_cipher_spec. */
static size_t behind_finished12(unsigned side) {
    bool changed = false;
    for (size_t at = 0, n; (n = record_at(&dir[side], at)); at += n) {
        if (changed)
            return at + n;
        changed = dir[side].bytes[at] == XW_REC_CCS;
    }
    XT_FAIL("no Finished");
}

/* own reads what this side sent. */
static size_t start(unsigned side, const struct xw_aead_lib *lib) {
    uint8_t s[2][XW_OWN_SECRET_MAX];
    size_t len;
    if (keys.tls13) {
        len = secret("CLIENT_TRAFFIC_SECRET_0", s[0]);
        XT_EQ(secret("SERVER_TRAFFIC_SECRET_0", s[1]), len);
        XT_EQ(xw_own_start13(&own, lib, keys.alg, keys.md, xw_span(s[!side], len), xw_span(s[side], len)), 0);
        return behind_finished13(side, lib);
    }
    len = secret("CLIENT_RANDOM", s[0]);
    XT_EQ(xw_own_start12(&own, lib, keys.alg, keys.md, xw_span(s[0], len), keys.client_random, keys.server_random, 1), 0);
    if (!side) { /* read with what we would have written with */
        uint8_t block[88], seed[64];
        size_t k = xw_aead_key_len(keys.alg), iv = xw_rec_iv_len(false, keys.alg);
        memcpy(seed, keys.server_random, 32), memcpy(seed + 32, keys.client_random, 32);
        XT_EQ(xw_kdf_prf12(keys.md, xw_span(s[0], len), "key expansion", xw_span(seed, 64), block, 2 * (k + iv)), 0);
        XT_EQ(xw_rec_key(&own.rx, lib, keys.alg, false, false, block, block + 2 * k), 0);
        own.rx.seq = 1;
    }
    return behind_finished12(side);
}

/* All application data of one side: how many bytes. */
static size_t read_side(unsigned side, const struct xw_aead_lib *lib, const char *name) {
    size_t sum = 0, got, n, at = start(side, lib);
    bool ended = false;
    for (; !ended && (n = record_at(&dir[side], at)); at += n) {
        enum xw_own_result r = xw_own_open(&own, xw_span(dir[side].bytes + at, n), plain, &got);
        if (r == XW_OWN_FATAL)
            XT_FAIL("%s, side %u, byte %zu: %s", name, side, at, own.by_peer ? "an alert" : own.why);
        sum += r == XW_OWN_DATA ? got : 0;
        ended = r == XW_OWN_END;
    }
    XT_EQ(at, dir[side].len); /* nothing of the stream is left */
    xw_own_wipe(&own);
    return sum;
}

static void capture(const char *name, size_t from_client, size_t from_server) {
    const char *folder = getenv("XDPWS_PCAPS");
    char path[512], log[512];
    struct xw_aead_lib *lib;
    snprintf(path, sizeof path, "%s/%s.pcap", folder ? folder : "../shared/data/pcaps", name);
    snprintf(log, sizeof log, "%s/%s.keylog", folder ? folder : "../shared/data/pcaps", name);
    if (access(path, R_OK) || access(log, R_OK)) {
        fprintf(stderr, "    skipped: no %s; XDPWS_PCAPS names the folder\n", path);
        return;
    }
    XT_TRUE(read_capture(path));
    hellos(log);
    XT_EQ(xw_aead_lib_new(&lib), 0);
    for (unsigned i = 0; i < 2; i++) {
        xw_aead_lib_prefer(lib, i ? XW_AEAD_EVP : XW_AEAD_AUTO);
        size_t client = read_side(0, lib, name), server = read_side(1, lib, name);
        XT_EQ(client, from_client);
        XT_EQ(server, from_server);
    }
    xw_aead_lib_free(lib);
}

XT_TEST(tls13) {
    capture("tls13_illustrated", 4, 4); /* "ping" and "pong" */
    capture("tls_snet_TLS1_3_TLS_AES_128_GCM_SHA256", 2570, 0);
    capture("tls_snet_TLS1_3_TLS_AES_256_GCM_SHA384", 2570, 0);
    capture("tls_snet_TLS1_3_TLS_CHACHA20_POLY1305_SHA256", 2570, 0);
}

XT_TEST(tls13_key_updates) { capture("tls_snet_tls1.3_keyupdates_aes256", 31, 26); }

XT_TEST(tls12) {
    capture("tls_snet_TLS1_2_ECDHE-RSA-AES128-GCM-SHA256_auth", 2570, 0);
    capture("tls_snet_TLS1_2_ECDHE-ECDSA-AES256-GCM-SHA384_auth", 2570, 0);
    capture("tls_snet_TLS1_2_ECDHE-RSA-CHACHA20-POLY1305_auth", 2570, 0);
    capture("tls12_zeek_stream_keylog", 9715, 147270);
}

XT_MAIN(XT_RUN(tls13), XT_RUN(tls13_key_updates), XT_RUN(tls12))
