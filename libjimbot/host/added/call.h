/*
 * call: a jb_call: one request or call that a program's own handler answers.
 *
 * Where it came from is told by `carrier`: a call of gRPC, or an answer of HTTP that is being made
 * (inside the handler), or afterwards the connection or the stream that waits for it.
 *
 * Invariant: a call ends once: by an answer, which tells nobody, or by its carrier, which tells
 * whoever asked for it with jb_call_on_close(); its memory goes with it, but never inside `handle`.
 */
#ifndef JBI_HOST_CALL_H
#define JBI_HOST_CALL_H

#include "host/access/gate.h"
#include "host/http/answer.h"
#include "jimbot/service.h"

/* How an answer gets to where the call came from. */
typedef struct jbi_carrier {
    /* Give the answer; code OK has bytes, another one `message`. The call is gone then. */
    void (*answer)(jb_call *call, uint32_t code, const void *bytes, size_t n, const char *message);

    /* Optional, for streams: one message more. As jb_call_send(). */
    int (*send)(jb_call *call, const void *bytes, size_t n);

    bool is_grpc;
} jbi_carrier;

enum { JBI_CALL_ORIGIN_BYTES = 256 };

struct jb_call {
    struct jb_host *host;
    const jb_service_entry *entry;
    const jbi_carrier *carrier;
    void *to;                       /* the carrier's: a jbi_grpc_call, jbi_answer, jbi_conn … */
    const struct jbi_call *request; /* of HTTP, inside the handler */
    jbi_slice body;                 /* inside the handler */
    void (*on_close)(jb_call *call, void *userdata);
    void *close_userdata;
    bool is_inside;     /* the handler has not returned */
    bool is_answered;   /* inside the handler, over HTTP */
    bool is_keep_alive; /* of a connection of HTTP/1.1 that waits; likewise the next three */
    bool is_http_1_0;
    bool is_head;
    bool is_spoiled;                    /* the client sent more meanwhile */
    char origin[JBI_CALL_ORIGIN_BYTES]; /* of the page that may read the answer; "" none */
    char who[JBI_TOKEN_NAME_BYTES];
};

/* NULL when there is no memory. */
jb_call *jbi_call_create(struct jb_host *host, const jb_service_entry *entry, const jbi_who *who);
void jbi_call_free(jb_call *call);

/* Tell whoever wants to know that nobody waits for it any more; once. */
void jbi_call_tell(jb_call *call);

/* The carrier has ended: tell whoever wants to know, and free it. */
void jbi_call_abandon(jb_call *call);

#endif
