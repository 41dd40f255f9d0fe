/*
 * usage.h: what usage.c and ticket.c have in common: a take, checked and carried out.
 *
 * Invariant: what the caller gave is looked at before the lock is taken, and no more after it.
 */
#ifndef JBI_QUOTA_USAGE_H
#define JBI_QUOTA_USAGE_H

#include "quota/coord.h"
#include "quota/limits.h"

/* Enter the coordinator and find its limits, or stay outside and say why not. */
int jbi_usage_enter(jb_coord *coord, struct jbi_limits *ret_limits);
int jbi_usage_try_enter(jb_coord *coord, struct jbi_limits *ret_limits);

/* What somebody takes, checked. 0 or JB_EINVAL. */
int jbi_usage_of(const jb_coord *coord, const jb_take *take, struct jbi_usage *ret_usage);

/* Take now, if neither a limit nor the line is in the way; nothing is recorded of a denial, which
 * is set whatever comes of it. The caller is inside. */
int jbi_usage_take(jb_coord *coord, const struct jbi_limits *limits, const struct jbi_usage *usage,
                   jb_usage *ret_usage, struct jbi_denial *ret_denial);

/* The same, or stand in line for it. The caller is outside. */
int jbi_usage_take_or_wait(jb_coord *coord, const struct jbi_usage *usage, uint64_t timeout_ns,
                           jb_usage *ret_usage, jb_denial *ret_denial);

/* For the caller's eyes; ret_denial may be NULL. */
void jbi_usage_show(const struct jbi_limits *limits, uint32_t slot, jb_usage *ret_usage);
void jbi_denial_show(const struct jbi_denial *denial, jb_denial *ret_denial);

#endif
