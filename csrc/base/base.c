/* base/base.c: texts of the error and drop tables. */
#include "base/err.h"
#include <stddef.h>

const char *xw_strerror(int rc) {
    switch (rc) {
#define XW_ERR(name, value, text) \
    case (value): return text;
#include "base/err.def"
#undef XW_ERR
    }
    return "unknown error";
}

struct drop_row { const char *name, *text; };

static const struct drop_row drops[] = {
#define XW_DROP(name, text) { #name, text },
#include "base/drop.def"
#undef XW_DROP
};

const char *xw_drop_name(int reason) {
    return reason < 0 || reason >= XW_DROP_COUNT ? NULL : drops[reason].name;
}

const char *xw_drop_text(int reason) {
    return reason < 0 || reason >= XW_DROP_COUNT ? NULL : drops[reason].text;
}
