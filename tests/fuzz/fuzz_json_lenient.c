/*
 * Text that claims to be JSON, through an encoder that survives every quirk: as one event, as a
 * batch.
 *
 * What must hold: nothing crashes; a fault lies inside the text and has a message; an event that
 * was made is sound and comes back; n_repairs is the sum of the counters; an event without a repair
 * is the one an encoder makes that survives no quirk.
 */
#include "event_law.h"

static jb_encoder *lenient, *exact, *again;

static uint64_t n_counted(void)
{
    jb_encoder_stats s = {.size = sizeof s};

    require(jb_encoder_get_stats(lenient, &s) == 0);
    return s.n_non_finite + s.n_control_bytes + s.n_bad_utf8 + s.n_half_surrogates + s.n_coerced +
           s.n_spellings + s.n_empty_lists + s.n_duplicate_keys;
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
            event_is_sound(&event);
        else if (rc < 0)
            error_is_whole(&err, rc, size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    jb_encoded event, same;
    uint64_t before;
    jb_error err;
    int rc;

    if (lenient == NULL) {
        lenient = encoder_of(0, JB_QUIRKS_ALL);
        exact = encoder_of(0, 0);
        again = encoder_of(JB_ENCODER_STRICT, JB_QUIRKS_ALL);
    }
    jb_error_init(&err);
    before = n_counted();
    rc = jb_encoder_json(lenient, text, size, &event, &err);
    require(n_counted() - before == (rc == 0 ? event.n_repairs : 0));
    if (rc < 0) {
        error_is_whole(&err, rc, size);
    } else {
        event_is_sound(&event);
        event_comes_back(&event, again);
    }
    if (rc == 0 && event.n_repairs == 0)
        require(jb_encoder_json(exact, text, size, &same, NULL) == 0 && event_same(&event, &same));
    check_batch(text, size);
    return 0;
}
