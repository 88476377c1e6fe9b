/* tests/sim/rng.h: the simulation's randomness: SplitMix64, so that a seed is one run and nothing else. Not the
 * generator of the stacks, which must not notice how often the simulation draws. */
#ifndef SIM_RNG_H
#define SIM_RNG_H
#include <stdbool.h>
#include <stdint.h>

struct sim_rng { uint64_t s; };

static inline uint64_t sim_u64(struct sim_rng *r) {
    uint64_t z = r->s += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
/* sim_below: 0 … n - 1; n above 0. */
static inline uint64_t sim_below(struct sim_rng *r, uint64_t n) { return sim_u64(r) % n; }
static inline uint64_t sim_pick(struct sim_rng *r, uint64_t lo, uint64_t hi) { return lo + sim_below(r, hi - lo + 1); }
/* sim_scale: between lo and hi (lo above 0), each order of magnitude as likely as the next. */
static inline uint64_t sim_scale(struct sim_rng *r, uint64_t lo, uint64_t hi) {
    unsigned bits = 0;
    while (lo << (bits + 1) <= hi && bits < 62)
        bits++;
    uint64_t v = lo << sim_below(r, bits + 1);
    v += sim_below(r, v);
    return v < hi ? v : hi;
}
static inline bool sim_chance(struct sim_rng *r, uint32_t of_million) { return sim_below(r, 1000000) < of_million; }
#endif
