/*
 * gzip: messages of gRPC, compressed and not.
 *
 * Invariant: what comes out of a message is bounded by what the caller allows, whatever it claims
 * to be.
 */
#ifndef JBI_HOST_GZIP_H
#define JBI_HOST_GZIP_H

#include "host/text/htext.h"

/* Append what n bytes of gzip hold, at most max_bytes. Returns 0, or JB_EPARSE (it is none, or not
 * whole), JB_ETOOBIG, JB_ENOMEM. */
int jbi_gzip_open(const char *bytes, size_t n, size_t max_bytes, jbi_htext *out);

/* Replace what stands from `at` on by its gzip. Returns 0, or JB_ENOMEM: it is as before. */
int jbi_gzip_close(jbi_htext *text, size_t at);

#endif
