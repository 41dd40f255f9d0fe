/*
 * carrier: how a client's session gets over a connection: WebSocket, gRPC, or HTTP requests.
 *
 * A carrier is told that the connection stands, what comes in, and when there may be something to
 * do; it says jbi_client_up(), jbi_client_fail() or jbi_client_fault(), and never closes anything
 * itself.
 *
 * Invariant: bytes of the server are looked at only by llhttp, wslay and nghttp2, and what they
 * make of them is bounded: a header of 16 KiB, an answer or message of JBI_CARRIER_MESSAGE_MAX.
 */
#ifndef JBI_CLIENT_CARRIER_H
#define JBI_CLIENT_CARRIER_H

#include "client/reply.h"

enum { JBI_CARRIER_MESSAGE_MAX = 16 * 1024 * 1024 };

struct wslay_event_context;
struct nghttp2_session;

typedef struct jbi_carrier {
    uint32_t way;                /* enum jb_client_way */
    void (*begin)(jb_client *c); /* connected */
    void (*feed)(jb_client *c, const char *bytes, size_t n);
    void (*eof)(jb_client *c);  /* the server closed; NULL: nothing to be made of it */
    void (*pump)(jb_client *c); /* up: send what there is to send */
    void (*send)(jb_client *c, const jbi_htext *message); /* one of the session; NULL: has none */
    void (*resume)(jb_client *c);                         /* an inbox has room again: read on */
    void (*ping)(jb_client *c);                           /* make the server say something */
    void (*bye)(jb_client *c);                            /* up: say goodbye */
    void (*end)(jb_client *c);                            /* forget the connection */
} jbi_carrier;

extern const jbi_carrier jbi_carrier_ws;
extern const jbi_carrier jbi_carrier_rest;
extern const jbi_carrier jbi_carrier_grpc;

typedef struct jbi_ws {
    struct wslay_event_context *frames;
    jbi_reply reply;
    jbi_htext in; /* not read yet */
    size_t in_at;
    char key[32];
    bool is_upgraded;
} jbi_ws;

enum jbi_rest_call { JBI_REST_NONE, JBI_REST_EVENTS, JBI_REST_COMMAND, JBI_REST_POLL };

typedef struct jbi_rest {
    jbi_reply reply;
    jbi_htext body;
    uint32_t call; /* the request without an answer, enum jbi_rest_call */
    bool is_poll_due;
    uint64_t polled_ms; /* last time, 0: never; of all connections */
} jbi_rest;

typedef struct jbi_grpc {
    struct nghttp2_session *h2;
    jbi_htext out; /* messages with their prefixes, not in a frame yet */
    size_t out_at;
    jbi_htext in; /* the same of the server, not read yet */
    size_t in_at;
    size_t n_unconsumed; /* bytes whose window was not given back, because an inbox is full */
    int32_t stream;
    uint32_t status; /* grpc-status, once it came */
    uint16_t http_status;
    bool has_status;
} jbi_grpc;

/* session: what is said over a carrier that moves messages. */
void jbi_session_begin(jb_client *c);

/* Let go of subscriptions that were closed while there is no connection. */
void jbi_session_sweep(jb_client *c);
void jbi_session_pump(jb_client *c);

/* One message of the server. */
void jbi_session_take(jb_client *c, const void *bytes, size_t n);

/* The event of the batch at a place was answered, enum jbi_outcome; true: it is to be tried
 * again. */
bool jbi_session_settle(jb_client *c, uint32_t i, uint32_t outcome);

/* The batch as a whole could not be done: refuse it, or send its events one by one. */
void jbi_session_refuse(jb_client *c);

/* An answer is complete: go on with the rest of the batch, or the next one. */
void jbi_session_settled(jb_client *c);

#endif
