/*
 * grpc_wire.h: what the programs share that load a gRPC server: one connection, calls on it, and
 * how long they took.
 *
 * Invariant: a call that is counted was answered with grpc-status 0; whatever else happens ends
 * the program with an error.
 */
#ifndef GRPC_WIRE_H
#define GRPC_WIRE_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WIRE_PREFIX_BYTES = 5, WIRE_ANSWER_BYTES = 128, WIRE_OUT_BYTES = 256 * 1024 };

typedef struct wire_call {
    double since; /* its latency counts from here: when it begins, or was due */
    bool is_good;
    uint8_t answer[WIRE_ANSWER_BYTES]; /* as much of it as there is room for */
    size_t answer_bytes;
} wire_call;

typedef struct grpc_wire {
    /* For wire_open(). */
    nghttp2_data_source_read_callback read; /* gives the messages of the call at source->ptr */
    void (*ended)(wire_call *call);         /* the call may be used for another */
    size_t max_latencies;                   /* kept: the last ones */

    nghttp2_session *session;
    int fd;
    size_t n_open;
    size_t n_done;
    float *latencies; /* seconds */
    uint8_t out[WIRE_OUT_BYTES];
} grpc_wire;

_Noreturn void wire_fail(const char *what);

/* Seconds since some moment. */
double wire_now(void);

void wire_open(grpc_wire *w, const char *address, int port);

/* Begin a call whose `since` is set. */
void wire_begin(grpc_wire *w, wire_call *call, const char *path);

/* Send what there is to send. */
void wire_give(grpc_wire *w);

/* Take what has come, or comes within so many seconds; false: nothing. */
bool wire_take(grpc_wire *w, double seconds);

/* Print one JSON object: calls or messages, the time, and how long the calls took. */
void wire_print(grpc_wire *w, size_t n, double seconds);

/* A field of bytes, or text, or a message within a message. Returns its end. */
uint8_t *wire_put(uint8_t *to, unsigned field, const void *bytes, size_t n);

/* A message that was put behind the room for its prefix is complete; returns the length of both. */
size_t wire_finish(uint8_t *message, const uint8_t *end);

#endif
