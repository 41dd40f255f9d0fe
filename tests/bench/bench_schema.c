/*
 * bench_schema.c: what it costs to turn JSON into events, and events into JSON.
 *
 * One JSON object a line: {"name", "ops", "ns_per_op", "mb_per_s", …}, the median of N_RUNS runs;
 * megabytes are of JSON text. Request bodies are those in the folder JIMBOT_CORPUS, or three made
 * here. Every event is counted, so a figure is printed only for runs that made all of them.
 */
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jimbot/schema.h"

enum { N_RUNS = 5, BODIES_MAX = 4096, EVENTS_MAX = 65536 };

struct body {
    char *text;
    size_t len_bytes;
};

static struct body bodies[BODIES_MAX];
static size_t n_bodies;
static jb_encoder *encoder;

static void die(const char *what)
{
    fprintf(stderr, "bench_schema: %s\n", what);
    exit(1);
}

static void add_body(const char *text, size_t len_bytes)
{
    struct body *b = &bodies[n_bodies++];

    b->text = malloc(len_bytes + 1);
    if (b->text == NULL)
        die("no memory");
    memcpy(b->text, text, len_bytes);
    b->len_bytes = len_bytes;
}

static void read_file(const char *folder, const char *name)
{
    static char buf[4 << 20];
    char path[4096];
    FILE *f;
    size_t n;

    if (strstr(name, ".json") == NULL || n_bodies == BODIES_MAX)
        return;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "rb");
    if (f == NULL)
        die(path);
    n = fread(buf, 1, sizeof buf, f);
    fclose(f);
    add_body(buf, n);
}

static void read_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    if (dir == NULL)
        die(folder);
    while ((entry = readdir(dir)) != NULL)
        read_file(folder, entry->d_name);
    closedir(dir);
}

/* A state of the size a game has in its first rounds, as the mod spells it. */
static void make_state(void)
{
    static const char *const suits[] = {"Hearts", "Diamonds", "Clubs", "Spades"};
    static const char *const ranks[] = {"2", "3",  "4",    "5",     "6",    "7",  "8",
                                        "9", "10", "Jack", "Queen", "King", "Ace"};
    static char text[32768];
    int n = sprintf(
        text, "{\"payload\":{\"timestamp\":1795244494,\"in_game\":true,\"ante\":2,\"money\":13,"
              "\"chips\":16376,\"jokers\":{},\"shop_items\":{\"joker_1\":{\"name\":\"Zany "
              "Joker\",\"cost\":4,\"rarity\":1}},\"deck\":{\"remaining_count\":52,"
              "\"full_deck\":[");

    for (int i = 0; i < 52; i++)
        n += sprintf(text + n,
                     "%s{\"enhancement\":\"none\",\"rank\":\"%s\",\"id\":%d,\"seal\":\"none\","
                     "\"edition\":\"none\",\"suit\":\"%s\"}",
                     i != 0 ? "," : "", ranks[i % 13], i, suits[i / 13]);
    n += sprintf(text + n, "]},\"game_state\":\"SHOP\"},\"version\":1,\"type\":\"GAME_STATE\","
                           "\"source\":\"BalatroMCP\",\"timestamp\":1000016.6666667}");
    add_body(text, (size_t)n);
}

static void make_bodies(void)
{
    static const char small[] =
        "{\"payload\":{\"old_value\":4,\"new_value\":12,\"difference\":8},\"version\":1,\"type\":"
        "\"MONEY_CHANGED\",\"source\":\"BalatroMCP\",\"timestamp\":1005183.3333333,\"event_id\":"
        "\"d3fb68b5-937d-4088-80d7-df0b76167794\"}";
    static const char custom[] =
        "{\"type\":\"MY_OWN\",\"payload\":{\"a\":[1,2.5,\"x\",null,true],\"b\":{\"c\":\"text\"}}}";

    make_state();
    add_body(small, sizeof small - 1);
    add_body(custom, sizeof custom - 1);
}

