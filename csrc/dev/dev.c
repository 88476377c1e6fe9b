/* dev/dev.c: what holds for every device. */
#include "dev/dev.h"
#include "xw.h"

void xw_dev_close(struct xw_dev *d) {
    if (d)
        d->ops->close(d);
}
