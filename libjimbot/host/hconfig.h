/*
 * hconfig: the options as text, for those inside: ranges, and what may change in a running host.
 *
 * Invariant: options that passed jbi_hconfig_check() are within the ranges that host.h states.
 */
#ifndef JBI_HOST_HCONFIG_H
#define JBI_HOST_HCONFIG_H

#include "jimbot/host.h"

/* Returns 0, or JB_EINVAL with the option's name. */
int jbi_hconfig_check(const jb_host_opts *opts, jb_error *err);

/* Take from `next`, which was checked, what may change while a host runs. `tell` hears of each
 * option that differs, taken or not. Returns how many were taken. */
uint32_t jbi_hconfig_change(jb_host_opts *opts, const jb_host_opts *next,
                            void (*tell)(const char *name, bool is_taken, void *userdata),
                            void *userdata);

#endif
