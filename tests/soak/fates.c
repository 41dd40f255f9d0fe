/*
 * fates.c: what the counters of a subscription say: see reader.h.
 */
#include "reader.h"

static unsigned long ul(uint64_t n)
{
    return (unsigned long)n;
}

bool reader_stats(struct reader *self, jb_sub_stats *ret_stats)
{
    int rc;

    ret_stats->size = sizeof *ret_stats;
    rc = jb_sub_get_stats(self->sub, ret_stats);
    if (rc)
        reader_fail(self, "jb_sub_get_stats: %s", jb_err_name(rc));
    return rc == 0;
}

uint64_t reader_passed(const jb_sub_stats *stats)
{
    return stats->n_delivered + stats->n_filtered + stats->n_missed + stats->n_conflated;
}

static bool begin_behind(struct reader *self, uint64_t start)
{
    struct account *account = &self->row->accounts[0]; /* no step of `turn` yet */

    if (self->role->is_auditor && start) {
        reader_fail(self, "begins behind event %lu", ul(start));
        return false;
    }
    for (uint32_t lane = 0; lane < SOAK_LANES; lane++) {
        account->start_sequence[lane] = start;
        account->last_sequence[lane] = start;
    }
    self->has_begun = true;
    return true;
}

bool reader_begin(struct reader *self)
{
    const jb_event *first = &self->events[0];
    jb_sub_stats stats;

    if (!reader_stats(self, &stats))
        return false;
    if (stats.n_delivered || reader_passed(&stats) >= first->sequence ||
        stats.n_missed != first->n_missed) {
        reader_fail(self,
                    "first event %lu, missed %lu; statistics: %lu delivered, %lu filtered, "
                    "%lu missed",
                    ul(first->sequence), ul(first->n_missed), ul(stats.n_delivered),
                    ul(stats.n_filtered), ul(stats.n_missed));
        return false;
    }
    return begin_behind(self, first->sequence - 1 - reader_passed(&stats));
}

bool reader_begin_late(struct reader *self, int n_taken)
{
    uint64_t last = self->events[n_taken - 1].sequence;
    jb_sub_stats stats;

    if (!reader_stats(self, &stats))
        return false;
    if (stats.n_delivered != (uint64_t)n_taken || reader_passed(&stats) > last) {
        reader_fail(self,
                    "took the first %d events up to %lu; statistics: %lu delivered, %lu passed",
                    n_taken, ul(last), ul(stats.n_delivered), ul(reader_passed(&stats)));
        return false;
    }
    return begin_behind(self, last - reader_passed(&stats));
}

bool reader_check_fates(struct reader *self)
{
    const struct account *account = &self->row->accounts[atomic_load(&self->row->turn) & 1];
    jb_sub_stats stats;

    if (!reader_stats(self, &stats))
        return false;
    if (account_start(account) + reader_passed(&stats) == account_last(account) &&
        stats.n_delivered == account->n_events && stats.n_missed == account->n_missed &&
        (stats.n_filtered == 0 || !role_wants_all(self->role)))
        return true;
    reader_fail(self,
                "took %lu events out of (%lu, %lu] and was told of %lu missed; statistics: %lu "
                "delivered, %lu filtered, %lu missed, %lu conflated",
                ul(account->n_events), ul(account_start(account)), ul(account_last(account)),
                ul(account->n_missed), ul(stats.n_delivered), ul(stats.n_filtered),
                ul(stats.n_missed), ul(stats.n_conflated));
    return false;
}
