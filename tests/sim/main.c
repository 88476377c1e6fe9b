/* tests/sim/main.c: which seeds run.
 *
 *     sim [-f FIRST] [-n COUNT] [-j JOBS] [-s]     COUNT seeds from FIRST, in JOBS processes; -s: without the fast path
 *     sim -1 SEED                                  one seed, with its story
 *     sim -d …                                     each seed with and without the fast path: the packets are the same
 *
 * Ends with 1 at the first seed that fails; what failed and how to repeat it stands on stderr. */
#include "world.h"
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct work { uint64_t first, cnt; unsigned jobs; bool slow, compare; };
struct sums { uint64_t seeds, packets, octets, virtual_ns; };

static void one(const struct work *k, uint64_t seed, struct sums *sum) {
    struct sim_force f = { .no_fast_path = k->slow };
    struct sim_result r = sim_run(seed, &f);
    *sum = (struct sums){ sum->seeds + 1, sum->packets + r.packets, sum->octets + r.octets, sum->virtual_ns + r.virtual_ns };
    if (!k->compare)
        return;
    f.no_fast_path = true;
    if (sim_run(seed, &f).digest != r.digest) {
        fprintf(stderr, "seed %" PRIu64 ": without the fast path other packets are sent\n", seed);
        exit(1);
    }
}

static struct sums share(const struct work *k, unsigned job) {
    struct sums sum = { 0 };
    for (uint64_t i = job; i < k->cnt; i += k->jobs)
        one(k, k->first + i, &sum);
    return sum;
}

/* Each job is a process: a failure ends one, and the others are told by the exit code of all. */
static int run(const struct work *k) {
    struct sums all = { 0 }, part;
    struct timespec a, b;
    int failed = 0, pipes[64][2], status;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (unsigned j = 0; j < k->jobs; j++) {
        if (pipe(pipes[j]))
            return 2;
        if (!fork()) {
            part = share(k, j);
            _exit(write(pipes[j][1], &part, sizeof part) != sizeof part);
        }
        close(pipes[j][1]);
    }
    for (unsigned j = 0; j < k->jobs; j++)
        if (read(pipes[j][0], &part, sizeof part) == sizeof part)
            all = (struct sums){ all.seeds + part.seeds, all.packets + part.packets, all.octets + part.octets,
                                 all.virtual_ns + part.virtual_ns };
    while (wait(&status) > 0)
        failed |= status != 0;
    clock_gettime(CLOCK_MONOTONIC, &b);
    double s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
    printf("%" PRIu64 " of %" PRIu64 " seeds from %" PRIu64 " passed%s: %" PRIu64 " packets, %" PRIu64
           " octets, %.0f virtual hours; %.1f s, %.0f seeds/s\n", all.seeds, k->cnt, k->first,
           k->compare ? ", the same packets without the fast path" : k->slow ? " without the fast path" : "", all.packets,
           all.octets, (double)all.virtual_ns / 3.6e12, s, (double)all.seeds / s);
    return failed;
}

int main(int argc, char **argv) {
    struct work k = { .first = 1, .cnt = 500, .jobs = 1 };
    int c;
    while ((c = getopt(argc, argv, "f:n:j:1:sd")) != -1) {
        uint64_t v = optarg ? strtoull(optarg, NULL, 0) : 0;
        switch (c) {
        case 'f': k.first = v; break;
        case 'n': k.cnt = v; break;
        case 'j': k.jobs = v < 1 ? 1 : v > 64 ? 64 : (unsigned)v; break;
        case 's': k.slow = true; break;
        case 'd': k.compare = true; break;
        case '1': {
            struct sim_result r = sim_run(v, &(struct sim_force){ .no_fast_path = k.slow, .story = true });
            printf("seed %" PRIu64 " passed: %" PRIu64 " packets, %" PRIu64 " octets in %.3f s of virtual time\n", v, r.packets,
                   r.octets, (double)r.virtual_ns / 1e9);
            return 0;
        }
        default: fprintf(stderr, "usage: sim [-f FIRST] [-n COUNT] [-j JOBS] [-s] [-d] | sim -1 SEED\n"); return 2;
        }
    }
    fflush(stdout);
    return run(&k);
}
