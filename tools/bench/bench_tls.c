/* bench_tls: what one TLS record costs through the whole TLS stream (poll, peek, consume; reserve, commit), by record
 * layer and library, and what OpenSSL's bare AEAD costs for it.
 *
 * An OpenSSL server in the same program writes a batch; its ciphertext is taken into the ring below first, and only then
 * the clock runs, over the polls of the client alone. The tenth percentile of repetitions in which the engines
 * take turns: what it costs when nobody else disturbs.
 * Prints a table, ns a record: one line per size. `bench_tls [--json]`. Nothing is sent over a network. */
#include "tls/aead.h"
#include "tls/tls_priv.h"
#include "xt.h"
#include "xt_tls.h"
#include <openssl/evp.h>
#include <time.h>

#define REPEATS 101u
#define BATCH_BYTES 60000u

enum column { READ_OPENSSL, READ_MB, READ_EVP, BARE_EVP, BARE_MB, WRITE_OPENSSL, WRITE_MB, WRITE_EVP, COLUMNS };
static const char *const names[COLUMNS] = { "read_openssl", "read_own_ipsec_mb", "read_own_evp", "bare_evp_open",
                                            "bare_ipsec_mb_open", "write_openssl", "write_own_ipsec_mb",
                                            "write_own_evp" };

static uint8_t data[16384], got[70000];

static double now_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double undisturbed(double *v, size_t n) {
    qsort(v, n, sizeof *v, by_value);
    return v[n / 10];
}

/* ns a record of a batch that lies below already. */
static double read_batch(struct xt_tls *x, size_t len, unsigned cnt) {
    struct xw_bs *t = x->tls;
    size_t n = 0;
    for (unsigned i = 0; i < cnt; i++)
        xt_srv_write(x, data, len);
    x->low->ops->poll(x->low, x->now++);
    double begin = now_ns();
    while (n < len * cnt) {
        t->ops->poll(t, x->now++);
        size_t have = t->ops->peek(t).len;
        t->ops->consume(t, have);
        n += have;
    }
    double end = now_ns();
    return (end - begin) / cnt;
}

static double write_batch(struct xt_tls *x, size_t len, unsigned cnt) {
    struct xw_bs *t = x->tls;
    double begin = now_ns();
    for (unsigned i = 0; i < cnt; i++) {
        struct xw_mspan room = t->ops->reserve(t);
        memcpy(room.p, data, len);
        t->ops->commit(t, len);
    }
    double end = now_ns();
    for (size_t n = 0; n < len * cnt;) {
        n += xt_srv_read(x, got, sizeof got);
        t->ops->poll(t, x->now++);
    }
    return (end - begin) / cnt;
}

static double bare(const struct xw_aead_lib *lib, enum xw_aead_backend backend, enum xw_aead_alg alg, size_t len,
                   unsigned cnt) {
    static struct xw_aead seal, open;
    static uint8_t sealed[17000], nonce[16], key[32];
    if (!xw_aead_has(lib, backend, alg))
        return 0;
    XT_EQ(xw_aead_key(&seal, lib, backend, alg, true, key), 0);
    XT_EQ(xw_aead_key(&open, lib, backend, alg, false, key), 0);
    XT_TRUE(xw_aead_seal(&seal, nonce, xw_span(key, 5), xw_span(data, len + 1), sealed));
    double begin = now_ns();
    for (unsigned i = 0; i < cnt; i++)
        XT_TRUE(xw_aead_open(&open, nonce, xw_span(key, 5), xw_span(sealed, len + 17), got));
    return (now_ns() - begin) / cnt;
}

static void measure(const char *suite, enum xw_aead_alg alg, size_t len, double out[COLUMNS]) {
    static double v[COLUMNS][REPEATS];
    unsigned cnt = (unsigned)(BATCH_BYTES / (len + 40));
    struct xt_tls x[XT_ENGINES];
    struct xw_aead_lib *lib;
    XT_EQ(xw_aead_lib_new(&lib), 0);
    for (enum xt_engine e = XT_OPENSSL; e < XT_ENGINES; e++) {
        struct xt_tls_opt o = { .version = 13, .ciphers13 = suite };
        xt_tls_engine(e);
        xt_tls_open(&x[e], &o);
        XT_EQ(xt_tls_handshake(&x[e]), XW_BS_OPEN);
    }
    for (unsigned i = 0; i < REPEATS; i++) {
        for (enum xt_engine e = XT_OPENSSL; e < XT_ENGINES; e++) {
            v[READ_OPENSSL + e][i] = read_batch(&x[e], len, cnt);
            v[WRITE_OPENSSL + e][i] = write_batch(&x[e], len, cnt);
        }
        v[BARE_EVP][i] = bare(lib, XW_AEAD_EVP, alg, len, cnt);
        v[BARE_MB][i] = bare(lib, XW_AEAD_IPSEC_MB, alg, len, cnt);
    }
    for (unsigned c = 0; c < COLUMNS; c++)
        out[c] = undisturbed(v[c], REPEATS);
    for (enum xt_engine e = XT_OPENSSL; e < XT_ENGINES; e++)
        xt_tls_close(&x[e]);
    xw_aead_lib_free(lib);
}

int main(int argc, char **argv) {
    static const struct { const char *suite; enum xw_aead_alg alg; } suites[] = {
        { "TLS_AES_128_GCM_SHA256", XW_AEAD_AES128_GCM }, { "TLS_AES_256_GCM_SHA384", XW_AEAD_AES256_GCM },
        { "TLS_CHACHA20_POLY1305_SHA256", XW_AEAD_CHACHA20_POLY1305 } };
    static const size_t sizes[] = { 64, 200, 1024, 4096, 16000 };
    bool json = argc > 1 && !strcmp(argv[1], "--json");
    for (unsigned s = 0; s < 3; s++) {
        if (!json) {
            printf("%s, ns a record\n%8s", suites[s].suite, "bytes");
            for (unsigned c = 0; c < COLUMNS; c++)
                printf(" %18s", names[c]);
            printf("\n");
        }
        for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            double out[COLUMNS];
            measure(suites[s].suite, suites[s].alg, sizes[i], out);
            printf(json ? "{\"suite\":\"%s\",\"bytes\":%zu" : "%.0s%8zu", suites[s].suite, sizes[i]);
            for (unsigned c = 0; c < COLUMNS; c++)
                json ? printf(",\"%s\":%.1f", names[c], out[c]) : printf(" %18.0f", out[c]);
            printf(json ? "}\n" : "\n");
        }
    }
    return 0;
}
