/*
 * rate_tags.c: see rate_tags.h.
 */
#include "quota/rate_tags.h"

__extension__ typedef unsigned __int128 jbi_u128;

/* Tags count 64ths of a nanosecond at weight 1. */
#define TAG_SCALE UINT64_C(64)
#define SECOND_NS UINT64_C(1000000000)

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t jbi_rate_counted(const struct jbi_limit *limit, const struct jbi_usage *usage)
{
    int place = jbi_limit_place_in(limit, usage);

    if (place < 0)
        return 0;
    /* What is to be committed later is something. */
    return limit->kind == JB_LIMIT_OPEN ? 1 : later(usage->amount[place], 1);
}

uint64_t jbi_rate_taken(const struct jbi_limit *limit, const struct jbi_usage *usage)
{
    return limit->component == JB_LIMIT_ALL ? jbi_rate_counted(limit, usage) : 0;
}

uint64_t *jbi_rate_virtual_time(const struct jbi_limits *limits, uint32_t idx, uint32_t class_idx)
{
    return &limits->tags[(size_t)idx * (limits->n_components + 1)].of[class_idx];
}

uint64_t *jbi_rate_finish_tag(const struct jbi_limits *limits, uint32_t idx, uint32_t component,
                              uint32_t class_idx)
{
    return &limits->tags[(size_t)idx * (limits->n_components + 1) + 1 + component].of[class_idx];
}

uint64_t jbi_rate_start_tag(const struct jbi_limits *limits, uint32_t idx, uint32_t component,
                            uint32_t class_idx)
{
    return later(*jbi_rate_virtual_time(limits, idx, class_idx),
                 *jbi_rate_finish_tag(limits, idx, component, class_idx));
}

uint64_t jbi_rate_lead(const struct jbi_limits *limits, uint32_t idx, uint32_t component,
                       uint32_t class_idx)
{
    return jbi_rate_start_tag(limits, idx, component, class_idx) -
           *jbi_rate_virtual_time(limits, idx, class_idx);
}

uint64_t jbi_rate_charge(const struct jbi_limits *limits, const struct jbi_limit *limit,
                         uint32_t component, uint64_t n)
{
    uint64_t weight = limits->books->components[component].weight;
    uint64_t period_ns = limit->kind == JB_LIMIT_OPEN ? SECOND_NS : limit->period_ns;
    jbi_u128 time_ns = (jbi_u128)n * period_ns / (limit->amount ? limit->amount : 1);
    jbi_u128 charge;

    if (time_ns > UINT64_MAX)
        return UINT64_MAX;
    charge = time_ns * TAG_SCALE / (weight ? weight : 1) + 1;
    return charge < UINT64_MAX ? (uint64_t)charge : UINT64_MAX;
}
