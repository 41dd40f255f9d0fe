/*
 * far.h: questions over HTTP, and fields of what is answered.
 *
 * Invariant: what a server answers is checked field by field before anybody has it: a number is
 * one, a name fits, a list ends. What is wrong is said with the address and the field.
 */
#ifndef JIMBOTCTL_FAR_H
#define JIMBOTCTL_FAR_H

#include "view.h"

#include <jansson.h>

enum { FAR_ANSWER_BYTES = 1 << 20 };

/* One look: what for, and where it stands. */
typedef struct far {
    view *v; /* has what is wrong */
    const ctl_opts *opts;
    char url[512];    /* that was asked last */
    char *body;       /* FAR_ANSWER_BYTES */
    const char *list; /* that is being read, NULL: none */
    uint32_t at;      /* and where in it */
} far;

/* The object that the server answers, or NULL after a failure. */
json_t *far_ask(far *f, const char *path);

/* Both return -1: "http://…: what", and "http://…: resources[2].capacity is no number". */
int far_fail(far *f, int exit_code, const char *what);
int far_fail_field(far *f, const char *key, const char *what);

/* Fields of an object. 0, or -1 after a failure. A number, or a text of digits; absent: 0. */
int far_number(far *f, const json_t *object, const char *key, uint64_t most, uint64_t *ret);
int far_small(far *f, const json_t *object, const char *key, uint32_t *ret);
int far_name(far *f, const json_t *object, const char *key, char ret[JB_QUOTA_NAME_BYTES]);

/* The number of an enum's value, 0 for one that is not known. */
uint32_t far_word(const json_t *object, const char *key, const char *prefix,
                  const char *(*name_of)(uint32_t value));

/* Read each object of a list; one that is absent is empty. */
int far_each(far *f, const json_t *root, const char *key, size_t n_max,
             int (*read)(far *f, const json_t *item));

#endif
