/*
 * origin: whether a request may come from where a browser says it comes from.
 *
 * A page of anybody's can make the browser of somebody here send requests to a daemon on loopback,
 * under a name of its own that it lets point to 127.0.0.1, or as a request to another site. So the
 * name in Host must be ours, and what a browser says of the page must be us or on a list. Programs
 * that are no browsers say nothing of a page and are not looked at for it.
 *
 * Invariant: pure functions of their arguments; what is not understood is not ours.
 */
#ifndef JBI_HOST_ORIGIN_H
#define JBI_HOST_ORIGIN_H

#include "host/text/slice.h"

/* What a request says; a field that did not come has data NULL. */
typedef struct jbi_origin_facts {
    jbi_slice host;
    jbi_slice origin;
    jbi_slice fetch_site; /* Sec-Fetch-Site */
    bool is_tls;
} jbi_origin_facts;

/* "name", "name:80", "[::1]:80" without the port, and without brackets and a last dot. */
jbi_slice jbi_origin_name(jbi_slice authority);

/* Whether Host names us whatever is configured: an address, or localhost. A page cannot make such
 * a name its own. */
bool jbi_origin_is_literal(jbi_slice authority);

/* Whether a list of words, with commas or blanks between, has this one in any case, or has "*". */
bool jbi_origin_is_listed(const char *list, jbi_slice word);

/* Whether a page may ask this: none is named, it is our own, or `allowed` lists it. */
bool jbi_origin_may_ask(const jbi_origin_facts *facts, const char *allowed);

#endif
