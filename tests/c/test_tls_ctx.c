/* Settings of a context: what is refused, with which words, and what takes effect. */
#include "base/err.h"
#include "tls/tls.h"
#include "xt.h"
#include "xt_tls.h"
#include <errno.h>
#include <openssl/err.h>
#include <sys/stat.h>
#include <unistd.h>

static void refused(const struct xw_tls_cfg *cfg, int rc, int sys_errno, const char *want) {
    struct xw_tls_ctx *c = NULL;
    int err = -1;
    XT_EQ(xw_tls_ctx_new(cfg, &c), rc);
    XT_TRUE(!c);
    if (!strstr(xw_setup_error(&err), want))
        XT_FAIL("\"%s\" does not contain \"%s\"", xw_setup_error(NULL), want);
    XT_EQ(err, sys_errno);
    XT_EQ(ERR_peek_error(), 0);
}

XT_TEST(bad_settings_are_refused_with_their_step) {
    char path[64];
    xt_cert_save(xt_ca(), false, path);
    refused(&(struct xw_tls_cfg){ .version_min = 11 }, XW_EINVAL, 0, "TLS versions");
    refused(&(struct xw_tls_cfg){ .version_min = 13, .version_max = 12 }, XW_EINVAL, 0, "TLS versions");
    refused(&(struct xw_tls_cfg){ .ciphers12 = "NONSENSE" }, XW_ETLS, 0, "set the TLS 1.2 ciphers to NONSENSE: no cipher match");
    refused(&(struct xw_tls_cfg){ .ciphers13 = "NONSENSE" }, XW_ETLS, 0, "set the TLS 1.3 cipher suites to NONSENSE");
    refused(&(struct xw_tls_cfg){ .groups = "NONSENSE" }, XW_ETLS, 0, "set the key exchange groups to NONSENSE");
    refused(&(struct xw_tls_cfg){ .verify = 1, .ca_file = "/nonexistent.pem" }, XW_ESYS, ENOENT,
            "read the trusted certificates /nonexistent.pem");
    refused(&(struct xw_tls_cfg){ .verify = 1, .ca_file = "/proc/self/stat" }, XW_ETLS, 0,
            "load the trusted certificates");
    refused(&(struct xw_tls_cfg){ .verify = 1, .ca_dir = "/nonexistent" }, XW_ESYS, ENOENT, "directory");
    refused(&(struct xw_tls_cfg){ .cert_file = "/nonexistent.pem" }, XW_ESYS, ENOENT, "read the client certificate");
    refused(&(struct xw_tls_cfg){ .key_file = path }, XW_EINVAL, 0, "a key but no certificate");
    refused(&(struct xw_tls_cfg){ .cert_file = path }, XW_ETLS, 0, "load the client key");
    refused(&(struct xw_tls_cfg){ .keylog_file = "/nonexistent/k" }, XW_ESYS, ENOENT, "open the key log");
    refused(&(struct xw_tls_cfg){ .pin_cnt = 1 }, XW_EINVAL, 0, "pins");
    unlink(path);
}

XT_TEST(the_systems_store_is_the_default) {
    struct xw_tls_ctx *c = NULL;
    XT_EQ(xw_tls_ctx_new(&(struct xw_tls_cfg){ .verify = 1 }, &c), XW_OK);
    XT_STR(xw_setup_error(NULL), "");
    xw_tls_ctx_free(c);
    xw_tls_ctx_free(NULL);
}

