/* tls/err.c: OpenSSL's error queue in words. A failed call can leave several entries, the general ones last and
 * those of other libraries (ASN.1, the providers) around it; what the SSL library said last names the trouble best. */
#include "tls/tls_priv.h"
#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <stdio.h>
#include <string.h>

static bool is_alert(unsigned long e) {
    int reason = ERR_GET_REASON(e);
    return ERR_GET_LIB(e) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256;
}

const char *xw_tls_alert_name(int alert) {
    const char *name = SSL_alert_desc_string_long(alert);
    if (strcmp(name, "unknown") != 0)
        return name;
    /* OpenSSL 3.0 has no names for the alerts of TLS 1.3, but reasons */
    const char *reason = ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, SSL_AD_REASON_OFFSET + alert));
    return reason ? reason : name;
}

void xw_tls_queue_text(char *out, size_t len) {
    unsigned long e, best = 0;
    while ((e = ERR_get_error()))
        if (!best || ERR_GET_LIB(e) == ERR_LIB_SSL || ERR_GET_LIB(best) != ERR_LIB_SSL)
            best = e;
    const char *reason = best ? ERR_reason_error_string(best) : NULL;
    if (is_alert(best)) {
        int alert = ERR_GET_REASON(best) - SSL_AD_REASON_OFFSET;
        snprintf(out, len, "the peer sent a fatal alert: %s (%d)", xw_tls_alert_name(alert), alert);
    } else if (reason) {
        bool other = ERR_GET_LIB(best) == ERR_LIB_SSL && (ERR_GET_REASON(best) == SSL_R_WRONG_VERSION_NUMBER ||
                                                          ERR_GET_REASON(best) == SSL_R_HTTP_REQUEST);
        snprintf(out, len, "%s%s", reason, other ? "; the peer does not seem to speak TLS on this port" : "");
    } else if (best)
        snprintf(out, len, "error %08lx of OpenSSL", best);
    else
        snprintf(out, len, "OpenSSL gives no reason");
}
