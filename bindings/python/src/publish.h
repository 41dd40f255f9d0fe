/*
 * publish.h: what everything that publishes shares.
 *
 * Invariant: a call returns only when its event or batch is in the ring; otherwise an exception is
 * set and it is not there.
 */
#ifndef JBPY_PUBLISH_H
#define JBPY_PUBLISH_H

#include "encode.h"

/* What a call that publishes one event was given; zero-initialise. */
typedef struct jbpy_call {
    PyObject *target; /* a type, a topic, or NULL */
    PyObject *data;
    PyObject *timeout;
    jbpy_envelope env;
    uint32_t key;
} jbpy_call;

/* An event ready to be published. */
typedef struct jbpy_message {
    jbpy_encoding encoding;
    jb_event_head head;
} jbpy_message;

/* Events that gather for one batch. */
typedef struct jbpy_pack {
    jbpy_bus *bus; /* borrowed */
    jb_event_head *heads;
    uint32_t *lens_bytes;
    const void **payloads;
    uint8_t *bytes; /* the payloads, each 8-byte aligned */
    size_t n_bytes, room_bytes, max_bytes;
    uint32_t n, n_room;
    uint32_t topic_id; /* of the last event; 0: none yet */
    size_t topic_bytes;
    char topic[JB_TOPIC_MAX_BYTES + 1];
    uint64_t deadline_ns;
    uint64_t n_published;
    size_t n_seen; /* items or rows taken so far */
} jbpy_pack;

/* One attempt to publish what `what` points to. */
typedef int (*jbpy_attempt_fn)(jb_bus *bus, const void *what);

/* publish.c */
bool jbpy_is_topic(PyObject *target);
int jbpy_call_parse(PyObject *args, PyObject *kwargs, const char *format, jbpy_call *ret);
int jbpy_message_init(jbpy_bus *self, PyObject *target, PyObject *data, const jbpy_envelope *env,
                      jbpy_message *ret);
void jbpy_message_fini(jbpy_bus *self, jbpy_message *message);
int jbpy_publish(jbpy_bus *self, jbpy_attempt_fn attempt, const void *what, size_t len_bytes,
                 uint64_t deadline_ns);

/* pack.c */
int jbpy_pack_init(jbpy_pack *pack, jbpy_bus *bus, uint64_t deadline_ns);
void jbpy_pack_fini(jbpy_pack *pack);
int jbpy_pack_add(jbpy_pack *pack, const jb_encoded *enc, const char *topic, size_t topic_bytes,
                  uint32_t key);
int jbpy_pack_flush(jbpy_pack *pack);
PyObject *jbpy_pack_end(jbpy_pack *pack, int rc, const char *what);

#endif
