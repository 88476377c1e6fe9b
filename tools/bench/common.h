/* tools/bench/common.h: what the sender and the C baselines share: the clock, the payload's layout, and the scheduler.
 *
 * A payload begins with {"ts":"NNNNNNNNNNNNNNNNNNN","n":"NNNNNNNNNN", : the send time (ns of CLOCK_MONOTONIC, 19
 * digits), taken right before the message is encrypted, and its number from 0. Both have a fixed place, so that
 * writing and reading them costs the same for every message and client. */
#ifndef XW_BENCH_COMMON_H
#define XW_BENCH_COMMON_H
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>

#define TS_OFF 7
#define TS_DIGITS 19
#define SEQ_OFF 34
#define SEQ_DIGITS 10
#define FIFO_PRIORITY 50

static inline uint64_t bench_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void digits_put(uint8_t *p, unsigned width, uint64_t v) {
    while (width--) {
        p[width] = (uint8_t)('0' + v % 10);
        v /= 10;
    }
}

static inline uint64_t digits_get(const uint8_t *p, unsigned width) {
    uint64_t v = 0;
    for (unsigned i = 0; i < width; i++)
        v = v * 10 + (uint64_t)(p[i] - '0');
    return v;
}

static inline void cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* Pins the calling thread; cpu < 0: anywhere. */
static inline bool cpu_pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (cpu >= 0)
        CPU_SET((size_t)cpu, &set);
    return cpu < 0 || !sched_setaffinity(0, sizeof set, &set);
}

/* Real-time priority, only for the part that is measured: the kernel takes it away from a thread that holds a core for
 * 0.95 s of a second, and start-up would count. */
static inline bool fifo_set(bool on) {
    struct sched_param p = { .sched_priority = on ? FIFO_PRIORITY : 0 };
    return !sched_setscheduler(0, on ? SCHED_FIFO : SCHED_OTHER, &p);
}

static inline double cpu_seconds(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) + 1e-6 * (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}
#endif
