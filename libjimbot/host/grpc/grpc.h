/*
 * grpc: calls of gRPC, each on a stream of HTTP/2: messages with five bytes before them, metadata,
 * deadlines, and a status in the trailer.
 *
 * What a call does is its method's. A method that cannot take a message now (the bus is full)
 * says so and is given it again a little later; meanwhile nothing more is read than the window of
 * the stream, which is reopened as messages are taken, not as they come.
 *
 * Invariant: each call ends with exactly one status. What it keeps is one message that is not
 * complete (max_body_bytes, charged against the limit all requests share) or one window of messages
 * not taken, and about JBI_GRPC_OUT_BYTES and one message that the client has not read.
 */
#ifndef JBI_HOST_GRPC_H
#define JBI_HOST_GRPC_H

#include "host/access/gate.h"
#include "host/http2/h2stream.h"
#include "host/text/slice.h"

enum {
    JBI_GRPC_OUT_BYTES = 64 * 1024,
    JBI_GRPC_PREFIX_BYTES = 5,
    JBI_GRPC_SMALL_BYTES = 4096 /* the longest message of a method that asks for no scope */
};

/* The numbers of gRPC's status codes. */
enum jbi_grpc_code {
    JBI_GRPC_OK = 0,
    JBI_GRPC_CANCELLED = 1,
    JBI_GRPC_UNKNOWN = 2,
    JBI_GRPC_INVALID_ARGUMENT = 3,
    JBI_GRPC_DEADLINE_EXCEEDED = 4,
    JBI_GRPC_NOT_FOUND = 5,
    JBI_GRPC_PERMISSION_DENIED = 7,
    JBI_GRPC_RESOURCE_EXHAUSTED = 8,
    JBI_GRPC_UNIMPLEMENTED = 12,
    JBI_GRPC_INTERNAL = 13,
    JBI_GRPC_UNAVAILABLE = 14,
    JBI_GRPC_UNAUTHENTICATED = 16
};

typedef struct jbi_grpc_call jbi_grpc_call;

typedef struct jbi_grpc_method {
    const char *path; /* "/jimbot.v1.EventBus/Publish" */
    uint32_t scope;   /* enum jbi_scope */
    size_t max_bytes; /* of a message, plain and compressed; 0: max_body_bytes */
    bool is_unary;    /* the client sends exactly one message */
    bool is_session;  /* what a message needs is asked for each; for it all, the client is known */
    bool is_endless;  /* it ends with the client alone, so a stop of the host ends it at once */

    /* Take a message. False: not now; it comes again, after jbi_grpc_retry_at() or when the client
     * has read. May finish the call. */
    bool (*message)(jbi_grpc_call *call, jbi_slice message);

    /* The client sends no more, and all it sent was taken. Not for unary ones. */
    void (*end)(jbi_grpc_call *call);

    /* Optional: the client has read all; append a message, if there is one. Only while the client
     * may still do this. */
    void (*fill)(jbi_grpc_call *call);

    /* Optional: call->method_ms has passed; it is 0 again. */
    void (*tick)(jbi_grpc_call *call);

    /* Free call->state. */
    void (*close)(jbi_grpc_call *call);
} jbi_grpc_method;

struct jbi_grpc_call {
    jbi_h2_stream *stream;
    const jbi_grpc_method *method;
    void *state;      /* the method's own */
    jbi_who who;      /* the client, let in */
    jbi_body in;      /* one incomplete message; or all that came since one was not taken */
    jbi_body plain;   /* of a compressed message that was not taken */
    size_t n_prepaid; /* bytes of `in` that the window was reopened for already */
    uint64_t n_messages;
    uint64_t deadline_ms; /* of the client, 0 none; on the loop's clock, as all here */
    uint64_t retry_ms;    /* when a message that was not taken comes again */
    uint64_t method_ms;   /* when method->tick() is due */
    uint64_t part_ms;     /* since when a message is awaited that is not whole, 0 none is */
    uint64_t rest_ms;     /* until when */
    uint32_t n_retries;   /* of this message */
    uint32_t code;        /* once it is finished */
    bool is_blocked;      /* a message was not taken */
    bool is_unpacked;     /* `plain` is there */
    bool is_charged;      /* the rate of the client was charged for the message to come */
    bool is_half_closed;  /* the client sends no more */
    bool is_ended;        /* and the method was told */
    bool is_finished;
    bool is_gzip_in;   /* what it compresses, it compresses with gzip */
    bool is_gzip_out;  /* it understands gzip, and uses it */
    bool has_encoding; /* it named a compression that is none of ours */
    char problem[400]; /* grpc-message */
};

struct jb_host *jbi_grpc_host(const jbi_grpc_call *call);

/* Milliseconds of the loop's clock. */
uint64_t jbi_grpc_now_ms(const jbi_grpc_call *call);

/* Tell the client that the call has begun; else it learns it with the first message. */
void jbi_grpc_start(jbi_grpc_call *call);

/* Append a message: begin, append to call->stream->out, end with what begin returned; or drop. */
size_t jbi_grpc_begin(jbi_grpc_call *call);
void jbi_grpc_end(jbi_grpc_call *call, size_t mark);
void jbi_grpc_drop(jbi_grpc_call *call, size_t mark);

/* Bytes the client has not read. */
size_t jbi_grpc_waiting(const jbi_grpc_call *call);

/* End it, with OK or another status: only the first counts. The method is closed at once. */
void jbi_grpc_done(jbi_grpc_call *call);
void jbi_grpc_finish(jbi_grpc_call *call, uint32_t code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Call method->tick() at this time; 0: not. */
void jbi_grpc_tick_at(jbi_grpc_call *call, uint64_t at_ms);

/* Whether the client still may what the method does; if not, the call is finished. */
bool jbi_grpc_may(jbi_grpc_call *call);

/* Something for method->fill() is there. For callbacks from elsewhere. */
void jbi_grpc_wake(jbi_grpc_call *call);

/* The method of a path, NULL: there is none; and the methods one by one, NULL past the end. Those
 * of the host, then those that were added. */
const jbi_grpc_method *jbi_grpc_find(const struct jb_host *host, const char *path, size_t n);
const jbi_grpc_method *jbi_grpc_method_at(const struct jb_host *host, uint32_t idx);

#endif
