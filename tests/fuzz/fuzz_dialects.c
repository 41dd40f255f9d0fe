/*
 * Text that claims to be JSON, through an encoder of each dialect: as one event, as a batch.
 *
 * What must hold: nothing crashes; a fault lies inside the text and has a message; an event that
 * was made is sound, comes back in its own dialect, and is written in every other that has a word
 * for it.
 */
#include "event_law.h"

enum { N_DIALECTS = 3 };

static jb_encoder *readers[N_DIALECTS], *again[N_DIALECTS];

static void create(void)
{
    jb_encoder_opts opts;

    jb_encoder_opts_init(&opts, sizeof opts);
    for (opts.dialect = 0; opts.dialect < N_DIALECTS; opts.dialect++) {
        require(jb_encoder_create(&opts, &readers[opts.dialect], NULL) == 0);
        require(jb_encoder_create(&opts, &again[opts.dialect], NULL) == 0);
    }
}

static void check_event(const jb_encoded *event, uint32_t dialect)
{
    size_t n;

    event_is_sound(event);
    event_comes_back_as(dialect, event, again[dialect]);
    for (uint32_t other = 0; other < N_DIALECTS; other++) {
        if (event->type == JB_EVENT_GAME_STATE || other != JB_DIALECT_BALATROBOT)
            free(event_json(other, event, &n));
    }
}

static void check_batch(jb_encoder *reader, const char *text, size_t size)
{
    jb_encoded event;
    jb_error err;
    int rc = 1;

    require(jb_encoder_batch_begin(reader, text, size, NULL) == 0);
    while (rc != 0 && rc != JB_EPARSE) {
        jb_error_init(&err);
        rc = jb_encoder_batch_next(reader, &event, &err);
        if (rc == 1)
            event_is_sound(&event);
        else if (rc < 0)
            error_is_whole(&err, rc, size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (readers[0] == NULL)
        create();
    for (uint32_t dialect = 0; dialect < N_DIALECTS; dialect++) {
        jb_encoded event;
        jb_error err;
        int rc;

        jb_error_init(&err);
        rc = jb_encoder_json(readers[dialect], (const char *)data, size, &event, &err);
        if (rc < 0)
            error_is_whole(&err, rc, size);
        else
            check_event(&event, dialect);
        check_batch(readers[dialect], (const char *)data, size);
    }
    return 0;
}
