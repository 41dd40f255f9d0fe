/*
 * h2stream: one request on an HTTP/2 connection: its header, its body as it comes, and what is
 * said to it.
 *
 * A plain request is collected and answered by the router, as over HTTP/1.1. A request whose
 * content-type an app knows (gRPC) is the app's from the end of its header on.
 *
 * Invariant: a stream lives until nghttp2 closes it and not longer; what it may cost is bounded
 * before it is spent: the header by max_header_bytes, a plain body by max_body_bytes, what an app
 * has not used up by the stream's window, which jbi_h2_consume() alone reopens.
 */
#ifndef JBI_HOST_H2STREAM_H
#define JBI_HOST_H2STREAM_H

#include "host/http/answer.h"
#include "host/http/body.h"
#include "host/http/fields.h"

#include <nghttp2/nghttp2.h>

struct jbi_h2;
struct jb_host;

/* What one stream may send that was not yet consumed. */
enum { JBI_H2_WINDOW_BYTES = 256 * 1024 };

typedef struct jbi_h2_stream jbi_h2_stream;

/* Who speaks on streams that are no plain requests. All are called on the loop's thread. */
typedef struct jbi_h2_app {
    /* Whether a request is its own, by its header. */
    bool (*knows)(const jbi_h2_stream *s);

    /* The header is complete: set s->call, or answer. */
    void (*open)(jbi_h2_stream *s);

    /* Bytes of the body. They count against the window until jbi_h2_consume(). */
    void (*data)(jbi_h2_stream *s, const char *bytes, size_t n);

    /* The client sends no more. */
    void (*end)(jbi_h2_stream *s);

    /* s->out is empty, may be filled and will be sent at once. */
    void (*fill)(jbi_h2_stream *s);

    /* s->out is sent and ended, and s->has_trailer: submit the trailer. */
    void (*trailer)(jbi_h2_stream *s);

    /* The time of jbi_h2_wake_at() has come. */
    void (*tick)(jbi_h2_stream *s);

    /* The host is stopping, at each sweep: end what would not end by itself. */
    void (*drain)(jbi_h2_stream *s);

    /* Free s->call. */
    void (*close)(jbi_h2_stream *s);
} jbi_h2_app;

struct jbi_h2_stream {
    struct jbi_h2 *h2;
    jbi_h2_stream *prev;
    jbi_h2_stream *next;
    int32_t id;
    uint32_t field;      /* enum jbi_field of the value that comes */
    size_t header_bytes; /* as SETTINGS_MAX_HEADER_LIST_SIZE counts */
    char method[8];      /* cut off */
    jbi_fields fields;
    jbi_htext path; /* :path as sent */
    jbi_body body;
    uint64_t begun_ms;
    uint64_t last_ms;   /* of the last byte of a plain body */
    size_t n_discarded; /* of a body that was refused */

    const jbi_h2_app *app;
    void *call;     /* the app's own */
    uint64_t at_ms; /* when app->tick() is due, 0: never */

    jbi_htext out; /* body of the answer, from out_at on still to be sent */
    size_t out_at;
    uint16_t status; /* of a request that is refused before its end; 0 none */
    const char *problem;
    bool is_answered;   /* a header was submitted */
    bool is_ended;      /* nothing will be appended to out */
    bool is_waiting;    /* nghttp2 was told that there is nothing to send for now */
    bool has_trailer;   /* trailers follow the body; they are submitted when it is at its end */
    bool is_said;       /* the answer was sent to its end before the client's */
    bool is_remote_end; /* the client sends no more */
    bool is_body_due;   /* a plain body is being received */
};

/* nghttp2 gives the parts of a request to these. They return 0 or NGHTTP2_ERR_NOMEM. */
int jbi_h2_stream_field(jbi_h2_stream *s, const char *name, size_t n_name, const char *value,
                        size_t n_value);
void jbi_h2_stream_header_end(jbi_h2_stream *s, bool has_body);
void jbi_h2_stream_data(jbi_h2_stream *s, const char *bytes, size_t n);
void jbi_h2_stream_end(jbi_h2_stream *s);

/* Answer a plain request whose body does not come. */
void jbi_h2_stream_expire(jbi_h2_stream *s);

/* Give the answer of a plain request that was left for later. */
void jbi_h2_stream_answer(jbi_h2_stream *s, jbi_answer *answer);

/* Ready it for the next request, or free what it holds. */
void jbi_h2_stream_init(jbi_h2_stream *s, struct jbi_h2 *h2);
void jbi_h2_stream_reset(jbi_h2_stream *s);
void jbi_h2_stream_fini(jbi_h2_stream *s);

/* For apps. */
struct jbi_conn *jbi_h2_stream_conn(const jbi_h2_stream *s);
struct jb_host *jbi_h2_stream_host(const jbi_h2_stream *s);

/* Begin the answer with these fields; is_last: it is the whole of it. */
void jbi_h2_answer(jbi_h2_stream *s, const nghttp2_nv *fields, size_t n, bool is_last);

/* There is something in s->out, or it has ended. */
void jbi_h2_resume(jbi_h2_stream *s);

/* The client may send n bytes more on this stream. */
void jbi_h2_consume(jbi_h2_stream *s, size_t n);

/* Call app->tick() at this time of the loop's clock, and not at another any more; 0: never. */
void jbi_h2_wake_at(jbi_h2_stream *s, uint64_t at_ms);

/* End the stream at once, whatever is still to be sent. */
void jbi_h2_abort(jbi_h2_stream *s, uint32_t error_code);

/* A field whose name is a literal; and one whose value is, too. */
nghttp2_nv jbi_h2_nv(const char *name, const char *value, size_t n_value);
nghttp2_nv jbi_h2_literal(const char *name, const char *value);

#endif
