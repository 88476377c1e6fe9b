/* dev/capture.c: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng). Every length is compared with
 * what is left before it is used. */
#include "dev/capture.h"
#include "base/err.h"
#include "base/limits.h"
#include <string.h>

#define LINKTYPE_ETHERNET 1u
#define IFACES_MAX 64u /* interfaces of a section; captures of one host have a few */

struct iface { bool ethernet, binary; uint8_t exp; uint64_t offset_ns; uint32_t snap_len; };
struct walk {
    const uint8_t *p;
    size_t len;
    bool swap;
    struct xw_capture_rec *out;
    size_t max, cnt;
    uint64_t last_ns;
    const char *why;
    struct iface iface[IFACES_MAX];
    uint32_t ifaces;
};

static uint32_t u32_at(const struct walk *w, size_t off) {
    uint32_t v;
    memcpy(&v, w->p + off, sizeof v);
    return w->swap ? __builtin_bswap32(v) : v;
}
static uint16_t u16_at(const struct walk *w, size_t off) {
    uint16_t v;
    memcpy(&v, w->p + off, sizeof v);
    return w->swap ? __builtin_bswap16(v) : v;
}

static bool bad(struct walk *w, const char *why) {
    w->why = why;
    return false;
}

static void add(struct walk *w, size_t off, uint32_t len, uint32_t orig, uint64_t ns) {
    if (w->cnt < w->max)
        w->out[w->cnt] = (struct xw_capture_rec){ .off = off, .len = len, .whole = len == orig, .ns = ns };
    w->cnt++;
    w->last_ns = ns;
}

static bool walk_pcap(struct walk *w, bool nano) {
    if (w->len < 24)
        return bad(w, "pcap: shorter than its header");
    if ((u32_at(w, 20) & 0x0fffffff) != LINKTYPE_ETHERNET)
        return bad(w, "pcap: link type is not Ethernet");
    for (size_t at = 24; at < w->len;) {
        if (w->len - at < 16)
            return bad(w, "pcap: record header cut off");
        uint32_t len = u32_at(w, at + 8);
        if (len > w->len - at - 16)
            return bad(w, "pcap: record longer than the file");
        uint64_t frac = u32_at(w, at + 4);
        add(w, at + 16, len, u32_at(w, at + 12), u32_at(w, at) * XW_NS_PER_S + (nano ? frac : frac * 1000));
        at += 16 + (size_t)len;
    }
    return true;
}

static uint64_t pow10_of(unsigned n) {
    uint64_t v = 1;
    while (n--)
        v *= 10;
    return v;
}

static uint64_t to_ns(const struct iface *f, uint64_t ts) {
    uint64_t ns;
    if (f->binary)
        ns = (ts >> f->exp) * XW_NS_PER_S + ((ts & ((1ull << f->exp) - 1)) * XW_NS_PER_S >> f->exp);
    else
        ns = f->exp <= 9 ? ts * pow10_of(9u - f->exp) : ts / pow10_of(f->exp - 9u);
    return ns + f->offset_ns;
}

/* Interface description: link type, snap length, and of its options the clock's resolution and offset. */
static bool add_iface(struct walk *w, size_t at, uint32_t total) {
    if (total < 20)
        return bad(w, "pcapng: interface block too short");
    if (w->ifaces == IFACES_MAX)
        return bad(w, "pcapng: more than 64 interfaces");
    struct iface *f = &w->iface[w->ifaces++];
    *f = (struct iface){ .ethernet = u16_at(w, at + 8) == LINKTYPE_ETHERNET, .exp = 6, .snap_len = u32_at(w, at + 12) };
    size_t end = at + total - 4;
    for (size_t o = at + 16; end - o >= 4;) {
        uint16_t code = u16_at(w, o), len = u16_at(w, o + 2);
        size_t padded = ((size_t)len + 3) & ~(size_t)3;
        if (padded > end - o - 4)
            return bad(w, "pcapng: option longer than its block");
        if (!code)
            break;
        if (code == 9 && len == 1) {
            f->binary = w->p[o + 4] & 0x80;
            f->exp = w->p[o + 4] & 0x7f;
            if (f->exp > (f->binary ? 30 : 19))
                return bad(w, "pcapng: time resolution finer than this reader knows");
        } else if (code == 14 && len == 8) { /* seconds, signed: wraps as it should */
            uint64_t a = u32_at(w, o + 4), b = u32_at(w, o + 8);
            bool big_endian = w->swap == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
            f->offset_ns = (big_endian ? a << 32 | b : b << 32 | a) * XW_NS_PER_S;
        }
        o += 4 + padded;
    }
    return true;
}

