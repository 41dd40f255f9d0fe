/*
 * config.h: the options of a coordinator, checked.
 */
#ifndef JBI_QUOTA_CONFIG_H
#define JBI_QUOTA_CONFIG_H

#include "quota/books.h"
#include "shm/segment_layout.h"

/* The defaults with what was given over them: all but resources, components and shares is
 * checked. */
int jbi_config_take(const jb_coord_opts *given, jb_coord_opts *ret_opts, jb_error *err);

/* Are resources, components and shares fit to make a coordinator of? */
int jbi_config_check(const jb_coord_opts *opts, jb_error *err);

/* Are these the resources, components and shares that the books were made with? */
bool jbi_config_is_same(const struct jbi_books *books, const jb_coord_opts *opts);

void jbi_config_params(const jb_coord_opts *opts, uint64_t params[JBI_SEGMENT_PARAMS]);

#endif
