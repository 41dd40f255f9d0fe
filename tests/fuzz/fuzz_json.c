/*
 * Text that claims to be JSON, through the encoder: as one event, as a batch, strict and lenient.
 *
 * What must hold: nothing crashes; a fault lies inside the text and has a message; an event that
 * was made is sound and can be written; written, it is made again, and comes out the same from then
 * on; what strict accepts lenient accepts too, with the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "jimbot/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static jb_encoder *lenient, *strict, *again;

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void create(void)
{
    jb_encoder_opts opts;

    jb_encoder_opts_init(&opts, sizeof opts);
    require(jb_encoder_create(&opts, &lenient, NULL) == 0);
    opts.flags = JB_ENCODER_STRICT;
    require(jb_encoder_create(&opts, &strict, NULL) == 0);
    require(jb_encoder_create(&opts, &again, NULL) == 0);
}

/* JSON text of an event, allocated. */
static char *to_json(const jb_encoded *event, size_t *ret_bytes)
{
    int64_t need = jb_event_to_json(event->data, event->len_bytes, NULL, 0, NULL);
    char *text;

    require(need >= 2);
    text = malloc((size_t)need);
    require(text != NULL);
    require(jb_event_to_json(event->data, event->len_bytes, text, (size_t)need, NULL) == need);
    *ret_bytes = (size_t)need;
    return text;
}

static void check_event(const jb_encoded *event)
{
    jb_encoded seen, second, third;
    size_t n, n2, n3;
    char *text, *text2, *text3;

    require(jb_event_inspect(event->data, event->len_bytes, &seen, NULL) == 0);
    require(seen.type == event->type && strcmp(seen.topic, event->topic) == 0);
    require(seen.priority == event->priority && seen.event_id_bytes == event->event_id_bytes);
    text = to_json(event, &n);
    /* What the library writes is strict JSON. Near the limits it may have become too large to
     * read. */
    if (jb_encoder_json(again, text, n, &second, NULL) == 0) {
        require(second.type == event->type);
        text2 = to_json(&second, &n2);
        require(jb_encoder_json(again, text2, n2, &third, NULL) == 0);
        text3 = to_json(&third, &n3);
        require(n2 == n3 && memcmp(text2, text3, n2) == 0);
        free(text2);
        free(text3);
    } else {
        require(n > JB_EVENT_MAX_BYTES / 8 || memchr(text, '[', n) != NULL ||
                memchr(text, '{', n) != NULL);
    }
    free(text);
}

static void check_error(const jb_error *err, int rc, size_t size)
{
    require(rc == JB_EPARSE || rc == JB_EEVENT || rc == JB_ETOOBIG);
    require(err->code == rc && err->msg[0] != '\0' && err->offset <= size);
}

static void check_batch(const char *text, size_t size)
{
    jb_encoded event;
    jb_error err;
    int rc = 1;

    require(jb_encoder_batch_begin(lenient, text, size, NULL) == 0);
    while (rc != 0 && rc != JB_EPARSE) {
        jb_error_init(&err);
        rc = jb_encoder_batch_next(lenient, &event, &err);
        if (rc == 1)
            check_event(&event);
        else if (rc < 0)
            check_error(&err, rc, size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    jb_encoded event, same;
    jb_error err;
    int rc, rc_strict;

    if (lenient == NULL)
        create();
    jb_error_init(&err);
    rc = jb_encoder_json(lenient, text, size, &event, &err);
    if (rc < 0)
        check_error(&err, rc, size);
    else
        check_event(&event);
    rc_strict = jb_encoder_json(strict, text, size, &same, &err);
    require(rc_strict == rc || rc_strict == JB_EPARSE);
    if (rc_strict == 0)
        require(same.len_bytes == event.len_bytes &&
                memcmp(same.data, event.data, same.len_bytes) == 0);
    check_batch(text, size);
    return 0;
}
