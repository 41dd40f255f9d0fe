/*
 * What a jb_encoder is made of; its two front ends (values, JSON) share it.
 */
#ifndef JBI_SCHEMA_ENCODER_H
#define JBI_SCHEMA_ENCODER_H

#include "schema/arena.h"
#include "schema/canonical.h"
#include "schema/json_reader.h"

enum jbi_batch_state {
    JBI_BATCH_NONE,   /* no body */
    JBI_BATCH_START,  /* nothing of it was read */
    JBI_BATCH_SINGLE, /* the body is one event, which comes next */
    JBI_BATCH_LIST,   /* inside a list of events */
    JBI_BATCH_TAIL,   /* after the events; the rest is to be checked */
    JBI_BATCH_END,    /* sound to the last byte */
    JBI_BATCH_BROKEN  /* not JSON */
};

struct jb_encoder {
    jb_alloc alloc;
    uint32_t max_event_bytes;
    uint32_t max_batch_bytes;
    struct jbi_arena arena;
    struct jbi_sink sink;
    struct jbi_json json;
    jb_encoder_stats stats;
    bool is_canonical; /* events are put into canonical form */
    struct jbi_canonical canonical;
    size_t batch_bytes;  /* of the events of this batch so far */
    uint8_t batch_state; /* enum jbi_batch_state */
    bool is_enveloped;   /* the list is the member `events` of an object */
    bool is_building;    /* between jb_encoder_begin() and jb_encoder_end() */
    int failed;          /* the first failure since jb_encoder_begin() */
    char why[128];       /* its message */
    uint32_t max_depth;
};

/* Whether a value call may go on: 0 or a code. */
int jbi_encoder_ready(struct jb_encoder *e);

/* The result of a value call: the first failure is remembered. Returns rc. */
int jbi_encoder_outcome(struct jb_encoder *e, int rc);

/* Keep the event the sink has finished and say what it is. Returns 0, JB_ENOMEM, JB_EEVENT (no
 * type, or a key twice), or JB_EPROTO, which means a bug. */
int jbi_encoder_finish(struct jb_encoder *e, jb_encoded *ret);

/* The event that was finished last is the caller's: add it to the totals. */
void jbi_encoder_count(struct jb_encoder *e);

#endif
