/*
 * unpack: bodies that come compressed, by gzip (zlib) or zstd.
 *
 * Invariant: no body becomes larger than max_bytes, however little was sent; what was sent must be
 * one whole stream to its last byte.
 */
#ifndef JBI_HOST_UNPACK_H
#define JBI_HOST_UNPACK_H

#include "host/http/router.h"

/* Set *ret_plain to the call with its body as the handler wants it: the very body, or its contents
 * in `room`. False when it cannot be: 400, 413 or 415 is in answer. */
bool jbi_unpack(const jbi_call *call, size_t max_bytes, jbi_htext *room, jbi_call *ret_plain,
                jbi_answer *answer);

#endif