/* Encode every body once; returns the number of events. */
static uint64_t encode_all(void)
{
    uint64_t n_events = 0;
    jb_encoded event;
    jb_error err;
    int rc;

    for (size_t i = 0; i < n_bodies; i++) {
        jb_encoder_batch_begin(encoder, bodies[i].text, bodies[i].len_bytes, NULL);
        while ((rc = jb_encoder_batch_next(encoder, &event, &err)) == 1)
            n_events++;
        if (rc < 0)
            die(err.msg);
    }
    return n_events;
}

static struct body events[EVENTS_MAX];
static size_t n_events_kept;

static void keep_events(void)
{
    jb_encoded event;

    for (size_t i = 0; i < n_bodies; i++) {
        jb_encoder_batch_begin(encoder, bodies[i].text, bodies[i].len_bytes, NULL);
        while (jb_encoder_batch_next(encoder, &event, NULL) == 1 && n_events_kept < EVENTS_MAX) {
            events[n_events_kept].text = malloc(event.len_bytes);
            if (events[n_events_kept].text == NULL)
                die("no memory");
            memcpy(events[n_events_kept].text, event.data, event.len_bytes);
            events[n_events_kept++].len_bytes = event.len_bytes;
        }
    }
}

static uint64_t n_json_bytes;

static uint64_t write_all(void)
{
    static char buf[4 << 20];

    n_json_bytes = 0;
    for (size_t i = 0; i < n_events_kept; i++) {
        int64_t n = jb_event_to_json(events[i].text, events[i].len_bytes, buf, sizeof buf, NULL);

        if (n < 0 || n > (int64_t)sizeof buf)
            die("an event cannot be written");
        n_json_bytes += (uint64_t)n;
    }
    return n_events_kept;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Run until a run takes 100 ms, then N_RUNS of them; print the median. */
static void measure(const char *name, uint64_t (*work)(void), const uint64_t *text_bytes)
{
    double ns[N_RUNS];
    uint64_t n_events = work(), begin, times = 1;

    begin = jb_clock_now_ns();
    while (jb_clock_now_ns() - begin < 100000000) {
        work();
        times++;
    }
    for (int run = 0; run < N_RUNS; run++) {
        begin = jb_clock_now_ns();
        for (uint64_t i = 0; i < times; i++) {
            if (work() != n_events)
                die("a run lost an event");
        }
        ns[run] = (double)(jb_clock_now_ns() - begin) / (double)times;
    }
    qsort(ns, N_RUNS, sizeof ns[0], by_value);
    printf("{\"name\":\"%s\",\"ops\":%llu,\"ns_per_op\":%.1f,\"mb_per_s\":%.1f,\"events_per_s\":%."
           "0f}\n",
           name, (unsigned long long)n_events, ns[N_RUNS / 2] / (double)n_events,
           (double)*text_bytes * 1e3 / ns[N_RUNS / 2], (double)n_events * 1e9 / ns[N_RUNS / 2]);
    fflush(stdout);
}

int main(void)
{
    const char *folder = getenv("JIMBOT_CORPUS");
    uint64_t n_body_bytes = 0;
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(0, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
    if (folder != NULL && *folder != '\0')
        read_folder(folder);
    else
        make_bodies();
    if (jb_encoder_create(NULL, &encoder, NULL) < 0)
        die("no encoder");
    for (size_t i = 0; i < n_bodies; i++)
        n_body_bytes += bodies[i].len_bytes;
    measure("json_to_pb", encode_all, &n_body_bytes);
    keep_events();
    measure("pb_to_json", write_all, &n_json_bytes);
    for (size_t i = 0; i < n_bodies; i++)
        free(bodies[i].text);
    for (size_t i = 0; i < n_events_kept; i++)
        free(events[i].text);
    jb_encoder_destroy(encoder);
    return 0;
}
