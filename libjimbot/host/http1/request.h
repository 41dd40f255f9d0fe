/*
 * request: one HTTP request as it comes in, read by llhttp.
 *
 * jbi_request_feed() is given bytes and stops at the end of one request, so the caller decides
 * whether the next one is looked at now or later. Nothing here writes to a socket.
 *
 * Invariant: what one request may cost is bounded before it is spent: the line and header fields by
 * max_header_bytes, the body by max_body_bytes, the framing around chunks by a multiple of the
 * body.
 */
#ifndef JBI_HOST_REQUEST_H
#define JBI_HOST_REQUEST_H

#include "host/http/body.h"
#include "host/http/router.h"
#include "host/http1/lineguard.h"

#include <llhttp.h>

enum { JBI_REQUEST_URL_BYTES = 1024 };

/* How far feeding came. */
enum jbi_request_progress {
    JBI_REQUEST_MORE = 0,  /* all bytes taken, the request goes on */
    JBI_REQUEST_DONE = 1,  /* a whole request is here; `n_used` bytes were its own */
    JBI_REQUEST_FAILED = 2 /* answer `status` with `problem` and close */
};

typedef struct jbi_request {
    llhttp_t parser;
    const jbi_request_limits *limits;
    jbi_lineguard guard;
    const char *unguarded; /* first byte of the current read that is framing not yet looked at */
    size_t n_framing;      /* bytes of this request that are not body */

    char url[JBI_REQUEST_URL_BYTES]; /* target as sent, cut off */
    size_t url_bytes;                /* full length */
    char name[24];                   /* of the current field, cut off */
    size_t name_bytes;               /* full length */
    uint32_t field;                  /* which one it is, enum jbi_field, once its value begins */
    bool is_in_value;
    jbi_fields fields;

    const char *body; /* whole body, once done; borrowed or in `stored` */
    size_t body_bytes;
    jbi_body stored; /* a body that came in more than one piece */

    const char *problem; /* static text, set with status */
    uint16_t status;
    uint8_t method; /* llhttp_method_t */
    bool is_begun;  /* a byte of a request was seen */
    bool is_in_body;
    bool is_awaited;     /* the rest of its body may come */
    bool wants_continue; /* Expect: 100-continue, not yet answered */
    bool is_keep_alive;
} jbi_request;

void jbi_request_init(jbi_request *r, const jbi_request_limits *limits, const jb_alloc *alloc);
void jbi_request_fini(jbi_request *r);

/* Feed n bytes. *ret_used says how many belong to this request. A borrowed body is valid as long as
 * the bytes fed. After DONE call jbi_request_next() before feeding on. */
enum jbi_request_progress jbi_request_feed(jbi_request *r, const char *bytes, size_t n,
                                           size_t *ret_used);

/* Forget the request that is done and be ready for the next. */
void jbi_request_next(jbi_request *r);

/* Put path and query of the target into a call, without scheme and host; an empty path when it is
 * none of ours. */
void jbi_request_target(const jbi_request *r, jbi_call *call);

#endif
