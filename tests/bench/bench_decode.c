/*
 * bench_decode.c: what reading an event costs: to JSON, the check of untrusted bytes, one column.
 *
 * One JSON object a line, the median of N_RUNS runs on one pinned core after one run of warm-up.
 * The events are those of the folder in JIMBOT_CORPUS (files *.json, each a body as clients send
 * it), or a full game state and small events between, made here. Every result is checked while it
 * is measured.
 */
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jimbot/schema.h"

enum { N_RUNS = 9, MIN_EVENTS = 20000, MAX_EVENTS = 4096, BODY_MAX = 4 << 20 };

static jb_event events[MAX_EVENTS];
static size_t n_events;
static uint64_t n_pb_bytes;

static void die(const char *what)
{
    fprintf(stderr, "bench_decode: %s\n", what);
    exit(1);
}

/* Keep one encoded event for the runs. */
static void keep(const jb_encoded *encoded)
{
    uint8_t *copy = aligned_alloc(64, (encoded->len_bytes + 63u) / 64 * 64);

    if (copy == NULL || n_events == MAX_EVENTS)
        die("too many events");
    memcpy(copy, encoded->data, encoded->len_bytes);
    events[n_events++] =
        (jb_event){.payload = copy, .len_bytes = encoded->len_bytes, .type = encoded->type};
    n_pb_bytes += encoded->len_bytes;
}

static void add_body(jb_encoder *encoder, const char *text, size_t len_bytes)
{
    jb_encoded encoded;
    int rc = jb_encoder_batch_begin(encoder, text, len_bytes, NULL);

    while (rc == 0 && n_events < MAX_EVENTS) {
        rc = jb_encoder_batch_next(encoder, &encoded, NULL);
        if (rc != 1)
            break;
        keep(&encoded);
        rc = 0;
    }
    if (rc < 0)
        die("a body does not encode");
}

static void add_file(jb_encoder *encoder, const char *folder, const char *name)
{
    static char text[BODY_MAX];
    char path[4096];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "rb");
    if (file == NULL)
        die(path);
    add_body(encoder, text, fread(text, 1, sizeof text, file));
    fclose(file);
}

static void add_corpus(jb_encoder *encoder, const char *folder)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, NULL, alphasort);

    if (n < 0)
        die(folder);
    for (int i = 0; i < n; i++) {
        if (strstr(entries[i]->d_name, ".json") != NULL)
            add_file(encoder, folder, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
}

/* A full game state in the mod's spelling, with n cards in its deck. */
static size_t make_state(char *text, size_t cap, int n)
{
    size_t len = (size_t)snprintf(
        text, cap,
        "{\"type\":\"GAME_STATE\",\"source\":\"BalatroMCP\",\"version\":1,\"timestamp\":1000016."
        "6666667,"
        "\"event_id\":\"721cbade-2779-40d2-9963-a823d6e6b969\",\"payload\":{\"in_game\":true,"
        "\"game_id\":\"SEED0007\",\"ante\":3,\"round\":8,\"hand_number\":2,\"chips\":12345.5,"
        "\"mult\":32,"
        "\"money\":17,\"hand_size\":8,\"hands_remaining\":3,\"discards_remaining\":2,"
        "\"game_state\":\"SELECTING_HAND\",\"frame_count\":81234,\"shop_items\":{},\"deck\":{"
        "\"remaining_count\":%d,\"cards_remaining\":[",
        n);

    for (int i = 0; i < n; i++)
        len += (size_t)snprintf(text + len, cap - len,
                                "%s{\"id\":%d,\"rank\":\"%d\",\"suit\":\"Hearts\",\"enhancement\":"
                                "\"none\",\"edition\":\"foil\",\"seal\":\"Red\"}",
                                i != 0 ? "," : "", i, i % 9 + 2);
    return len + (size_t)snprintf(text + len, cap - len, "]}}}");
}

static void add_own(jb_encoder *encoder)
{
    static const char money[] = "{\"type\":\"MONEY_CHANGED\",\"timestamp\":5,\"payload\":{"
                                "\"old_value\":4,\"new_value\":9.5,\"difference\":5.5}}";
    static char text[65536];

    for (int i = 0; i < 64; i++) {
        add_body(encoder, text, make_state(text, sizeof text, i % 44 + 8));
        for (int j = 0; j < 4; j++)
            add_body(encoder, money, sizeof money - 1);
    }
}

static void pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

static uint64_t run_to_json(void)
{
    static char text[BODY_MAX];
    uint64_t n_bytes = 0;

    for (size_t i = 0; i < n_events; i++) {
        int64_t n =
            jb_event_to_json(events[i].payload, events[i].len_bytes, text, sizeof text, NULL);

        if (n <= 0 || text[n - 1] != '}')
            die("an event does not print");
        n_bytes += (uint64_t)n;
    }
    return n_bytes;
}

static uint64_t run_inspect(void)
{
    jb_encoded encoded;

    for (size_t i = 0; i < n_events; i++) {
        if (jb_event_inspect(events[i].payload, events[i].len_bytes, &encoded, NULL) != 0 ||
            encoded.type != events[i].type)
            die("an event is not sound");
    }
    return n_pb_bytes;
}

static uint64_t column(const char *path, int64_t at_least)
{
    static double out[MAX_EVENTS];
    jb_field field;

    if (jb_field_parse(path, strlen(path), &field, NULL) != 0 ||
        jb_field_column_double(&field, events, n_events, out, NULL) < at_least)
        die(path);
    return n_pb_bytes;
}

static uint64_t run_column_payload(void)
{
    return column("game_state.money", 1);
}

static uint64_t run_column_envelope(void)
{
    return column("timestamp", 1);
}

static int by_time(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void measure(const char *name, uint64_t (*run)(void))
{
    uint64_t times[N_RUNS], n_bytes = run(), rounds = MIN_EVENTS / n_events + 1;
    double ns;

    for (int i = 0; i < N_RUNS; i++) {
        uint64_t start = jb_clock_now_ns();

        for (uint64_t r = 0; r < rounds; r++)
            run();
        times[i] = jb_clock_now_ns() - start;
    }
    qsort(times, N_RUNS, sizeof times[0], by_time);
    ns = (double)times[N_RUNS / 2] / (double)rounds;
    printf(
        "{\"name\":\"%s\",\"ops\":%llu,\"ns_per_op\":%.1f,\"mb_per_s\":%.1f,\"bytes_per_op\":%.1f,"
        "\"best_ns_per_op\":%.1f}\n",
        name, (unsigned long long)(rounds * n_events), ns / (double)n_events,
        (double)n_bytes * 1000 / ns, (double)n_bytes / (double)n_events,
        (double)times[0] / (double)rounds / (double)n_events);
}

int main(void)
{
    const char *corpus = getenv("JIMBOT_CORPUS");
    jb_encoder *encoder;

    if (jb_encoder_create(NULL, &encoder, NULL) != 0)
        die("no encoder");
    if (corpus != NULL && corpus[0] != '\0')
        add_corpus(encoder, corpus);
    else
        add_own(encoder);
    jb_encoder_destroy(encoder);
    pin(0);
    measure("to_json", run_to_json);
    measure("inspect", run_inspect);
    measure("column_payload", run_column_payload);
    measure("column_envelope", run_column_envelope);
    return 0;
}
