/* Which certificates a client takes, and what it says about the others. */
#include "base/err.h"
#include "tls/tls.h"
#include "xt.h"
#include "xt_tls.h"
#include <unistd.h>

#define DAY 86400L

/* Handshake; want NULL: it must succeed, else it must fail with XW_ETLS and each part of want, separated by '|', in
 * its text. */
static void verify(const struct xt_tls_opt *o, const char *want) {
    struct xt_tls x;
    char parts[256], *save = NULL;
    xt_tls_open(&x, o);
    enum xw_bs_state state = xt_tls_handshake(&x);
    const char *text = x.tls->ops->error_text(x.tls);
    if ((state == XW_BS_OPEN) != !want)
        XT_FAIL("%s: state %d, text \"%s\"", o->server_name ? o->server_name : "", state, text);
    if (want) {
        XT_EQ(xt_tls_status(&x).error, XW_ETLS);
        snprintf(parts, sizeof parts, "%s", want);
        for (char *p = strtok_r(parts, "|", &save); p; p = strtok_r(NULL, "|", &save))
            if (!strstr(text, p))
                XT_FAIL("\"%s\" does not contain \"%s\"", text, p);
        xt_srv_step(&x);
        XT_TRUE(x.srv_failed || SSL_version(x.srv) == TLS1_3_VERSION);
    }
    xt_tls_close(&x);
}

XT_TEST(unknown_ca) {
    struct xt_cert other = xt_cert_make(NULL, XT_EC, "Other CA", NULL, true, -DAY, DAY);
    struct xt_cert leaf = xt_cert_make(&other, XT_EC, "feed", "DNS:feed.example", false, -DAY, DAY);
    for (uint8_t v = 12; v <= 13; v++) {
        struct xt_tls_opt o = { .version = v, .cert = &leaf };
        verify(&o, "certificate verify failed|unable to get local issuer|depth 0|CN=feed|--ca FILE or --insecure");
    }
    struct xt_cert self = xt_cert_make(NULL, XT_EC, "localhost", "DNS:feed.example", false, -DAY, DAY);
    verify(&(struct xt_tls_opt){ .cert = &self }, "self-signed certificate|depth 0|subject CN=localhost|--insecure");
    verify(&(struct xt_tls_opt){ .cert = &leaf, .custom = true, .client = { .verify = 1 } },
           "unable to get local issuer");
    verify(&(struct xt_tls_opt){ .cert = &self, .custom = true, .client = { .verify = 0 } }, NULL);
    xt_cert_free(&other);
    xt_cert_free(&leaf);
    xt_cert_free(&self);
}

XT_TEST(a_self_signed_certificate_given_as_ca) {
    char path[64];
    struct xt_cert self = xt_cert_make(NULL, XT_EC, "localhost", "DNS:localhost,IP:127.0.0.1", false, -DAY, DAY);
    xt_cert_save(&self, false, path);
    struct xt_tls_opt o = { .cert = &self, .server_name = "localhost", .custom = true,
                            .client = { .verify = 1, .ca_file = path } };
    verify(&o, NULL);
    o.server_name = "127.0.0.1";
    verify(&o, NULL);
    o.server_name = "127.0.0.2";
    verify(&o, "IP address mismatch|it is for: localhost, 127.0.0.1");
    unlink(path);
    xt_cert_free(&self);
}

XT_TEST(intermediate) {
    char path[64];
    struct xt_cert mid = xt_cert_make(xt_ca(), XT_RSA, "Mid CA", NULL, true, -DAY, DAY);
    struct xt_cert leaf = xt_cert_make(&mid, XT_EC, "feed", "DNS:feed.example", false, -DAY, DAY);
    verify(&(struct xt_tls_opt){ .cert = &leaf, .chain = &mid }, NULL);
    verify(&(struct xt_tls_opt){ .cert = &leaf }, "unable to get local issuer");
    xt_cert_save(&mid, false, path);
    verify(&(struct xt_tls_opt){ .cert = &leaf, .custom = true, .client = { .verify = 1, .ca_file = path } }, NULL);
    unlink(path);
    xt_cert_free(&mid);
    xt_cert_free(&leaf);
}

