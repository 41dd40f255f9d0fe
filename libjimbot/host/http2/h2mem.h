/*
 * h2mem: the host's allocator as nghttp2 wants one: without sizes.
 *
 * Invariant: every block of nghttp2 is taken from and given back to the jb_alloc of the host, with
 * its size, which stands before it.
 */
#ifndef JBI_HOST_H2MEM_H
#define JBI_HOST_H2MEM_H

#include "jimbot/base.h"

#include <nghttp2/nghttp2.h>

/* An allocator for nghttp2 over `alloc`, which must outlive what is made with it. */
nghttp2_mem jbi_h2mem(const jb_alloc *alloc);

#endif
