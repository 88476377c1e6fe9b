#include "base/err.h"
#include "dev/capture.h"
#include "xt.h"

/* A file under construction, in either byte order. */
static uint8_t file[4096];
static size_t len;
static bool big;

static void u16(uint16_t v) {
    file[len++] = (uint8_t)(big ? v >> 8 : v);
    file[len++] = (uint8_t)(big ? v : v >> 8);
}
static void u32(uint32_t v) {
    u16((uint16_t)(big ? v >> 16 : v));
    u16((uint16_t)(big ? v : v >> 16));
}
static void bytes(uint8_t v, size_t n) {
    memset(file + len, v, n);
    len += n;
}

static void pcap_head(bool big_endian, uint32_t magic, uint32_t linktype) {
    len = 0;
    big = big_endian;
    u32(magic);
    u16(2), u16(4), u32(0), u32(0), u32(65535), u32(linktype);
}
static void pcap_rec(uint32_t sec, uint32_t frac, uint32_t cap, uint32_t orig) {
    u32(sec), u32(frac), u32(cap), u32(orig);
    bytes((uint8_t)cap, cap);
}

static void section(bool big_endian) {
    big = big_endian;
    u32(0x0A0D0D0A), u32(28), u32(0x1A2B3C4D), u16(1), u16(0), u32(UINT32_MAX), u32(UINT32_MAX), u32(28);
}
/* tsresol < 0: without the option */
static void interface(int tsresol, uint16_t linktype, uint32_t offset_s) {
    uint32_t total = 20 + (tsresol >= 0 ? 8u : 0u) + (offset_s ? 12u : 0u) + 4;
    u32(1), u32(total), u16(linktype), u16(0), u32(0);
    if (tsresol >= 0) {
        u16(9), u16(1);
        file[len++] = (uint8_t)tsresol;
        bytes(0, 3);
    }
    if (offset_s) {
        u16(14), u16(8);
        u32(big ? 0 : offset_s), u32(big ? offset_s : 0);
    }
    u16(0), u16(0), u32(total);
}
static void packet(uint32_t iface, uint64_t ts, uint32_t cap, uint32_t orig) {
    uint32_t total = 32 + ((cap + 3) & ~3u);
    u32(6), u32(total), u32(iface), u32((uint32_t)(ts >> 32)), u32((uint32_t)ts), u32(cap), u32(orig);
    bytes((uint8_t)cap, cap);
    bytes(0, (4 - cap % 4) % 4);
    u32(total);
}

static struct xw_capture_rec rec[16];
static const char *why;
static int64_t walk(void) { return xw_capture_walk(file, len, rec, 16, &why); }

static void refused(const char *reason) {
    XT_EQ(walk(), XW_EINVAL);
    if (!strstr(why, reason))
        XT_FAIL("refused for \"%s\", not \"%s\"", why, reason);
}

XT_TEST(pcap_of_either_order_and_resolution) {
    for (int order = 0; order < 2; order++)
        for (int nano = 0; nano < 2; nano++) {
            pcap_head(order, nano ? 0xA1B23C4D : 0xA1B2C3D4, 1);
            pcap_rec(1700000000, 5, 60, 60);
            pcap_rec(1700000001, 999, 61, 1514);
            XT_EQ(walk(), 2);
            XT_EQ(rec[0].off, 40);
            XT_EQ(rec[0].len, 60);
            XT_TRUE(rec[0].whole && !rec[1].whole);
            XT_EQ(file[rec[1].off], 61);
            XT_EQ(rec[0].ns, 1700000000000000000ull + (nano ? 5 : 5000));
            XT_EQ(rec[1].ns, 1700000001000000000ull + (nano ? 999 : 999000));
        }
}

/* Resolutions from 10^-0 to 10^-19 and 2^-30, an offset, two interfaces, unknown blocks in between. */
XT_TEST(pcapng_times) {
    static const struct { int resol; uint64_t ts, ns; } rows[] = {
        { -1, 1700000000123456ull, 1700000000123456000ull }, { 9, 1700000000123456789ull, 1700000000123456789ull },
        { 0, 1700000000, 1700000000000000000ull }, { 3, 1700000000123ull, 1700000000123000000ull },
        { 12, 5123, 5 }, { 19, 12345678901234567890ull, 1234567890 },
        { 0x80 | 30, (7ull << 30) + (1u << 29), 7500000000ull }, { 0x80 | 0, 9, 9000000000ull },
    };
    for (int order = 0; order < 2; order++)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            len = 0;
            section(order);
            interface(6, 1, 0);
            interface(rows[i].resol, 1, i % 2 ? 3 : 0);
            u32(5), u32(16), u32(0xdeadbeef), u32(16); /* statistics: passed over */
            packet(1, rows[i].ts, 61, 61);
            XT_EQ(walk(), 1);
            XT_EQ(rec[0].len, 61);
            XT_EQ(file[rec[0].off], 61);
            XT_EQ(rec[0].ns, rows[i].ns + (i % 2 ? 3000000000ull : 0));
        }
}