XT_TEST(times) {
    struct xt_cert old = xt_cert_make(xt_ca(), XT_EC, "feed", "DNS:feed.example", false, -9 * DAY, -DAY);
    struct xt_cert early = xt_cert_make(xt_ca(), XT_EC, "feed", "DNS:feed.example", false, DAY, 9 * DAY);
    verify(&(struct xt_tls_opt){ .cert = &old }, "certificate has expired|it was valid until 20");
    verify(&(struct xt_tls_opt){ .cert = &early }, "not yet valid");
    xt_cert_free(&old);
    xt_cert_free(&early);
}

XT_TEST(names) {
    struct xt_cert c = xt_cert_make(xt_ca(), XT_EC, "cn.example",
                                    "DNS:*.feed.example,DNS:w*.part.example,IP:192.0.2.7", false,
                                    -DAY, DAY);
    static const struct { const char *name, *want; } cases[] = {
        { "a.feed.example", NULL }, { "A.FEED.Example", NULL }, { "a.feed.example.", NULL }, { "192.0.2.7", NULL },
        { "feed.example", "hostname mismatch|it is for: *.feed.example, w*.part.example, 192.0.2.7" },
        { "a.b.feed.example", "hostname mismatch" }, { "www.part.example", "hostname mismatch" },
        { "cn.example", "hostname mismatch" }, { "192.0.2.8", "IP address mismatch" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        verify(&(struct xt_tls_opt){ .cert = &c, .server_name = cases[i].name }, cases[i].want);
    xt_cert_free(&c);
}

XT_TEST(sni_for_names_only) {
    static const char *names[] = { "feed.example", "192.0.2.7" };
    for (unsigned i = 0; i < 2; i++) {
        struct xt_tls x;
        struct xt_tls_opt o = { .server_name = names[i], .custom = true, .client = { .verify = 0 } };
        xt_tls_open(&x, &o);
        XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
        const char *sni = SSL_get_servername(x.srv, TLSEXT_NAMETYPE_host_name);
        if (i == 0)
            XT_STR(sni, "feed.example");
        else
            XT_TRUE(!sni);
        xt_tls_close(&x);
    }
}

XT_TEST(pins) {
    uint8_t pins[2][32] = { { 1 } };
    struct xt_cert self = xt_cert_make(NULL, XT_EC, "self", "DNS:feed.example", false, -DAY, DAY);
    struct xt_tls_opt o = { .custom = true,
                            .client = { .verify = 1, .ca_file = xt_ca_file(), .spki_pins = pins[0], .pin_cnt = 2 } };
    xt_cert_pin(xt_leaf(XT_EC), pins[1]);
    verify(&o, NULL);
    xt_cert_pin(xt_ca(), pins[1]);
    verify(&o, NULL); /* any certificate of the verified chain */
    pins[1][31] ^= 1;
    verify(&o, "certificate pin mismatch");
    o.version = 12;
    verify(&o, "certificate pin mismatch");
    o.version = 0;
    o.server_name = "other.example"; /* a pin does not replace the name */
    xt_cert_pin(xt_leaf(XT_EC), pins[1]);
    verify(&o, "hostname mismatch");
    o.client.verify = 0; /* … unless nothing is verified */
    verify(&o, NULL);
    o.cert = &self;
    o.chain = xt_leaf(XT_EC); /* anybody can send the pinned certificate along: only the leaf counts then */
    verify(&o, "certificate pin mismatch");
    xt_cert_free(&self);
}

XT_MAIN(XT_RUN(unknown_ca), XT_RUN(a_self_signed_certificate_given_as_ca), XT_RUN(intermediate), XT_RUN(times),
        XT_RUN(names),
        XT_RUN(sni_for_names_only), XT_RUN(pins))
