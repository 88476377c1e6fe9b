/* dev/tap.c: the capture writer. Blocks are put together in one buffer that is written from its front; a block is
 * either whole in it or not at all, so a capture that ends early is still well formed up to its last write. Byte
 * order is this machine's, as pcapng allows. */
#include "dev/tap.h"
#include "base/err.h"
#include "base/limits.h"
#include "xw.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Holds the frames of some polls (a burst of 32 full frames is 50 KB); larger only delays what a reader of the file
 * sees. */
#define BUF_LEN (256u << 10)

/* pcapng block types and options (draft-ietf-opsawg-pcapng sections 4.1, 4.2, 4.3). */
enum { SHB = 0x0A0D0D0A, IDB = 1, EPB = 6, DSB = 10 };
#define TLS_KEY_LOG 0x544c534bu /* secrets type, section 4.7 */
enum { OPT_END = 0, IF_TSRESOL = 9, EPB_FLAGS = 2, EPB_DROPCOUNT = 4 };
enum { INBOUND = 1, OUTBOUND = 2 };
#define LINKTYPE_ETHERNET 1
/* Key log text taken at a time: the five lines of a TLS 1.3 connection with SHA-384 are 0.9 KB. */
#define SECRETS_MAX 4096u

struct tap {
    struct xw_dev dev;
    struct xw_dev *inner;
    struct xw_tap_cfg cfg;
    uint8_t *buf;
    uint32_t len, written; /* bytes in buf; how many of them are out */
    int dead;              /* errno that ended the capture, 0 */
    uint32_t from;         /* where the blocks since the last tick() begin, if all before is still there */
    uint64_t now_ns, lost, lost_unsaid;
};

static struct tap *tap_of(struct xw_dev *d) { return (struct tap *)d; }

static void put16(struct tap *t, uint16_t v) { memcpy(t->buf + t->len, &v, sizeof v); t->len += (uint32_t)sizeof v; }
static void put32(struct tap *t, uint32_t v) { memcpy(t->buf + t->len, &v, sizeof v); t->len += (uint32_t)sizeof v; }
static void put64(struct tap *t, uint64_t v) { memcpy(t->buf + t->len, &v, sizeof v); t->len += (uint32_t)sizeof v; }
static void put_opt(struct tap *t, uint16_t code, uint16_t len) { put16(t, code); put16(t, len); }
static uint32_t pad4(uint32_t n) { return (n + 3) & ~3u; }

int xw_tap_sync(struct xw_dev *d) {
    struct tap *t = tap_of(d);
    while (!t->dead && t->written < t->len) {
        ssize_t n = write(t->cfg.fd, t->buf + t->written, t->len - t->written);
        if (n > 0)
            t->written += (uint32_t)n;
        else if (n < 0 && errno == EAGAIN)
            break;
        else if (n == 0 || errno != EINTR)
            t->dead = n ? errno : EIO;
    }
    if (t->dead) {
        errno = t->dead;
        return XW_ESYS;
    }
    memmove(t->buf, t->buf + t->written, t->len - t->written);
    t->len -= t->written;
    t->from = t->from >= t->written ? t->from - t->written : t->len; /* never within a block */
    t->written = 0;
    return t->len ? XW_EAGAIN : XW_OK;
}

static void put_head(struct tap *t) {
    put32(t, SHB);
    put32(t, 28);
    put32(t, 0x1A2B3C4D); /* byte-order magic */
    put16(t, 1);          /* version 1.0 */
    put16(t, 0);
    put64(t, UINT64_MAX); /* length of the section: unknown */
    put32(t, 28);
    put32(t, IDB);
    put32(t, 32);
    put16(t, LINKTYPE_ETHERNET);
    put16(t, 0);
    put32(t, t->cfg.snap_len);
    put_opt(t, IF_TSRESOL, 1);
    put32(t, 0);
    t->buf[t->len - 4] = 9; /* 10^-9 s, then three bytes of padding */
    put_opt(t, OPT_END, 0);
    put32(t, 32);
}

/* New lines of the key log as one block, before what was gathered since the last tick: those frames made the secrets. */
static void secrets(struct tap *t) {
    uint8_t text[SECRETS_MAX];
    ssize_t n = read(t->cfg.secrets_fd, text, sizeof text);
    if (n <= 0)
        return;
    uint32_t len = (uint32_t)n, block = 20 + pad4(len), end = t->len;
    if (t->dead || block > BUF_LEN - t->len)
        return; /* they stay in the key log */
    memmove(t->buf + t->from + block, t->buf + t->from, end - t->from);
    t->len = t->from;
    put32(t, DSB);
    put32(t, block);
    put32(t, TLS_KEY_LOG);
    put32(t, len);
    memcpy(t->buf + t->len, text, len);
    memset(t->buf + t->len + len, 0, pad4(len) - len);
    t->len += pad4(len);
    put32(t, block);
    t->len = end + block;
}

