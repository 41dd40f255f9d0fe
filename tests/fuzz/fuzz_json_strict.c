/*
 * Text that claims to be JSON, through a strict encoder, beside a lenient one and one that survives
 * nothing.
 *
 * What must hold: nothing crashes; a fault lies inside the text and has a message; what strict
 * takes lenient takes too, with the same bytes, and counts none of the first four quirks; what
 * strict refuses and lenient takes has one of them; an encoder that makes the canonical form makes
 * that of the event.
 */
#include "event_law.h"

static jb_encoder *strict, *lenient, *exact, *canonical;

static uint64_t n_of_text(void)
{
    jb_encoder_stats s = {.size = sizeof s};

    require(jb_encoder_get_stats(lenient, &s) == 0);
    return s.n_non_finite + s.n_control_bytes + s.n_bad_utf8 + s.n_half_surrogates;
}

static void has_form(const jb_encoded *event, const char *text, size_t size)
{
    int64_t n = jb_event_canonical(event->data, event->len_bytes, NULL, 0, NULL);
    uint8_t *form;
    jb_encoded same;

    require(n > 0);
    form = malloc((size_t)n);
    require(jb_event_canonical(event->data, event->len_bytes, form, (size_t)n, NULL) == n);
    require(jb_encoder_json(canonical, text, size, &same, NULL) == 0);
    require(same.len_bytes == (size_t)n && memcmp(same.data, form, (size_t)n) == 0);
    free(form);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    jb_encoded event, other;
    uint64_t before;
    int rc, rc_lenient, rc_exact;
    jb_error err;

    if (strict == NULL) {
        strict = encoder_of(JB_ENCODER_STRICT, JB_QUIRKS_ALL);
        lenient = encoder_of(0, JB_QUIRKS_ALL);
        exact = encoder_of(0, 0);
        canonical = encoder_of(JB_ENCODER_CANONICAL, JB_QUIRKS_ALL);
    }
    jb_error_init(&err);
    before = n_of_text();
    rc = jb_encoder_json(strict, text, size, &event, &err);
    rc_lenient = jb_encoder_json(lenient, text, size, &other, NULL);
    require(rc == rc_lenient || rc == JB_EPARSE);
    if (rc < 0)
        error_is_whole(&err, rc, size);
    else
        event_is_sound(&event);
    if (rc == 0)
        require(event_same(&event, &other) && n_of_text() == before);
    else if (rc_lenient == 0)
        require(n_of_text() > before);
    if (rc_lenient == 0)
        has_form(&other, text, size);
    rc_exact = jb_encoder_json(exact, text, size, &other, NULL);
    require(rc_exact == rc || rc_exact == JB_EEVENT);
    return 0;
}
