/* ws/deflate.h: the compression of permessage-deflate (RFC 7692 7.2): messages in pieces of any size into a buffer of
 * any size, both directions, over zlib. It knows no frames.
 *
 * Memory: everything, zlib's state included, lies in the XW_WS_DEFLATE_MEM bytes that the owner hands in; zlib takes
 * its share at init and at the first message inflated, none later.
 *
 * Windows: inflating always has the full 32 KiB, so a peer that agreed to less and uses more is still understood.
 * Deflating keeps to what was agreed. zlib cannot deflate raw data with 8 bits (256 bytes); 9 serves: zlib never looks
 * back further than its window less 262 bytes, here 250. */
#ifndef XW_WS_DEFLATE_H
#define XW_WS_DEFLATE_H
#include "base/span.h"
#include <stdbool.h>

struct xw_ws_deflate;

/* zlib 1.2.13 with 15 bits: 7 + 32 KiB to inflate, 6 + 64 + 64 + 64 + 64 KiB to deflate. zlib-ng 2.3 as libz.so.1: 41 + 342
 * KiB. The rest is our state and slack for another version. With less init fails; what is not used is not touched. */
#define XW_WS_DEFLATE_MEM (416u * 1024u)

struct xw_ws_deflate_cfg {
    uint8_t out_bits;   /* window for what we send: 8 … 15 */
    bool out_reset;     /* each message we send begins with an empty window */
    bool in_reset;      /* so does each message that comes */
};

/* xw_ws_deflate_init: makes it at the beginning of mem. XW_EINVAL: bits out of range; XW_ENOMEM: mem is too small. */
int xw_ws_deflate_init(struct xw_mspan mem, const struct xw_ws_deflate_cfg *cfg, struct xw_ws_deflate **out);

enum xw_ws_inflate {
    XW_WS_INFLATE_ON = 0,   /* all input is used, output has room left */
    XW_WS_INFLATE_FULL,     /* output has no room left; there may be more to come */
    XW_WS_INFLATE_END,      /* of xw_ws_inflate_end: the message is whole */
    XW_WS_INFLATE_BAD       /* no deflate data, or the message ends in the midst of a block */
};
/* xw_ws_inflate_begin: a message begins. */
void xw_ws_inflate_begin(struct xw_ws_deflate *d);
/* xw_ws_inflate_feed: more of the message; in and out lose what was read and written. */
enum xw_ws_inflate xw_ws_inflate_feed(struct xw_ws_deflate *d, struct xw_span *in, struct xw_mspan *out);
/* xw_ws_inflate_end: all of the message was fed; to be repeated with more room while it says FULL. */
enum xw_ws_inflate xw_ws_inflate_end(struct xw_ws_deflate *d, struct xw_mspan *out);

/* xw_ws_deflate_begin: a message of ours begins; it must not be empty (zlib flushes nothing then). */
void xw_ws_deflate_begin(struct xw_ws_deflate *d);
/* xw_ws_deflate_feed: in and out lose what was read and written. last: in ends the message; true once everything of it
 * is written, so false means that output must be emptied (or, without last, input given). The last
 * XW_WS_DEFLATE_TAIL bytes of a message's output are 00 00 ff ff and do not go onto the wire (RFC 7692 7.2.1). */
bool xw_ws_deflate_feed(struct xw_ws_deflate *d, struct xw_span *in, struct xw_mspan *out, bool last);
#define XW_WS_DEFLATE_TAIL 4u
#endif