static void record(struct tap *t, const uint8_t *data, uint32_t len, uint32_t direction, uint64_t ns) {
    uint32_t keep = t->cfg.snap_len && t->cfg.snap_len < len ? t->cfg.snap_len : len;
    uint64_t block = 28ull + pad4(keep) + 8 + (t->lost_unsaid ? 12 : 0) + 4 + 4;
    if (block > BUF_LEN - t->len)
        (void)xw_tap_sync(&t->dev);
    if (t->dead || block > BUF_LEN - t->len) {
        t->lost++;
        t->lost_unsaid++;
        return;
    }
    ns += t->cfg.epoch_offset_ns;
    put32(t, EPB);
    put32(t, (uint32_t)block);
    put32(t, 0); /* interface */
    put32(t, (uint32_t)(ns >> 32));
    put32(t, (uint32_t)ns);
    put32(t, keep);
    put32(t, len);
    memcpy(t->buf + t->len, data, keep);
    memset(t->buf + t->len + keep, 0, pad4(keep) - keep);
    t->len += pad4(keep);
    put_opt(t, EPB_FLAGS, 4);
    put32(t, direction);
    if (t->lost_unsaid) {
        put_opt(t, EPB_DROPCOUNT, 8);
        put64(t, t->lost_unsaid);
        t->lost_unsaid = 0;
    }
    put_opt(t, OPT_END, 0);
    put32(t, (uint32_t)block);
}

static unsigned tap_rx_burst(struct xw_dev *dev, struct xw_pkt *pkts, unsigned max) {
    struct tap *t = tap_of(dev);
    unsigned n = t->inner->ops->rx_burst(t->inner, pkts, max);
    for (unsigned i = 0; i < n; i++)
        record(t, pkts[i].data, pkts[i].len, INBOUND, pkts[i].valid & XW_PKT_XDP ? pkts[i].xdp_ns : t->now_ns);
    return n;
}

static void tap_rx_release(struct xw_dev *dev, const struct xw_pkt *pkts, unsigned cnt) {
    struct xw_dev *in = tap_of(dev)->inner;
    in->ops->rx_release(in, pkts, cnt);
}

static int tap_tx_reserve(struct xw_dev *dev, struct xw_txbuf *out) {
    struct xw_dev *in = tap_of(dev)->inner;
    return in->ops->tx_reserve(in, out);
}

static void tap_tx_submit(struct xw_dev *dev, const struct xw_txbuf *b, uint32_t len) {
    struct tap *t = tap_of(dev);
    record(t, b->data, len, OUTBOUND, t->now_ns); /* before: afterwards the frame is the device's */
    t->inner->ops->tx_submit(t->inner, b, len);
}

static void tap_tx_cancel(struct xw_dev *dev, const struct xw_txbuf *b) {
    struct xw_dev *in = tap_of(dev)->inner;
    in->ops->tx_cancel(in, b);
}

static int tap_tx_flush(struct xw_dev *dev) {
    struct xw_dev *in = tap_of(dev)->inner;
    return in->ops->tx_flush(in);
}

static uint64_t tap_deadline(const struct xw_dev *dev) {
    const struct xw_dev *in = ((const struct tap *)dev)->inner;
    return in->ops->deadline(in);
}

static void tap_caps(const struct xw_dev *dev, struct xw_dev_caps *out) {
    const struct xw_dev *in = ((const struct tap *)dev)->inner;
    in->ops->caps(in, out);
    out->kind = "tap";
}

static int tap_stats(struct xw_dev *dev, struct xw_dev_stats *out) {
    struct xw_dev *in = tap_of(dev)->inner;
    return in->ops->stats(in, out);
}

static int tap_fd(const struct xw_dev *dev, unsigned n) {
    const struct xw_dev *in = ((const struct tap *)dev)->inner;
    return in->ops->fd(in, n);
}

static void tap_tick(struct xw_dev *dev, uint64_t now_ns) {
    struct tap *t = tap_of(dev);
    t->now_ns = now_ns;
    if (t->cfg.secrets_fd > 0)
        secrets(t);
    if (t->len)
        (void)xw_tap_sync(dev);
    t->from = t->len;
    t->inner->ops->tick(t->inner, now_ns);
}

static void tap_close(struct xw_dev *dev) {
    struct tap *t = tap_of(dev);
    if (t->cfg.secrets_fd > 0)
        secrets(t);
    (void)xw_tap_sync(dev);
    xw_dev_close(t->inner);
    free(t->buf);
    free(t);
}

static const struct xw_dev_ops tap_ops = {
    .rx_burst = tap_rx_burst, .rx_release = tap_rx_release, .tx_reserve = tap_tx_reserve, .tx_submit = tap_tx_submit,
    .tx_cancel = tap_tx_cancel, .tx_flush = tap_tx_flush, .deadline = tap_deadline, .caps = tap_caps,
    .stats = tap_stats, .fd = tap_fd, .tick = tap_tick, .close = tap_close,
};

int xw_tap_open(struct xw_dev *inner, const struct xw_tap_cfg *cfg, struct xw_dev **out) {
    if (cfg->fd < 0)
        return XW_EINVAL;
    struct tap *t = calloc(1, sizeof *t);
    uint8_t *buf = malloc(BUF_LEN);
    if (!t || !buf) {
        free(t);
        free(buf);
        return XW_ENOMEM;
    }
    *t = (struct tap){ .dev = { &tap_ops }, .inner = inner, .cfg = *cfg, .buf = buf };
    put_head(t);
    t->from = t->len;
    *out = &t->dev;
    return XW_OK;
}

uint64_t xw_tap_lost(const struct xw_dev *d) { return ((const struct tap *)d)->lost; }

int xw_tap_device(struct xw_dev *inner, int fd, uint64_t epoch_offset_ns, int secrets_fd, struct xw_dev **out) {
    struct xw_tap_cfg cfg = { .fd = fd, .epoch_offset_ns = epoch_offset_ns, .secrets_fd = secrets_fd };
    return xw_tap_open(inner, &cfg, out);
}