XT_TEST(bad_connections_are_refused) {
    struct xw_bs_mem_cfg mc = { .rcv_len = 65536, .snd_len = 4096 };
    struct xw_bytering plain, small;
    struct xw_tls_ctx *c = NULL;
    struct xw_bs *a, *b, *t;
    char longest[300];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    XT_EQ(xw_bs_mem_pair(&mc, &a, &b), XW_OK);
    XT_EQ(xw_bytering_map(&plain, 32768), XW_OK);
    XT_EQ(xw_bytering_map(&small, 16384), XW_OK);
    XT_EQ(xw_tls_ctx_new(&(struct xw_tls_cfg){ .verify = 1 }, &c), XW_OK);
    XT_EQ(xw_tls_new(c, a, NULL, &plain, NULL, NULL, &t), XW_EINVAL);
    XT_TRUE(strstr(xw_setup_error(NULL), "verification needs one") != NULL);
    XT_EQ(xw_tls_new(c, a, longest, &plain, NULL, NULL, &t), XW_EINVAL);
    XT_EQ(xw_tls_new(c, a, "feed.example", &small, NULL, NULL, &t), XW_EINVAL);
    a->ops->close(a); /* it remained ours */
    b->ops->close(b);
    xw_tls_ctx_free(c);
    xw_bytering_unmap(&plain);
    xw_bytering_unmap(&small);
}

/* The context was freed by its maker while a connection lives on. */
XT_TEST(a_connection_keeps_its_context) {
    struct xt_tls x;
    xt_tls_open(&x, &(struct xt_tls_opt){ .version = 13 });
    xw_tls_ctx_free(x.ctx);
    x.ctx = NULL;
    XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
    xt_tls_close(&x);
}

XT_TEST(key_log) {
    char path[] = "/tmp/xw-test-keylog-XXXXXX", line[512];
    int fd = mkstemp(path), secrets = 0;
    close(fd);
    unlink(path);
    struct xt_tls x;
    struct xt_tls_opt o = { .version = 13, .custom = true, .client = { .verify = 0, .keylog_file = path } };
    xt_tls_open(&x, &o);
    XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
    FILE *f = fopen(path, "r");
    XT_TRUE(f != NULL);
    while (fgets(line, sizeof line, f))
        secrets += !strncmp(line, "SERVER_TRAFFIC_SECRET_0 ", 24) || !strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24);
    fclose(f);
    XT_EQ(secrets, 2);
    struct stat st;
    XT_EQ(stat(path, &st), 0);
    XT_EQ(st.st_mode & 0777, 0600);
    unlink(path);
    xt_tls_close(&x);
}

static int take_any(int ok, X509_STORE_CTX *store) {
    (void)ok, (void)store;
    return 1;
}

XT_TEST(client_certificate) {
    struct xt_cert me = xt_cert_make(NULL, XT_EC, "client 7", NULL, false, -3600, 86400);
    char path[64];
    xt_cert_save(&me, true, path);
    for (uint8_t v = 12; v <= 13; v++) {
        struct xt_tls x;
        struct xt_tls_opt o = { .version = v, .custom = true, .client = { .verify = 0, .cert_file = path } };
        xt_tls_open(&x, &o);
        SSL_set_verify(x.srv, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, take_any);
        XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
        XT_EQ(X509_cmp(SSL_get0_peer_certificate(x.srv), me.cert), 0);
        xt_tls_close(&x);
        o.client.cert_file = NULL;
        xt_tls_open(&x, &o);
        SSL_set_verify(x.srv, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, take_any);
        xt_tls_handshake(&x);
        x.tls->ops->poll(x.tls, x.now++); /* TLS 1.3: the refusal comes after our handshake is done */
        XT_EQ(xt_tls_status(&x).state, XW_BS_FAILED);
        XT_TRUE(!xt_tls_status(&x).rx_eof);
        XT_TRUE(strstr(x.tls->ops->error_text(x.tls), "the peer sent a fatal alert: ") != NULL);
        xt_tls_close(&x);
    }
    unlink(path);
    xt_cert_free(&me);
}

XT_MAIN(XT_RUN(bad_settings_are_refused_with_their_step), XT_RUN(the_systems_store_is_the_default),
        XT_RUN(bad_connections_are_refused), XT_RUN(a_connection_keeps_its_context), XT_RUN(key_log),
        XT_RUN(client_certificate))
