/*
 * clientdrive: a client of libjimbot-client that does what it reads, line by line, and answers each
 * line with one line of JSON. For tests in a language that has no place for a sanitizer.
 *
 *     open URL [option=value …]      publish N PREFIX [bytes]    (PREFIX "-": events without ids)
 *     subscribe PATTERN [start [max_unacked [buffer_bytes [policy]]]]
 *     take N SECONDS                 of the first subscription: waits until N have come
 *     close-sub                      command NAME [param …]      hammer THREADS N PREFIX
 *     flush SECONDS    stats    status    live SECONDS    close SECONDS
 *
 * Invariant: every line is answered, an error with {"error": code, "message": …}.
 */
#include "jimbot/client.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static jb_client *client;
static jb_client_sub *sub;
static jb_encoder *encoder;

static double seconds(uint64_t since_ns)
{
    return (double)(jb_clock_now_ns() - since_ns) / 1e9;
}

static uint64_t ns_of(const char *text)
{
    return text ? (uint64_t)(atof(text) * 1e9) : 0;
}

static void answer_error(int code, const jb_error *err)
{
    printf("{\"error\":%d,\"name\":\"%s\",\"message\":\"%s\"}\n", code, jb_err_name(code),
           err && err->code ? err->msg : "");
}

static bool set_option(jb_client_opts *o, const char *key, const char *value)
{
    static char texts[5][256];
    const char **where[] = {&o->token, &o->tls_ca, &o->tls_cert, &o->tls_key, &o->name};
    const char *names[] = {"token", "tls_ca", "tls_cert", "tls_key", "name"};
    struct {
        const char *name;
        uint64_t *value;
    } numbers[] = {{"buffer_bytes", &o->buffer_bytes},
                   {"backoff_min_ns", &o->backoff_min_ns},
                   {"backoff_max_ns", &o->backoff_max_ns},
                   {"idle_ns", &o->idle_ns},
                   {"poll_ns", &o->poll_ns},
                   {"connect_timeout_ns", &o->connect_timeout_ns}};

    for (int i = 0; i < 5; i++) {
        if (strcmp(key, names[i]) == 0) {
            snprintf(texts[i], sizeof(texts[i]), "%s", value);
            *where[i] = texts[i];
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        if (strcmp(key, numbers[i].name) == 0) {
            *numbers[i].value = strtoull(value, NULL, 10);
            return true;
        }
    }
    if (strcmp(key, "flags") == 0)
        o->flags = (uint32_t)strtoul(value, NULL, 10);
    return strcmp(key, "flags") == 0;
}

static void do_open(char *url)
{
    jb_client_opts opts;
    jb_error err;
    char *word;
    int rc;

    jb_client_opts_init(&opts, sizeof(opts));
    jb_error_init(&err);
    while ((word = strtok(NULL, " "))) {
        char *value = strchr(word, '=');

        if (!value || (*value = '\0', !set_option(&opts, word, value + 1))) {
            printf("{\"error\":-1,\"message\":\"no option %s\"}\n", word);
            return;
        }
    }
    rc = jb_client_open(url, &opts, &client, &err);
    if (rc < 0)
        answer_error(rc, &err);
    else
        printf("{}\n");
}

static int publish_one(jb_encoder *enc, const char *prefix, unsigned i, unsigned n_bytes)
{
    char *text = malloc(n_bytes + 512);
    char id[128] = "";
    jb_error err;
    int n, rc;

    jb_error_init(&err);
    if (strcmp(prefix, "-") != 0)
        snprintf(id, sizeof(id), "\"event_id\":\"%s-%u\",", prefix, i);
    n = snprintf(text, 512,
                 "{\"type\":\"MONEY_CHANGED\",%s\"source\":\"drive\",\"payload\":{\"old_value\":%u,"
                 "\"new_value\":%u,\"difference\":1,\"pad\":\"",
                 id, i, i + 1);
    memset(text + n, 'x', n_bytes);
    strcpy(text + n + n_bytes, "\"}}");
    rc = jb_client_publish_json(client, enc, text, strlen(text), &err);
    free(text);
    return rc;
}

static void do_publish(const char *count, const char *prefix, const char *bytes)
{
    unsigned n = (unsigned)atoi(count), n_ok = 0, n_full = 0;
    uint64_t longest = 0;
    int other = 0;

    for (unsigned i = 0; i < n; i++) {
        uint64_t begun = jb_clock_now_ns(), gone;
        int rc = publish_one(encoder, prefix, i, bytes ? (unsigned)atoi(bytes) : 0);

        gone = jb_clock_now_ns() - begun;
        longest = gone > longest ? gone : longest;
        n_ok += rc == 0;
        n_full += rc == JB_EAGAIN;
        other = rc < 0 && rc != JB_EAGAIN ? rc : other;
    }
    printf("{\"ok\":%u,\"full\":%u,\"other\":%d,\"longest_ns\":%" PRIu64 "}\n", n_ok, n_full, other,
           longest);
}

struct hammer {
    pthread_t thread;
    const char *prefix;
    unsigned idx, n;
};

static void *hammer(void *arg)
{
    struct hammer *h = arg;
    jb_encoder *mine;
    char prefix[64];

    snprintf(prefix, sizeof(prefix), "%s%u", h->prefix, h->idx);
    jb_encoder_create(NULL, &mine, NULL);
    for (unsigned i = 0; i < h->n; i++) {
        while (publish_one(mine, prefix, i, 0) == JB_EAGAIN)
            ;
    }
    jb_encoder_destroy(mine);
    return NULL;
}

static void do_hammer(const char *threads, const char *n, const char *prefix)
{
    struct hammer all[16];
    int n_threads = atoi(threads);

    for (int i = 0; i < n_threads; i++) {
        all[i] = (struct hammer){.prefix = prefix, .idx = (unsigned)i, .n = (unsigned)atoi(n)};
        pthread_create(&all[i].thread, NULL, hammer, &all[i]);
    }
    for (int i = 0; i < n_threads; i++)
        pthread_join(all[i].thread, NULL);
    printf("{}\n");
}

static void do_subscribe(const char *pattern)
{
    jb_client_sub_opts opts;
    const char *start = strtok(NULL, " "), *unacked = strtok(NULL, " ");
    const char *bytes = strtok(NULL, " "), *policy = strtok(NULL, " ");
    jb_error err;
    int rc;

    jb_client_sub_opts_init(&opts, sizeof(opts));
    jb_error_init(&err);
    if (start && strcmp(start, "oldest") == 0)
        opts.start = JB_CLIENT_FROM_OLDEST;
    else if (start && strcmp(start, "now") != 0) {
        opts.start = JB_CLIENT_FROM_SEQUENCE;
        opts.start_sequence = strtoull(start, NULL, 10);
    }
    opts.max_unacked = unacked ? (uint32_t)atoi(unacked) : opts.max_unacked;
    opts.buffer_bytes = bytes ? strtoull(bytes, NULL, 10) : opts.buffer_bytes;
    opts.policy = policy ? (uint32_t)atoi(policy) : opts.policy;
    rc = jb_client_subscribe(client, pattern, strlen(pattern), &opts, &sub, &err);
    if (rc < 0)
        answer_error(rc, &err);
    else
        printf("{}\n");
}

static void show(const jb_client_event *e, bool is_first)
{
    jb_encoded looked;
    int rc = jb_event_inspect(e->payload, e->len_bytes, &looked, NULL);

    printf("%s{\"seq\":%" PRIu64 ",\"topic\":\"%s\",\"missed\":%" PRIu64 ",\"type\":%u,\"len\":%u,"
           "\"utc\":%" PRIu64 ",\"id\":\"%.*s\"}",
           is_first ? "" : ",", e->sequence, e->topic, e->n_missed, e->type, e->len_bytes,
           e->time_utc_ns, rc == 0 ? (int)looked.event_id_bytes : 0,
           rc == 0 && looked.event_id ? looked.event_id : "");
}

static void do_take(const char *count, const char *timeout)
{
    jb_client_event events[16];
    uint64_t begun = jb_clock_now_ns(), limit = ns_of(timeout);
    unsigned n = 0, want = (unsigned)atoi(count);
    int rc = 0;

    printf("{\"events\":[");
    while (n < want && rc >= 0 && jb_clock_now_ns() - begun < limit) {
        rc = jb_client_sub_peek(sub, events, want - n < 16 ? want - n : 16);
        for (int i = 0; i < rc; i++)
            show(&events[i], n++ == 0);
        if (rc > 0)
            rc = jb_client_sub_advance(sub);
        else if (rc == 0)
            rc = jb_client_sub_wait(sub, 20000000);
    }
    printf("],\"rc\":%d,\"seconds\":%.3f}\n", rc, seconds(begun));
}

static void do_command(char *name)
{
    jb_command command = {.n_params = 0};
    char *word;
    int rc;

    snprintf(command.name, sizeof(command.name), "%s", name);
    while ((word = strtok(NULL, " ")) && command.n_params < 8)
        snprintf(command.params[command.n_params++], sizeof(command.params[0]), "%s", word);
    rc = jb_client_send_command(client, &command);
    if (rc < 0)
        answer_error(rc, NULL);
    else
        printf("{}\n");
}

static void do_stats(void)
{
    jb_client_stats s = {.size = sizeof(s)};

    jb_client_get_stats(client, &s);
    printf("{\"waiting\":%" PRIu64 ",\"waiting_bytes\":%" PRIu64 ",\"published\":%" PRIu64
           ",\"accepted\":%" PRIu64 ",\"duplicates\":%" PRIu64 ",\"refused\":%" PRIu64
           ",\"dropped\":%" PRIu64 ",\"full\":%" PRIu64 ",\"retries\":%" PRIu64
           ",\"received\":%" PRIu64 ",\"missed\":%" PRIu64 ",\"connects\":%" PRIu64
           ",\"faults\":%" PRIu64 "}\n",
           s.n_waiting, s.n_waiting_bytes, s.n_published, s.n_accepted, s.n_duplicates, s.n_refused,
           s.n_dropped, s.n_full, s.n_retries, s.n_received, s.n_missed, s.n_connects, s.n_faults);
}

static void do_status(void)
{
    jb_client_status s = {.size = sizeof(s)};

    jb_client_get_status(client, &s);
    printf(
        "{\"state\":%u,\"way\":%u,\"failures\":%u,\"seconds\":%.3f,\"code\":%d,\"message\":\"%s\"}"
        "\n",
        s.state, s.way, s.n_failures, seconds(s.since_ns), s.last_error.code, s.last_error.msg);
}

static void do_live(const char *timeout)
{
    uint64_t begun = jb_clock_now_ns(), limit = ns_of(timeout);
    int rc;

    while ((rc = jb_client_sub_is_live(sub)) == 0 && jb_clock_now_ns() - begun < limit)
        (void)jb_client_sub_wait(sub, 5000000);
    printf("{\"live\":%d}\n", rc);
}

static void do_close(const char *timeout)
{
    uint64_t begun = jb_clock_now_ns();
    int64_t left;

    jb_client_sub_close(sub);
    left = jb_client_close(client, ns_of(timeout));
    sub = NULL;
    client = NULL;
    printf("{\"left\":%" PRId64 ",\"seconds\":%.3f}\n", left, seconds(begun));
}

static void do_get(const char *url, const char *count)
{
    static char buf[4096];
    int n = atoi(count), rc = 0;
    jb_error err;

    for (int i = 0; i < n; i++) {
        jb_client_answer answer = {.size = sizeof(answer), .buf = buf, .cap_bytes = sizeof(buf)};

        jb_error_init(&err);
        rc = jb_client_get(url, NULL, &answer, &err);
    }
    printf("{\"rc\":%d}\n", rc);
}

static void obey(char *line)
{
    char *word = strtok(line, " \n");
    char *first = word ? strtok(NULL, " \n") : NULL;
    bool is = first != NULL;

    if (!word)
        printf("{\"error\":-1}\n");
    else if (is && strcmp(word, "open") == 0)
        do_open(first);
    else if (is && strcmp(word, "subscribe") == 0)
        do_subscribe(first);
    else if (is && strcmp(word, "command") == 0)
        do_command(first);
    else if (is && strcmp(word, "live") == 0)
        do_live(first);
    else if (is && strcmp(word, "close") == 0)
        do_close(first);
    else if (is && strcmp(word, "flush") == 0)
        printf("{\"rc\":%d}\n", jb_client_flush(client, ns_of(first)));
    else if (strcmp(word, "stats") == 0)
        do_stats();
    else if (strcmp(word, "status") == 0)
        do_status();
    else if (strcmp(word, "close-sub") == 0)
        jb_client_sub_close(sub), sub = NULL, printf("{}\n");
    else {
        char *second = strtok(NULL, " "), *third = strtok(NULL, " ");

        if (is && second && strcmp(word, "take") == 0)
            do_take(first, second);
        else if (is && second && strcmp(word, "get") == 0)
            do_get(first, second);
        else if (is && second && strcmp(word, "publish") == 0)
            do_publish(first, second, third);
        else if (third && strcmp(word, "hammer") == 0)
            do_hammer(first, second, third);
        else
            printf("{\"error\":-1}\n");
    }
    fflush(stdout);
}

int main(void)
{
    static char line[4096];

    if (jb_encoder_create(NULL, &encoder, NULL) < 0)
        return 1;
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        obey(line);
    }
    jb_client_sub_close(sub);
    jb_client_close(client, 0);
    jb_encoder_destroy(encoder);
    return 0;
}
