/*
 * gcra.h: the arithmetic of a jb_gcra, for whoever changes one under a lock of his own.
 *
 * A cell is one number: `paid`, the time at which everything taken is paid for. What is owed at a
 * moment is the way from there to `paid`, and a take is allowed while the debt with it is at most
 * what the burst costs.
 * Invariant: no function here makes what can be taken more, but refunded() by what was given back.
 * Values from shared memory may be anything: sums wrap or stop at an end, and nothing traps.
 */
#ifndef JBI_QUOTA_GCRA_H
#define JBI_QUOTA_GCRA_H

#include "jimbot/rate.h"

/* Nanoseconds are counted in 64ths. The three quarters of the range above the largest clock are
 * room for a burst and for debts. */
enum { JBI_TICK_SHIFT = 6 };
#define JBI_CLOCK_MAX_NS   (UINT64_C(1) << 57)
#define JBI_BURST_MAX      (UINT64_C(1) << 62)
#define JBI_PAID_MAX_TICKS (UINT64_C(3) << 62)

struct jbi_gcra_terms {
    uint64_t interval; /* ticks that a unit costs */
    uint64_t burst;    /* units */
};

/* JB_EINVAL as jb_gcra_init(). */
int jbi_gcra_terms_make(uint64_t amount, uint64_t period_ns, uint64_t burst,
                        struct jbi_gcra_terms *ret_terms);

/* A moment as ticks since the cell's beginning. */
static inline uint64_t jbi_gcra_ticks(uint64_t epoch_ns, uint64_t now_ns)
{
    uint64_t passed = now_ns > epoch_ns ? now_ns - epoch_ns : 0;

    return (passed < JBI_CLOCK_MAX_NS ? passed : JBI_CLOCK_MAX_NS) << JBI_TICK_SHIFT;
}

static inline uint64_t jbi_ticks_to_ns(uint64_t ticks)
{
    return (ticks >> JBI_TICK_SHIFT) + ((ticks & ((1u << JBI_TICK_SHIFT) - 1)) != 0);
}

/* May n more be taken at `at`? What `paid` becomes then, or how long to wait. */
static inline int jbi_gcra_decide(const struct jbi_gcra_terms *terms, uint64_t paid, uint64_t at,
                                  uint64_t n, uint64_t *ret_paid, uint64_t *ret_retry_after_ns)
{
    uint64_t from = paid > at ? paid : at;
    uint64_t most = (terms->burst - n) * terms->interval; /* that may be owed before it */

    if (n > terms->burst)
        return JB_ETOOBIG;
    if (from - at > most) {
        *ret_retry_after_ns = jbi_ticks_to_ns(from - at - most);
        return JB_EAGAIN;
    }
    *ret_paid = from + n * terms->interval;
    return 0;
}

uint64_t jbi_gcra_remaining(const struct jbi_gcra_terms *terms, uint64_t paid, uint64_t at);

/* `paid` after n units were given back; were taken without asking; after no more than `remaining`
 * are left; under other terms. */
uint64_t jbi_gcra_refunded(const struct jbi_gcra_terms *terms, uint64_t paid, uint64_t n);
uint64_t jbi_gcra_charged(const struct jbi_gcra_terms *terms, uint64_t paid, uint64_t at,
                          uint64_t n);
uint64_t jbi_gcra_lowered(const struct jbi_gcra_terms *terms, uint64_t paid, uint64_t at,
                          uint64_t remaining);
uint64_t jbi_gcra_rescaled(const struct jbi_gcra_terms *terms, const struct jbi_gcra_terms *next,
                           uint64_t paid, uint64_t at);

#endif
