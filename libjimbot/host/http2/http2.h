/*
 * http2: many requests at once on a connection, as HTTP/2 has them, by nghttp2.
 *
 * Invariant: what a client can make us keep is bounded: streams by max_streams, each stream as
 * h2stream.h says, answers to its settings and pings by nghttp2, streams begun and reset by a
 * bucket that refills slowly. Nothing is taken out of nghttp2 while the client does not read.
 */
#ifndef JBI_HOST_HTTP2_H
#define JBI_HOST_HTTP2_H

#include "host/http2/h2stream.h"
#include "host/net/conn.h"
#include "host/service/alarm.h"

typedef struct jbi_h2 {
    jbi_conn *conn;
    nghttp2_session *session;
    nghttp2_mem mem;
    jbi_h2_stream *streams;
    jbi_h2_stream *spare; /* closed ones, to be used again */
    jbi_alarm *alarm;     /* made when first wanted */
    uint64_t alarm_ms;    /* when it goes off, 0: it is not armed */
    uint64_t reset_ms;    /* when the bucket was last looked at */
    uint64_t drain_ms;    /* when the client was told that this ends, 0: not */
    uint32_t n_resets;    /* streams the client has reset, less what the bucket let go since */
    uint32_t n_streams;
    uint32_t n_spare;
    uint32_t n_bodies; /* streams with is_body_due */
    bool is_begun;     /* the client's settings have come */
    bool is_in_header; /* of a request, cut into frames */
    bool is_pinged;    /* we asked whether it is there */
    bool is_final;     /* no new stream any more */
} jbi_h2;

extern const jbi_protocol jbi_http2;

/* Who else speaks on streams; defined in grpc/. */
extern const jbi_h2_app jbi_grpc;

#endif
