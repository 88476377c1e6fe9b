/* ws/simd_utf8.h: tables of the rows that have a byte shuffle; for ws/simd_*.c only.
 *
 * UTF-8 by the range look-up of Keiser and Lemire ("Validating UTF-8 in less than one instruction per byte", 2021): every
 * pair of neighbours is classified by three 16-entry tables (high nibble and low nibble of the first byte, high nibble
 * of the second); a bit that survives the AND of the three names an error. */
#ifndef XW_WS_SIMD_UTF8_H
#define XW_WS_SIMD_UTF8_H

/* Errors that a pair of bytes can show. Pairs are (previous, current). */
enum {
    SHORT = 1,       /* lead, then not a continuation */
    LONG = 2,        /* ASCII, then a continuation */
    OVER3 = 4,       /* e0, then 80..9f */
    LARGE = 8,       /* f4, then 90..bf; f5 and above */
    SURR = 16,       /* ed, then a0..bf */
    OVER2 = 32,      /* c0, c1 */
    LARGE1000 = 64,  /* f5 and above, then 80..8f */
    OVER4 = 64,      /* f0, then 80..8f: shares its bit, the first byte tells the two apart */
    CONTS = 128,     /* two continuations: wrong unless the byte two or three before the second asks for it */
    ANY_LOW = SHORT | LONG | CONTS,
    BIG = ANY_LOW | LARGE | LARGE1000,
    CONT = LONG | OVER2 | CONTS
};

#define FIRST_HIGH \
    LONG, LONG, LONG, LONG, LONG, LONG, LONG, LONG, CONTS, CONTS, CONTS, CONTS, \
    SHORT | OVER2, SHORT, SHORT | OVER3 | SURR, SHORT | LARGE | LARGE1000 | OVER4
#define FIRST_LOW \
    ANY_LOW | OVER2 | OVER3 | OVER4, ANY_LOW | OVER2, ANY_LOW, ANY_LOW, ANY_LOW | LARGE, \
    BIG, BIG, BIG, BIG, BIG, BIG, BIG, BIG, BIG | SURR, BIG, BIG
#define SECOND_HIGH \
    SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, CONT | OVER3 | LARGE1000 | OVER4, \
    CONT | OVER3 | LARGE, CONT | SURR | LARGE, CONT | SURR | LARGE, SHORT, SHORT, SHORT, SHORT

/* Third and fourth bytes: what is left of a byte two (three) before when this is taken off with saturation has its top bit
 * set if that byte asks for a continuation here. */
enum { ASKS_THIRD = 0xe0 - 0x80, ASKS_FOURTH = 0xf0 - 0x80 };
#endif
