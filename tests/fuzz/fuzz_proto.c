/*
 * Bytes that claim to be an event, through jb_event_inspect(), the field paths and the canonical
 * form.
 *
 * What must hold: nothing crashes; what inspect accepts has a legal topic, and every path reads it
 * without calling it malformed; it has a canonical form, which is an event of the same type, and is
 * its own.
 */
#include <stdlib.h>
#include <string.h>

#include "jimbot/schema.h"
#include "target.h"

static const char *const paths[] = {
    "type",
    "event_id",
    "timestamp",
    "game_state.money",
    "game_state.game_state",
    "game_state.hand.length",
    "game_state.shop_items.length",
    "game_state.blind.boss.name",
    "learning_decision_request.game_state.deck.full_deck.length",
    "learning_decision_response.action_values.length",
    "custom.json",
    "changes.length",
    "extras.length",
};

static void read_path(const char *path, const uint8_t *data, size_t size, bool sound)
{
    const char *text;
    size_t text_bytes;
    jb_field field;
    int64_t whole;
    double value;
    int rc;

    require(jb_field_parse(path, strlen(path), &field, NULL) == 0);
    if (field.kind == JB_FIELD_STRING) {
        rc = jb_field_get_string(&field, data, size, &text, &text_bytes);
        require(rc != 1 || text_bytes <= size);
    } else {
        rc = jb_field_get_int(&field, data, size, &whole);
        require(jb_field_get_double(&field, data, size, &value) == rc);
    }
    require(sound ? rc == 0 || rc == 1 : rc <= 1);
}

/* The canonical form, allocated exactly. */
static uint8_t *form_of(const uint8_t *data, size_t size, size_t *ret_bytes)
{
    int64_t n = jb_event_canonical(data, size, NULL, 0, NULL);
    uint8_t *form;

    require(n > 0);
    form = malloc((size_t)n);
    require(form != NULL);
    require(jb_event_canonical(data, size, form, (size_t)n, NULL) == n);
    *ret_bytes = (size_t)n;
    return form;
}

static void check_form(const uint8_t *data, size_t size, const jb_encoded *encoded)
{
    size_t n, n_again;
    uint8_t *form = form_of(data, size, &n);
    uint8_t *again = form_of(form, n, &n_again);
    jb_encoded seen;

    require(n == n_again && memcmp(form, again, n) == 0);
    require(jb_event_inspect(form, n, &seen, NULL) == 0);
    require(seen.type == encoded->type && seen.priority == encoded->priority);
    require(seen.event_id_bytes == encoded->event_id_bytes);
    free(form);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    jb_encoded encoded;
    jb_error err;
    bool sound;

    jb_error_init(&err);
    sound = jb_event_inspect(data, size, &encoded, &err) == 0;
    if (sound) {
        require(encoded.topic_bytes > 0 && strlen(encoded.topic) == encoded.topic_bytes);
        require(strspn(encoded.topic, "abcdefghijklmnopqrstuvwxyz0123456789_-.") ==
                encoded.topic_bytes);
        require(encoded.type >= 1 && encoded.type <= JB_EVENT_CUSTOM);
        check_form(data, size, &encoded);
    } else {
        require(err.code < 0 && err.msg[0] != '\0' && err.offset <= size);
    }
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        read_path(paths[i], data, size, sound);
    return 0;
}
