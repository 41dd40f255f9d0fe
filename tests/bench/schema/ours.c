/*
 * ours.c: the library's own entries: text to events, events to text, a check of every byte, a walk
 * over every value.
 */
#include "bench.h"

#include <string.h>

#include "jimbot/schema.h"
#include "jimbot/view.h"

static jb_encoder *encoder, *canonical;

static size_t prepare(const struct set *set, jb_encoder **encoder_of, uint32_t flags)
{
    jb_encoder_opts opts;

    jb_encoder_opts_init(&opts, sizeof opts);
    opts.flags = flags;
    if (*encoder_of == NULL && jb_encoder_create(&opts, encoder_of, NULL) < 0)
        die("no encoder");
    return set->body_bytes;
}

static void encode(const struct set *set, jb_encoder *with)
{
    size_t n_events = 0;
    jb_encoded event;
    int rc = 0;

    for (size_t i = 0; i < set->n_bodies && rc >= 0; i++) {
        jb_encoder_batch_begin(with, set->bodies[i].data, set->bodies[i].len_bytes, NULL);
        while ((rc = jb_encoder_batch_next(with, &event, NULL)) == 1)
            n_events++;
    }
    if (n_events != set->n_events)
        die("a run lost an event");
}

static size_t from_json_prepare(const struct set *set)
{
    return prepare(set, &encoder, 0);
}

static void from_json(const struct set *set)
{
    encode(set, encoder);
}

static size_t canonical_prepare(const struct set *set)
{
    return prepare(set, &canonical, JB_ENCODER_CANONICAL);
}

static void from_json_canonical(const struct set *set)
{
    encode(set, canonical);
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

static uint64_t first_byte(const char *text, uint32_t len_bytes)
{
    return len_bytes != 0 ? (uint8_t)*text : 0;
}

/* Every value of a message and of those in it. */
static uint64_t touch_all(jb_view view)
{
    uint64_t sum = 0, bits;
    jb_value value;
    jb_view inner;
    int rc;

    while ((rc = jb_view_next(&view, &value, NULL)) == 1) {
        if (value.key != NULL)
            sum += value.key_bytes + first_byte(value.key, value.key_bytes);
        if (value.kind == JB_FIELD_MESSAGE) {
            if (jb_view_enter(&view, &value, &inner) < 0)
                die("a message is nested too deep");
            sum += touch_all(inner);
        } else if (value.kind == JB_FIELD_DOUBLE) {
            memcpy(&bits, &value.real, sizeof bits);
            sum += bits;
        } else if (value.kind == JB_FIELD_STRING || value.kind == JB_FIELD_JSON) {
            sum += value.len_bytes + first_byte(value.text, value.len_bytes);
        } else {
            sum += (uint64_t)value.integer;
        }
    }
    if (rc < 0)
        die("an event is not sound");
    return sum;
}

static void touch(const struct set *set)
{
    uint64_t sum = 0;
    jb_view view;

    for (size_t i = 0; i < set->n_events; i++) {
        jb_view_open(set->events[i].data, set->events[i].len_bytes, &view);
        sum += touch_all(view);
    }
    touched(set, sum);
}

const struct peer ours_from_json = {"jimbot: bodies to events", NULL, from_json_prepare, from_json};
const struct peer ours_canonical = {"jimbot: to their canonical form", NULL, canonical_prepare,
                                    from_json_canonical};
const struct peer ours_to_json = {"jimbot: jb_event_to_json", NULL, event_bytes, to_json};
const struct peer ours_decode = {"jimbot: jb_event_inspect", NULL, event_bytes, decode};
const struct peer ours_touch = {"jimbot: jb_view, all touched", NULL, event_bytes, touch};
