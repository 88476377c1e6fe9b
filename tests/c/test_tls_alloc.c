/* The budget of OpenSSL's allocations once a connection is open: what docs/tls.md says. OpenSSL's allocator can be
 * replaced only before its first use, so this is a program of its own with its own main. */
#include "tls/tls.h"
#include "xt.h"
#include "xt_tls.h"
#include <openssl/crypto.h>

#define MESSAGES 100

static unsigned long calls;

static void *count_malloc(size_t n, const char *file, int line) {
    (void)file, (void)line;
    calls++;
    return malloc(n);
}

static void *count_realloc(void *p, size_t n, const char *file, int line) {
    (void)file, (void)line;
    calls++;
    return realloc(p, n);
}

static void count_free(void *p, const char *file, int line) {
    (void)file, (void)line;
    free(p);
}

/* Allocations per message that the client reads and writes. */
static void budget(uint8_t version, const char *suite, unsigned per_read, unsigned per_write) {
    static uint8_t data[200], got[200 * MESSAGES];
    struct xt_tls x;
    struct xt_tls_opt o = { .version = version, .ciphers12 = version == 12 ? suite : NULL,
                            .ciphers13 = version == 13 ? suite : NULL, .tickets = 2 };
    xt_tls_open(&x, &o);
    XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
    xt_srv_write(&x, data, sizeof data); /* the first of each direction sets up buffers, and the tickets are read */
    XT_EQ(xt_tls_drain(&x, got, sizeof got), sizeof data);
    xt_tls_send(&x, data, sizeof data);
    for (unsigned i = 0; i < MESSAGES; i++)
        xt_srv_write(&x, data, sizeof data);
    unsigned long before = calls;
    XT_EQ(xt_tls_drain(&x, got, sizeof got), sizeof got);
    unsigned long reads = calls - before;
    before = calls;
    for (unsigned i = 0; i < MESSAGES; i++)
        xt_tls_send(&x, data, sizeof data);
    unsigned long writes = calls - before;
    fprintf(stderr, "    TLS 1.%u %s: %.2f a read, %.2f a write\n", version - 10u, suite, (double)reads / MESSAGES,
            (double)writes / MESSAGES);
    XT_EQ(reads, per_read * MESSAGES);
    XT_EQ(writes, per_write * MESSAGES);
    xt_tls_close(&x);
}

XT_TEST(tls13) {
    xt_tls_engine(XT_OPENSSL);
    budget(13, "TLS_AES_128_GCM_SHA256", 1, 3);
    budget(13, "TLS_CHACHA20_POLY1305_SHA256", 1, 3);
}

/* Our record layer allocates nothing, whoever does its cryptography. */
XT_TEST(own_record_layer) {
    for (enum xt_engine e = XT_OWN_MB; e <= XT_OWN_EVP; e++) {
        xt_tls_engine(e);
        budget(13, "TLS_AES_128_GCM_SHA256", 0, 0);
        budget(13, "TLS_CHACHA20_POLY1305_SHA256", 0, 0);
        budget(12, "ECDHE-ECDSA-AES256-GCM-SHA384", 0, 0);
        budget(12, "ECDHE-ECDSA-CHACHA20-POLY1305", 0, 0);
    }
}

XT_TEST(tls12) {
    xt_tls_engine(XT_OPENSSL);
    budget(12, "ECDHE-ECDSA-AES128-GCM-SHA256", 0, 2);
    budget(12, "ECDHE-ECDSA-CHACHA20-POLY1305", 0, 2);
}

int main(int argc, char **argv) {
    static const struct xt_case cases[] = { XT_RUN(tls13), XT_RUN(tls12), XT_RUN(own_record_layer) };
    XT_EQ(CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free), 1);
    return xt_main(cases, sizeof cases / sizeof *cases, argc, argv);
}
