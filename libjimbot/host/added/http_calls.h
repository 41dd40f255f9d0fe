/*
 * http_calls: paths of HTTP that a program answers itself.
 *
 * A handler that does not answer keeps its call: over HTTP/1.1 the connection is then handed to a
 * protocol that waits and gives it back, over HTTP/2 only the stream waits.
 *
 * Invariant: an answer that is given later is as one given at once. A client of HTTP/1.1 that sends
 * its next request meanwhile gets the answer, and then the connection ends, because that request
 * was not kept.
 */
#ifndef JBI_HOST_HTTP_CALLS_H
#define JBI_HOST_HTTP_CALLS_H

#include "host/added/call.h"
#include "host/http/router.h"
#include "host/net/conn.h"

struct jbi_h2_stream;

/* The handler of every added route. It leaves answer->later when there is no answer yet. */
void jbi_added_answer(struct jbi_service *service, const jbi_call *call, jbi_answer *answer);

/* A connection of HTTP/1.1 that waits for answer->later, which is what it is switched with. */
extern const jbi_protocol jbi_waiting;

/* A stream of HTTP/2 waits for it. */
void jbi_added_wait_h2(struct jbi_h2_stream *stream, jb_call *call);

#endif
