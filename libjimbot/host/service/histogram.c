/*
 * histogram: see histogram.h. Bounds from 10 microseconds, below which nobody can wait, to ten
 * seconds, above which everybody has left.
 */
#include "host/service/histogram.h"

static const uint64_t bounds_us[JBI_HISTOGRAM_BOUNDS] = {
    10, 25, 50, 100, 250, 500, 1000, 2500, 10000, 25000, 100000, 500000, 2500000, 10000000};

void jbi_histogram_add(jbi_histogram *h, uint64_t ns)
{
    unsigned i = 0;

    while (i < JBI_HISTOGRAM_BOUNDS && ns > bounds_us[i] * 1000)
        i++;
    h->n[i]++;
    h->sum_ns += ns;
}

void jbi_histogram_write(const jbi_histogram *h, const char *name, const char *labels,
                         jbi_htext *out)
{
    const char *comma = *labels ? "," : "";
    uint64_t n = 0;

    for (unsigned i = 0; i < JBI_HISTOGRAM_BOUNDS; i++) {
        n += h->n[i];
        jbi_htext_printf(out, "%s_bucket{%s%sle=\"%g\"} %llu\n", name, labels, comma,
                         (double)bounds_us[i] / 1e6, (unsigned long long)n);
    }
    n += h->n[JBI_HISTOGRAM_BOUNDS];
    jbi_htext_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma,
                     (unsigned long long)n);
    jbi_htext_printf(out, *labels ? "%s_sum{%s} %.9f\n" : "%s_sum%s %.9f\n", name, labels,
                     (double)h->sum_ns / 1e9);
    jbi_htext_printf(out, *labels ? "%s_count{%s} %llu\n" : "%s_count%s %llu\n", name, labels,
                     (unsigned long long)n);
}
