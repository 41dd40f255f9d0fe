/*
 * get: the head of a request of HTTP, for all that ask over it.
 *
 * Invariant: the head is whole lines; whoever writes one has checked that path and token hold no
 * byte that could end a line.
 */
#ifndef JBI_CLIENT_GET_H
#define JBI_CLIENT_GET_H

#include "client/url.h"
#include "host/text/htext.h"

/* Append the first line and the fields that all requests have, without the empty line that ends
 * them. */
void jbi_get_head(jbi_htext *out, const jbi_url *url, const char *method, const char *path,
                  const char *token);

#endif
