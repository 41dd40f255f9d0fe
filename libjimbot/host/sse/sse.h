/*
 * sse: server-sent events: a subscription as a stream of text without end, for EventSource.
 *
 *     GET /api/v1/stream?topic=game.>&topic=system.*
 *
 *     topic     a pattern, 1 to 64 of them
 *     types     types of events, joined by commas; default all
 *     policy    lossless, latest (the default) or conflate
 *     dialect   of the events' JSON; default balatromcp
 *     event     what the `event:` line says: type (the default), topic, or none, with which a page
 *               gets all of them by onmessage
 *     start     now (the default), oldest, or a sequence number
 *
 * An event is `id:` its sequence, `event:`, and `data:` its JSON. Before one that comes after a gap
 * stands `event: missed` with the number of events lost. A browser that comes again says by
 * Last-Event-ID where it was, which takes precedence over start.
 *
 * Invariant: nothing is buffered but what the connection may hold; a silent stream gets a comment
 * now and then, so that a dead client is found.
 */
#ifndef JBI_HOST_SSE_H
#define JBI_HOST_SSE_H

#include "host/http/router.h"
#include "host/net/conn.h"

extern const jbi_protocol jbi_sse;

/* Handler of GET /api/v1/stream. */
void jbi_sse_begin(struct jbi_service *s, const jbi_call *call, jbi_answer *answer);

#endif
