/*
 * session: a client that publishes, subscribes, acknowledges and sends commands on one stream of
 * messages: SessionRequest in, SessionResponse out, whatever carries them. WebSocket has one in
 * each message, in protobuf or JSON; the Session call of gRPC in each of its messages, in protobuf.
 *
 *     jbi_session_open(host, &opts, &session);     // opts.wake calls jbi_conn_wake(c)
 *
 *     on a message:  mark = begin a frame in c->out.open;
 *                    if (jbi_session_request(session, message, &c->out.open))
 *                        end the frame;
 *                    else
 *                        c->out.open.len = mark;
 *     in pump():     while (!jbi_conn_is_full(c))
 *                        begin a frame; if (!jbi_session_next(session, out)) drop it and stop;
 *                        end the frame;
 *     at the end:    jbi_session_close(session);
 *
 * A request is answered at once, by at most one response, and never by waiting: an event that finds
 * no room has the outcome FULL. Deliveries are made when the connection has room for them, a
 * subscription after the other, at most max_events and about JBI_SESSION_DELIVERY_BYTES in each; an
 * empty one after idle_ns without events.
 *
 * Invariant: an event is delivered once to a subscription of the session, in the order of the feed;
 * never more than max_unacked are delivered and not acknowledged. A request that cannot be done
 * changes nothing and is answered by a fault.
 */
#ifndef JBI_HOST_SESSION_H
#define JBI_HOST_SESSION_H

#include "host/text/htext.h"
#include "host/text/slice.h"

struct jb_host;
struct jbi_who;

enum {
    JBI_SESSION_SUBS = 64,                  /* subscriptions of one session */
    JBI_SESSION_UNACKED = 65536,            /* largest max_unacked */
    JBI_SESSION_DELIVERY_BYTES = 64 * 1024, /* a delivery ends with the event that passes this */
    JBI_SESSION_PING_BYTES = 64             /* largest payload of a ping */
};

enum jbi_session_form { JBI_SESSION_PROTO = 0, JBI_SESSION_JSON = 1 };

/* Deliveries may be there: have jbi_session_next() called. */
typedef void (*jbi_session_fn)(void *userdata);

typedef struct jbi_session_opts {
    uint32_t form;             /* enum jbi_session_form */
    const struct jbi_who *who; /* copied; what it may not is answered with PERMISSION_DENIED */
    const char *via;           /* for statistics, "websocket", "grpc"; static */
    jbi_slice name;            /* of subscriptions that give none; copied */
    jbi_session_fn wake;
    void *userdata;
} jbi_session_opts;

typedef struct jbi_session jbi_session;

/* Returns 0 or JB_ENOMEM. */
int jbi_session_open(struct jb_host *host, const jbi_session_opts *opts, jbi_session **ret_session);

/* End it and its subscriptions. NULL is fine. */
void jbi_session_close(jbi_session *session);

/* Do one request. True when a response was appended, which is one SessionResponse in the session's
 * form; all requests but an ack have one. */
bool jbi_session_request(jbi_session *session, jbi_slice message, jbi_htext *out);

/* Append the next delivery, or the end of a subscription that broke. False when there is none; wake
 * is called when there is. */
bool jbi_session_next(jbi_session *session, jbi_htext *out);

#endif