static bool add_enhanced(struct walk *w, size_t at, uint32_t total) {
    if (total < 32)
        return bad(w, "pcapng: packet block too short");
    uint32_t n = u32_at(w, at + 8), len = u32_at(w, at + 20);
    if (n >= w->ifaces)
        return bad(w, "pcapng: packet of an interface that was not described");
    if (!w->iface[n].ethernet)
        return bad(w, "pcapng: link type is not Ethernet");
    if (len > total - 32)
        return bad(w, "pcapng: packet longer than its block");
    uint64_t ts = (uint64_t)u32_at(w, at + 12) << 32 | u32_at(w, at + 16);
    add(w, at + 28, len, u32_at(w, at + 24), to_ns(&w->iface[n], ts));
    return true;
}

static bool add_simple(struct walk *w, size_t at, uint32_t total) {
    if (total < 16)
        return bad(w, "pcapng: packet block too short");
    if (!w->ifaces || !w->iface[0].ethernet)
        return bad(w, "pcapng: simple packet without an Ethernet interface");
    uint32_t orig = u32_at(w, at + 8), snap = w->iface[0].snap_len, len = orig;
    if (snap && len > snap)
        len = snap;
    if (len > total - 16)
        return bad(w, "pcapng: packet longer than its block");
    add(w, at + 12, len, orig, w->last_ns);
    return true;
}

/* A section header brings its own byte order, which also holds for its own length. */
static bool begin_section(struct walk *w, size_t at) {
    if (w->len - at < 28)
        return bad(w, "pcapng: section header cut off");
    w->swap = false;
    uint32_t magic = u32_at(w, at + 8);
    if (magic != 0x1A2B3C4D && magic != 0x4D3C2B1A)
        return bad(w, "pcapng: byte-order magic is neither way round");
    w->swap = magic == 0x4D3C2B1A;
    if (u16_at(w, at + 12) != 1)
        return bad(w, "pcapng: version is not 1");
    w->ifaces = 0;
    return true;
}

static bool walk_pcapng(struct walk *w) {
    for (size_t at = 0; at < w->len;) {
        if (w->len - at < 12)
            return bad(w, "pcapng: block cut off");
        uint32_t type = u32_at(w, at);
        if (type == 0x0A0D0D0A && !begin_section(w, at))
            return false;
        uint32_t total = u32_at(w, at + 4);
        if (total < 12 || total % 4 || total > w->len - at || u32_at(w, at + total - 4) != total)
            return bad(w, "pcapng: block length wrong");
        bool ok = type == 1 ? add_iface(w, at, total) : type == 6 ? add_enhanced(w, at, total)
                  : type == 3 ? add_simple(w, at, total) : true;
        if (!ok)
            return false;
        at += total;
    }
    return true;
}

int64_t xw_capture_walk(const uint8_t *file, uint64_t len, struct xw_capture_rec *out, uint64_t max, const char **why) {
    struct walk w = { .p = file, .len = len, .out = out, .max = max };
    bool ok = len >= 4 || bad(&w, "capture: shorter than its magic number");
    if (ok) {
        switch (u32_at(&w, 0)) {
        case 0x0A0D0D0A: ok = walk_pcapng(&w); break;
        case 0xA1B2C3D4: ok = walk_pcap(&w, false); break;
        case 0xA1B23C4D: ok = walk_pcap(&w, true); break;
        case 0xD4C3B2A1: w.swap = true; ok = walk_pcap(&w, false); break;
        case 0x4D3CB2A1: w.swap = true; ok = walk_pcap(&w, true); break;
        default: ok = bad(&w, "capture: neither pcap nor pcapng");
        }
    }
    *why = w.why;
    return ok ? (int64_t)w.cnt : XW_EINVAL;
}
