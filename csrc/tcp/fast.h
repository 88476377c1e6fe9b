/* tcp/fast.h: the straight line for the next segment of an established stream, from its TCP header on.
 *
 * For an owner that has found the connection by itself (engine/flow.h) and may use the bytes where they are, in the
 * frame: the segment is judged and acknowledged here, and its data goes into the receive ring only as far as the owner did
 * not use it. It does what xw_tcp_input does with such a segment, no more and no less; everything else is xw_tcp_input's.
 *
 *     if (xw_tcp_fast_in(c, seg, pseudo, verify, now, &data)) {
 *         used = ... bytes of data that the owner took from the frame, 0 unless the receive ring is empty
 *         xw_tcp_fast_put(c, data, used, &stamp);
 *     } else xw_tcp_input(...) */
#ifndef XW_TCP_FAST_H
#define XW_TCP_FAST_H
#include "tcp/tcp.h"

/* xw_tcp_fast_in: takes the segment, or returns false and has done nothing. Conditions: ESTABLISHED, fast_path on, the
 * owner reads; ACK, maybe PSH, no other flag; no option but timestamps, these as RFC 7323 A lays them out and not older than
 * the last, if and only if they were agreed on; begins at rcv_nxt with at least one byte, fits the ring; nothing is held
 * behind a hole and no FIN is known; acknowledges nothing beyond snd_nxt and nothing older than snd_una; the checksum holds,
 * if it is to be verified. pseudo: the ones' complement sum of the pseudo header, not folded (wire/checksum.h). */
bool xw_tcp_fast_in(struct xw_tcp *c, struct xw_span seg, uint64_t pseudo, bool verify, uint64_t now_ns,
                    struct xw_span *data);
/* xw_tcp_fast_put: must follow. The first used bytes of data pass by the ring, which counts them as received and consumed;
 * the others go into it. */
void xw_tcp_fast_put(struct xw_tcp *c, struct xw_span data, size_t used, const struct xw_rxstamp *stamp);
/* xw_tcp_fast_prefetch: what xw_tcp_fast_in and _put will touch of c is on its way to the cache. */
void xw_tcp_fast_prefetch(const struct xw_tcp *c);

/* ---- out ---- */
/* xw_tcp_fast_turn: the connection that xw_tcp_output would ask first; NULL: a reset waits, or nobody wants to send. */
struct xw_tcp *xw_tcp_fast_turn(const struct xw_tcp_stack *s);
/* xw_tcp_fast_len: bytes of its next segment from the TCP header on, if that is all that it has to send: an ACK, or all data
 * that was queued in one segment that may leave now, with no other option than timestamps. 0: xw_tcp_output must look.
 * Conditions: ESTABLISHED, fast_path on; nothing is lost, held behind a hole or owed but one ACK; no probe is due and our FIN
 * is not wanted; the data fits a segment, the peer's window and the congestion window, and Nagle lets it pass. */
uint32_t xw_tcp_fast_len(const struct xw_tcp *c);
/* xw_tcp_fast_emit: writes it, after xw_tcp_fast_len said how much; it counts as sent, and the turn is the next one's. */
void xw_tcp_fast_emit(struct xw_tcp *c, uint64_t now_ns, uint8_t *out);

/* xw_tcp_fast_conn: the connection that a segment accepted by xw_tcp_input belongs to; NULL: none. */
struct xw_tcp *xw_tcp_fast_conn(const struct xw_tcp_stack *s, uint32_t src_ip, uint32_t dst_ip, struct xw_span seg);
#endif
