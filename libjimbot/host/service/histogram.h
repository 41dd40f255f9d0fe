/*
 * histogram: how long something took, in the buckets of a Prometheus histogram.
 *
 * Invariant: every value is in one bucket and in the sum; buckets never change, so that figures of
 * two versions can be compared.
 */
#ifndef JBI_HOST_HISTOGRAM_H
#define JBI_HOST_HISTOGRAM_H

#include "host/text/htext.h"

enum { JBI_HISTOGRAM_BOUNDS = 14 };

typedef struct jbi_histogram {
    uint64_t n[JBI_HISTOGRAM_BOUNDS + 1]; /* the last: above all bounds */
    uint64_t sum_ns;
} jbi_histogram;

void jbi_histogram_add(jbi_histogram *h, uint64_t ns);

/* Append the samples of one histogram; `labels` is "" or `path="/x"` and so on. */
void jbi_histogram_write(const jbi_histogram *h, const char *name, const char *labels,
                         jbi_htext *out);

#endif