XT_TEST(sections_of_different_order_and_simple_packets) {
    len = 0;
    section(false);
    interface(9, 1, 0);
    packet(0, 77, 60, 60);
    u32(3), u32(16 + 64), u32(62), bytes(9, 64), u32(16 + 64);
    section(true);
    interface(9, 1, 0);
    packet(0, 88, 63, 100);
    XT_EQ(walk(), 3);
    XT_EQ(rec[1].len, 62);
    XT_EQ(rec[1].ns, 77);
    XT_EQ(rec[2].ns, 88);
    XT_TRUE(!rec[2].whole);
    XT_EQ(xw_capture_walk(file, len, rec, 0, &why), 3); /* counts without writing */
}

XT_TEST(damage_is_named) {
    pcap_head(false, 0xA1B2C3D4, 113);
    refused("pcap: link type");
    pcap_head(false, 0xA1B2C3D5, 1);
    refused("neither pcap nor pcapng");
    len = 3;
    refused("shorter than its magic");
    pcap_head(false, 0xA1B2C3D4, 1);
    pcap_rec(1, 1, 60, 60);
    len--;
    refused("record longer than the file");
    pcap_head(false, 0xA1B2C3D4, 1);
    u32(1), u32(1), u32(UINT32_MAX), u32(60);
    refused("record longer than the file");
    len = 0;
    section(false);
    packet(0, 1, 60, 60);
    refused("not described");
    len = 0;
    section(false);
    interface(9, 101, 0);
    XT_EQ(walk(), 0);
    packet(0, 1, 60, 60);
    refused("link type is not Ethernet");
    len = 0;
    section(false);
    interface(20, 1, 0);
    refused("resolution");
    for (int i = 0; i < 64; i++) {
        if (!i) {
            len = 0;
            section(false);
        }
        u32(1), u32(20), u16(1), u16(0), u32(0), u32(20);
    }
    XT_EQ(walk(), 0);
    u32(1), u32(20), u16(1), u16(0), u32(0), u32(20);
    refused("more than 64");
}

/* Cut anywhere, and each byte changed: an answer, and never a record that leaves the file (the sanitizers watch). */
XT_TEST(any_truncation_and_any_byte_is_survived) {
    for (int kind = 0; kind < 2; kind++) {
        if (kind) {
            len = 0;
            section(true);
            interface(9, 1, 5);
            packet(0, 1, 61, 61);
            u32(3), u32(16 + 64), u32(62), bytes(9, 64), u32(16 + 64);
        } else {
            pcap_head(false, 0xA1B2C3D4, 1);
            pcap_rec(1, 1, 60, 60);
            pcap_rec(1, 2, 61, 61);
        }
        size_t whole = len;
        for (size_t cut = 0; cut < whole; cut++) {
            uint8_t *copy = malloc(cut ? cut : 1);
            memcpy(copy, file, cut);
            XT_TRUE(xw_capture_walk(copy, cut, rec, 16, &why) < (kind ? 2 : 3));
            free(copy);
        }
        uint8_t *copy = malloc(whole);
        for (size_t at = 0; at < whole; at++)
            for (unsigned v = 0; v < 256; v += 17) {
                memcpy(copy, file, whole);
                copy[at] = (uint8_t)v;
                int64_t n = xw_capture_walk(copy, whole, rec, 16, &why);
                for (int64_t i = 0; i < n && i < 16; i++)
                    XT_TRUE(rec[i].off <= whole && rec[i].len <= whole - rec[i].off);
            }
        free(copy);
    }
}

XT_MAIN(XT_RUN(pcap_of_either_order_and_resolution), XT_RUN(pcapng_times),
        XT_RUN(sections_of_different_order_and_simple_packets), XT_RUN(damage_is_named),
        XT_RUN(any_truncation_and_any_byte_is_survived))
