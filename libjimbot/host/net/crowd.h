/*
 * crowd: how many connections one client has open, by its address.
 *
 * Invariant: each connection between jbi_crowd_join() and jbi_crowd_leave() is in the list of its
 * address's hash once. Counting walks that list, and stops at the number asked about.
 */
#ifndef JBI_HOST_CROWD_H
#define JBI_HOST_CROWD_H

#include "host/net/peer.h"
#include "host/text/siphash.h"

enum { JBI_CROWD_LISTS = 256 };

typedef struct jbi_crowd_link {
    struct jbi_crowd_link *next;
    struct jbi_crowd_link **at; /* what points here; NULL: it is in no list */
    const jbi_peer *peer;
} jbi_crowd_link;

typedef struct jbi_crowd {
    jbi_siphash_key key;
    jbi_crowd_link *lists[JBI_CROWD_LISTS];
} jbi_crowd;

void jbi_crowd_join(jbi_crowd *crowd, jbi_crowd_link *link, const jbi_peer *peer);
void jbi_crowd_leave(jbi_crowd_link *link);

/* Whether more than n connections of this address are in it. */
bool jbi_crowd_has_more(const jbi_crowd *crowd, const jbi_peer *peer, uint32_t n);

#endif
