/*
 * log: lines to whoever the program named, no more of them than a person or a disk can take.
 *
 * Invariant: however often something happens, at most JBI_LOG_BURST lines come at once and
 * JBI_LOG_PER_S a second after that; how many were left out is said by the next line that passes
 * and is counted.
 */
#ifndef JBI_HOST_LOG_H
#define JBI_HOST_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum { JBI_LOG_BURST = 200, JBI_LOG_PER_S = 20 };

typedef struct jbi_log {
    uint64_t empty_ns;   /* when the bucket is empty again, on the monotonic clock */
    uint64_t n_held;     /* lines left out since the last that passed */
    uint64_t n_left_out; /* ever */
} jbi_log;

/* Whether a line may pass at this time; if not it is counted. */
bool jbi_log_take(jbi_log *log, uint64_t now_ns);

#endif
