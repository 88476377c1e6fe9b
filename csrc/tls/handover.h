/* tls/handover.h: the own record layer of a connection with keys from a key log instead of a handshake (replay.c). */
#ifndef XW_TLS_HANDOVER_H
#define XW_TLS_HANDOVER_H
#include "tls/own.h"
#include "tls/tls_priv.h"

/* xw_tls_own_begin: from now on records are ours, under the captured secrets, sequence numbers from the first record behind
 * the handshake. 0 or a negative code. May be called again. */
int xw_tls_own_begin(struct xw_tls *t, const SSL_CIPHER *cipher, const EVP_MD *md, bool tls13, const struct xw_replay_tls *r);
/* xw_tls_own_opens: whether the next record under these keys is this one; uses the keys up: begin again. */
bool xw_tls_own_opens(struct xw_tls *t, struct xw_span rec, uint8_t *out);
/* xw_tls_own_end: as before xw_tls_own_begin. */
void xw_tls_own_end(struct xw_tls *t);
#endif
