/*
 * view_near.c: in place of view_far.c, where there is no libjimbot-client to ask with.
 */
#include "view.h"

int view_fetch(view *v, const ctl_opts *opts, uint32_t n_max)
{
    return view_fail(v, EXIT_WRONG_USAGE, "--url: built without libjimbot-client");
}
