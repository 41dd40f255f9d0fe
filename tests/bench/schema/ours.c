/*
 * ours.c: the library's own entries: text to events, events to text, a check of every byte.
 */
#include "bench.h"

#include "jimbot/schema.h"

static jb_encoder *encoder;

static size_t from_json_prepare(const struct set *set)
{
    if (encoder == NULL && jb_encoder_create(NULL, &encoder, NULL) < 0)
        die("no encoder");
    return set->body_bytes;
}

static void from_json(const struct set *set)
{
    size_t n_events = 0;
    jb_encoded event;
    int rc = 0;

    for (size_t i = 0; i < set->n_bodies && rc >= 0; i++) {
        jb_encoder_batch_begin(encoder, set->bodies[i].data, set->bodies[i].len_bytes, NULL);
        while ((rc = jb_encoder_batch_next(encoder, &event, NULL)) == 1)
            n_events++;
    }
    if (n_events != set->n_events)
        die("a run lost an event");
}

static size_t event_bytes(const struct set *set)
{
    return set->event_bytes;
}

static void to_json(const struct set *set)
{
    static char text[4 << 20];

    for (size_t i = 0; i < set->n_events; i++) {
        int64_t n = jb_event_to_json(set->events[i].data, set->events[i].len_bytes, text,
                                     sizeof text, NULL);

        if (n < 2 || n > (int64_t)sizeof text || text[n - 1] != '}')
            die("an event does not print");
    }
}

static void decode(const struct set *set)
{
    jb_encoded event;

    for (size_t i = 0; i < set->n_events; i++) {
        if (jb_event_inspect(set->events[i].data, set->events[i].len_bytes, &event, NULL) < 0)
            die("an event is not sound");
    }
}

const struct peer ours_from_json = {"jimbot: bodies to events", NULL, from_json_prepare, from_json};
const struct peer ours_to_json = {"jimbot: jb_event_to_json", NULL, event_bytes, to_json};
const struct peer ours_decode = {"jimbot: jb_event_inspect", NULL, event_bytes, decode};
