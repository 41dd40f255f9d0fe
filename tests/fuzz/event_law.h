/*
 * event_law.h: what holds of every event an encoder made, whatever text it came from.
 *
 * Invariant: a law that does not hold ends the program.
 */
#ifndef TEST_EVENT_LAW_H
#define TEST_EVENT_LAW_H

#include <stdlib.h>
#include <string.h>

#include "jimbot/schema.h"
#include "target.h"

static inline jb_encoder *encoder_of(uint32_t flags, uint32_t quirks)
{
    jb_encoder_opts opts;
    jb_encoder *encoder;

    jb_encoder_opts_init(&opts, sizeof opts);
    opts.flags = flags;
    opts.quirks = quirks;
    require(jb_encoder_create(&opts, &encoder, NULL) == 0);
    return encoder;
}

/* JSON text of an event in a dialect, allocated. */
static inline char *event_json(uint32_t dialect, const jb_encoded *event, size_t *ret_bytes)
{
    int64_t need = jb_event_to_json_as(dialect, event->data, event->len_bytes, NULL, 0, NULL);
    char *text;

    require(need >= 2);
    text = malloc((size_t)need);
    require(text != NULL);
    require(jb_event_to_json_as(dialect, event->data, event->len_bytes, text, (size_t)need, NULL) ==
            need);
    *ret_bytes = (size_t)need;
    return text;
}

/* The event is sound, and says of itself what was said of it. */
static inline void event_is_sound(const jb_encoded *event)
{
    jb_encoded seen;

    require(jb_event_inspect(event->data, event->len_bytes, &seen, NULL) == 0);
    require(seen.type == event->type && strcmp(seen.topic, event->topic) == 0);
    require(seen.priority == event->priority && seen.event_id_bytes == event->event_id_bytes);
}

/* Written in a dialect, it is made again, and comes out the same from then on. */
static inline void event_comes_back_as(uint32_t dialect, const jb_encoded *event, jb_encoder *again)
{
    jb_encoded second, third;
    size_t n, n2, n3;
    char *text = event_json(dialect, event, &n), *text2, *text3;

    /* What the library writes is strict JSON. Near the limits it may have become too large to
     * read. */
    if (jb_encoder_json(again, text, n, &second, NULL) == 0) {
        require(second.type == event->type);
        text2 = event_json(dialect, &second, &n2);
        require(jb_encoder_json(again, text2, n2, &third, NULL) == 0);
        text3 = event_json(dialect, &third, &n3);
        require(n2 == n3 && memcmp(text2, text3, n2) == 0);
        free(text2);
        free(text3);
    } else {
        require(n > JB_EVENT_MAX_BYTES / 8 || memchr(text, '[', n) != NULL ||
                memchr(text, '{', n) != NULL);
    }
    free(text);
}

static inline void event_comes_back(const jb_encoded *event, jb_encoder *again)
{
    event_comes_back_as(JB_DIALECT_BALATROMCP, event, again);
}

static inline bool event_same(const jb_encoded *a, const jb_encoded *b)
{
    return a->len_bytes == b->len_bytes && memcmp(a->data, b->data, a->len_bytes) == 0;
}

static inline void error_is_whole(const jb_error *err, int rc, size_t size)
{
    require(rc == JB_EPARSE || rc == JB_EEVENT || rc == JB_ETOOBIG);
    require(err->code == rc && err->msg[0] != '\0' && err->offset <= size);
}

#endif
