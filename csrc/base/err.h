/* base/err.h: return codes (err.def) and drop reasons (drop.def).
 *
 * A caller's mistake is a negative XW_E… code at once, with nothing changed. A peer's bad packet is never an error:
 * it is a drop reason, which becomes a counter. "Nothing to do" is 0. */
#ifndef XW_BASE_ERR_H
#define XW_BASE_ERR_H

enum xw_err {
#define XW_ERR(name, value, text) XW_##name = (value),
#include "base/err.def"
#undef XW_ERR
};

enum xw_drop {
#define XW_DROP(name, text) XW_DROP_##name,
#include "base/drop.def"
#undef XW_DROP
    XW_DROP_COUNT
};

/* xw_strerror: static text of a return code; "unknown error" for a value that is none. */
const char *xw_strerror(int rc);
/* xw_drop_name: name of a drop reason as in drop.def ("TCP_CHECKSUM"; Python lower-cases it), NULL at and above XW_DROP_COUNT. */
const char *xw_drop_name(int reason);
/* xw_drop_text: one phrase that says what it means, NULL at and above XW_DROP_COUNT. */
const char *xw_drop_text(int reason);
#endif
