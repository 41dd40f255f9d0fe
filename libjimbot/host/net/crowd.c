/*
 * crowd: see crowd.h.
 */
#include "host/net/crowd.h"

#include <string.h>

static unsigned list_of(const jbi_crowd *crowd, const jbi_peer *peer)
{
    uint64_t hash[2];

    jbi_siphash(&crowd->key, peer->address, sizeof(peer->address), hash);
    return hash[0] % JBI_CROWD_LISTS;
}

void jbi_crowd_join(jbi_crowd *crowd, jbi_crowd_link *link, const jbi_peer *peer)
{
    jbi_crowd_link **first = &crowd->lists[list_of(crowd, peer)];

    *link = (jbi_crowd_link){.next = *first, .at = first, .peer = peer};
    if (link->next)
        link->next->at = &link->next;
    *first = link;
}

void jbi_crowd_leave(jbi_crowd_link *link)
{
    if (!link->at)
        return;
    *link->at = link->next;
    if (link->next)
        link->next->at = link->at;
    link->at = NULL;
}

bool jbi_crowd_has_more(const jbi_crowd *crowd, const jbi_peer *peer, uint32_t n)
{
    const jbi_crowd_link *link = crowd->lists[list_of(crowd, peer)];
    uint32_t found = 0;

    for (; link && found <= n; link = link->next)
        found += memcmp(link->peer->address, peer->address, sizeof(peer->address)) == 0;
    return found > n;
}
