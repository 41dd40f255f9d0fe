/*
 * bench.h: what a measurement of the schema consists of, for the peers' files and the harness.
 *
 * A **peer** is one way to do a row's work over a set of texts; it is prepared once and then works
 * over the whole set again and again. Invariant: a peer's work ends the program when it could not
 * do all of it, so a figure stands for work that was done.
 */
#ifndef BENCH_SCHEMA_H
#define BENCH_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { BENCH_PADDING = 64 }; /* readable bytes after each text, which one peer asks for */

struct text {
    char *data;
    size_t len_bytes;
};

/* Texts of one kind, and the events in them as protobuf. */
struct set {
    const char *name;
    struct text *bodies; /* JSON as clients send it */
    struct text *events; /* serialised jimbot.v1.Event */
    size_t n_bodies, n_events;
    size_t body_bytes, event_bytes;
};

struct peer {
    const char *name;
    const char *word; /* why there is no figure, or NULL */
    /* Make ready what is not measured; returns the bytes of input that one work takes. */
    size_t (*prepare)(const struct set *set);
    void (*work)(const struct set *set);
};

extern const struct peer ours_from_json, ours_canonical, ours_to_json, ours_decode, ours_touch;
extern const struct peer simdjson_dom;
extern const struct peer protobuf_from_json, protobuf_to_json, protobuf_decode, protobuf_touch;
extern const struct peer nanopb_touch;

void die(const char *what) __attribute__((noreturn));

/* A work has looked at every value of the set: `sum` is what they add up to, numbers by their bits,
 * texts by length and first byte. Ends the program when another peer saw other values. */
void touched(const struct set *set, uint64_t sum);

#ifdef __cplusplus
}
#endif
#endif
