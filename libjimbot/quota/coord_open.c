/*
 * coord_open.c: making and closing a coordinator.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "quota/config.h"
#include "quota/coord.h"

#include <string.h>

static uint64_t own_clock(void *userdata)
{
    (void)userdata;
    return jb_clock_now_ns();
}

static int open_alone(jb_coord *coord, const jb_coord_opts *opts, jb_error *err)
{
    uint64_t params[JBI_SEGMENT_PARAMS];

    jbi_config_params(opts, params);
    coord->block_bytes = jbi_books_bytes(params);
    coord->block = jbi_alloc_zeroed(&coord->alloc, (size_t)coord->block_bytes);
    if (!coord->block)
        return jbi_error_set(err, JB_ENOMEM, "no memory for a coordinator");
    jbi_books_place(&coord->books, coord->block, params, false);
    jbi_books_format(&coord->books, opts, jb_clock_utc_ns());
    coord->books.peer = 1;
    coord->lock = (struct jbi_lock){.word = &coord->books.head->lock, .self = 1};
    return 0;
}

int jb_coord_open(const char *name, const jb_coord_opts *given, jb_coord **ret_coord, jb_error *err)
{
    jb_coord_opts opts;
    jb_coord *coord;
    jb_alloc alloc;
    int rc;

    if (!ret_coord)
        return jbi_error_set(err, JB_EINVAL, "ret_coord is NULL");
    rc = jbi_config_take(given, &opts, err);
    if (!rc && name)
        rc = jbi_error_set(err, JB_EINVAL, "a coordinator has no name");
    if (!rc)
        rc = jbi_config_check(&opts, err);
    if (rc)
        return rc;
    alloc = jbi_alloc_or_default(opts.alloc);
    coord = jbi_alloc_zeroed(&alloc, sizeof *coord);
    if (!coord)
        return jbi_error_set(err, JB_ENOMEM, "no memory for a coordinator");
    coord->alloc = alloc;
    coord->clock = opts.clock ? opts.clock : own_clock;
    coord->clock_userdata = opts.clock_userdata;
    rc = open_alone(coord, &opts, err);
    if (rc) {
        jbi_alloc_free(&alloc, coord, sizeof *coord);
        return rc;
    }
    *ret_coord = coord;
    return 0;
}

void jb_coord_close(jb_coord *coord)
{
    jb_alloc alloc;

    if (!coord)
        return;
    alloc = coord->alloc;
    jbi_alloc_free(&alloc, coord->block, (size_t)coord->block_bytes);
    jbi_alloc_free(&alloc, coord, sizeof *coord);
}

void jbi_coord_bury_dead(jb_coord *coord)
{
    (void)coord;
}
