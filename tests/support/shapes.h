/*
 * shapes.h: inputs of any size that a bad algorithm is slow on, and ordinary ones beside them.
 *
 * Invariant: what a shape costs a byte does not depend on its size.
 */
#ifndef TEST_SHAPES_H
#define TEST_SHAPES_H

#include <stdbool.h>
#include <stddef.h>

struct shape {
    const char *name;
    size_t (*write)(char *to, size_t n_bytes); /* at most n_bytes (1000 and more); how many */
    bool is_protobuf;                          /* a serialised event, otherwise a body of JSON */
    bool is_refused;                           /* it is nested too deep to be JSON */
    bool is_batch; /* may have any size; others are one event, which has a limit */
};

extern const struct shape shapes[];
extern const size_t n_shapes;

/* A shape of about n_bytes, read in every way there is: text to events, or events to text, checked,
 * into canonical form. False when it was not what it is said to be. */
struct jb_encoder;
bool shape_read(const struct shape *shape, struct jb_encoder *encoder, const char *bytes, size_t n);

/* An encoder that takes batches of any size. */
struct jb_encoder *shape_encoder(void);

/* Processor time of the thread that one reading takes: the median of several. */
double shape_ns(const struct shape *shape, struct jb_encoder *encoder, const char *bytes, size_t n,
                unsigned n_turns);

#endif
