/*
 * window.h: a jb_window that lies anywhere, also in a block whose changes are logged.
 *
 * Invariant: no index taken from the window leads outside the n_entries that the caller knows of.
 */
#ifndef JBI_QUOTA_WINDOW_H
#define JBI_QUOTA_WINDOW_H

#include "jimbot/rate.h"
#include "quota/undo.h"

#define JBI_WINDOW_PERIOD_MAX_NS (UINT64_C(1) << 62)

struct jbi_window {
    const struct jbi_undo *undo;
    jb_window *w;
    jb_window_entry *log;
    uint64_t n_entries; /* 2 and more */
};

/* Empty. Nothing is logged. */
void jbi_window_init(const struct jbi_window *window, uint64_t limit, uint64_t period_ns);

int jbi_window_decide(const struct jbi_window *window, uint64_t n, uint64_t now_ns,
                      uint64_t *ret_retry_after_ns);
void jbi_window_add(const struct jbi_window *window, uint64_t n, uint64_t now_ns);
void jbi_window_give_back(const struct jbi_window *window, uint64_t n, uint64_t taken_ns,
                          uint64_t now_ns);
void jbi_window_state(const struct jbi_window *window, uint64_t now_ns, jb_rate_state *ret_state);

/* What is in the ring, the oldest first, also what counts no more: how old, and how much. False:
 * there are no more. */
bool jbi_window_entry_at(const struct jbi_window *window, uint64_t idx, uint64_t now_ns,
                         uint64_t *ret_age_ns, uint64_t *ret_amount);

/* Change the limit. */
void jbi_window_limit(const struct jbi_window *window, uint64_t limit);

#endif
