/*
 * client: opening, closing, publishing and looking at a client: the callers' side.
 *
 * Publishing is a copy into the outbox under a lock that only publishers take, and one system call
 * when the thread sleeps for want of something to send.
 *
 * Invariant: an event that was taken is counted in n_published before the thread can see it.
 */
#include "client/client_internal.h"
#include "client/client_sub.h"

#include "base/error.h"
#include "host/text/hmem.h"
#include "host/text/msgfield.h"
#include "topic/pattern.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ID_BYTES = 34, EVENT_ID_FIELD = 2 };

static const uint64_t SECOND = 1000000000;

void jb_client_opts_init(jb_client_opts *opts, uint32_t size)
{
    jb_client_opts defaults = {.size = size,
                               .buffer_bytes = 4u << 20,
                               .connect_timeout_ns = 10 * SECOND,
                               .backoff_min_ns = SECOND / 5,
                               .backoff_max_ns = 30 * SECOND,
                               .idle_ns = 15 * SECOND,
                               .poll_ns = SECOND / 2};

    memset(opts, 0, size);
    memcpy(opts, &defaults, size < sizeof(defaults) ? size : sizeof(defaults));
}

/* --- open */

static bool is_in(uint64_t value, uint64_t least, uint64_t most)
{
    return value >= least && value <= most;
}

/* A token goes into a header as it is. */
static bool is_token(const char *text)
{
    for (const char *at = text; *at; at++) {
        if (*at <= 0x20 || *at == 0x7f)
            return false;
    }
    return *text != '\0' && strlen(text) < 4096;
}

static int check_opts(const jb_client_opts *o, jb_error *err)
{
    const uint64_t day = 86400 * SECOND, ms = SECOND / 1000;

    if (o->flags & ~15u)
        return jbi_error_set(err, JB_EINVAL, "flags: unknown ones");
    if (o->token && !is_token(o->token))
        return jbi_error_set(err, JB_EINVAL, "token: printable ASCII without spaces, 1 .. 4095");
    if (!o->tls_cert != !o->tls_key)
        return jbi_error_set(err, JB_EINVAL, "tls_cert and tls_key go together");
    if (o->name && (strlen(o->name) > 31 || !*o->name))
        return jbi_error_set(err, JB_EINVAL, "name: 1 .. 31 bytes");
    if (!is_in(o->buffer_bytes, 65536, 1u << 30))
        return jbi_error_set(err, JB_EINVAL, "buffer_bytes: 64 KiB .. 1 GiB");
    if (!is_in(o->connect_timeout_ns, ms, day) || !is_in(o->backoff_min_ns, ms, day) ||
        !is_in(o->backoff_max_ns, o->backoff_min_ns, day) || !is_in(o->idle_ns, 10 * ms, day) ||
        !is_in(o->poll_ns, ms, day))
        return jbi_error_set(err, JB_EINVAL, "a time is not between a millisecond and a day");
    return 0;
}

int jbi_client_opts_take(const jb_client_opts *given, jb_client_opts *ret, jb_error *err)
{
    jb_client_opts_init(ret, sizeof(*ret));
    if (given)
        memcpy(ret, given, given->size < sizeof(*ret) ? given->size : sizeof(*ret));
    return check_opts(ret, err);
}

static const char *keep(char **at, const char *text)
{
    char *mine = *at;

    if (!text)
        return NULL;
    *at = stpcpy(mine, text) + 1;
    return mine;
}

/* Copy the texts of the options into one block. */
static int keep_texts(jb_client *c)
{
    const char **texts[] = {&c->opts.token, &c->opts.tls_ca, &c->opts.tls_cert, &c->opts.tls_key,
                            &c->opts.name};
    char *at;

    c->texts_bytes = 1;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        c->texts_bytes += *texts[i] ? strlen(*texts[i]) + 1 : 0;
    c->texts = at = jbi_hmem_alloc(c->alloc, c->texts_bytes);
    if (!c->texts)
        return JB_ENOMEM;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        *texts[i] = keep(&at, *texts[i]);
    return 0;
}

static int init_far(jb_client *c, jb_error *err)
{
    int rc = jbi_pipe_init(&c->outbox, c->opts.buffer_bytes, c->alloc);

    if (rc < 0)
        return jbi_error_set(err, rc, "no memory for the buffer");
    jbi_batch_init(&c->batch, c->alloc);
    jbi_htext_init(&c->message, c->alloc);
    jbi_htext_init(&c->held, c->alloc);
    if (c->url.is_tls)
        rc = jbi_line_tls_context(&c->opts, c->url.scheme == JBI_URL_GRPC, &c->tls_ctx, err);
    return rc < 0 ? rc : jbi_client_thread_start(c, err);
}

static void free_client(jb_client *c)
{
    const jb_alloc alloc = c->own_alloc;

    jbi_pipe_fini(&c->outbox);
    if (c->message.alloc) {
        jbi_batch_fini(&c->batch);
        jbi_htext_fini(&c->message);
        jbi_htext_fini(&c->held);
    }
    SSL_CTX_free(c->tls_ctx);
    if (c->texts)
        OPENSSL_cleanse(c->texts, c->texts_bytes);
    jbi_hmem_free(&alloc, c->texts, c->texts_bytes);
    uv_cond_destroy(&c->settled);
    uv_mutex_destroy(&c->status_lock);
    uv_mutex_destroy(&c->publish_lock);
    jbi_hmem_free(&alloc, c, sizeof(*c));
}

static jb_client *make(const jb_client_opts *opts, const jbi_url *url)
{
    const jb_alloc *alloc = opts->alloc ? opts->alloc : &jbi_hmem_libc;
    jb_client *c = jbi_hmem_zalloc(alloc, sizeof(*c));

    if (!c)
        return NULL;
    c->n_forks = atomic_load(&jbi_client_n_forks);
    c->own_alloc = *alloc;
    c->alloc = &c->own_alloc;
    c->opts = *opts;
    c->url = *url;
    uv_mutex_init(&c->publish_lock);
    uv_mutex_init(&c->status_lock);
    uv_cond_init(&c->settled);
    jbi_client_random(&c->id_seed, sizeof(c->id_seed));
    c->status.since_ns = jb_clock_now_ns();
    jb_error_init(&c->status.last_error);
    if (keep_texts(c) < 0) {
        free_client(c);
        return NULL;
    }
    return c;
}

int jb_client_open(const char *url, const jb_client_opts *opts, jb_client **ret_client,
                   jb_error *err)
{
    jb_client_opts mine;
    jbi_url parts;
    jb_client *c;
    int rc;

    if (!url || !ret_client)
        return jbi_error_set(err, JB_EINVAL, "url and ret_client are not NULL");
    rc = jbi_client_watch_forks();
    if (rc < 0)
        return jbi_error_set(err, rc, "no memory to watch for fork()");
    rc = jbi_url_parse(url, &parts, err);
    if (rc == 0)
        rc = jbi_client_opts_take(opts, &mine, err);
    if (rc < 0)
        return rc;
    c = make(&mine, &parts);
    if (!c)
        return jbi_error_set(err, JB_ENOMEM, "no memory for a client");
    if (parts.scheme == JBI_URL_SHM) {
        rc = jbi_near_open(c, err);
        c->state = c->status.state = JB_CLIENT_UP;
        c->way = c->status.way = JB_CLIENT_BY_MEMORY;
    } else {
        rc = init_far(c, err);
    }
    if (rc < 0)
        free_client(c);
    else
        *ret_client = c;
    return rc;
}

int64_t jb_client_close(jb_client *client, uint64_t flush_ns)
{
    uint64_t now = jb_clock_now_ns(), n_left;

    if (!client || !jbi_client_is_here(client))
        return 0; /* of another process: its memory is given up, its connection left alone */
    if (client->bus) {
        jb_bus_close(client->bus);
        free_client(client);
        return 0;
    }
    atomic_store(&client->close_at_ns, flush_ns < UINT64_MAX - now ? now + flush_ns : UINT64_MAX);
    atomic_store(&client->is_closing, true);
    jbi_client_thread_join(client);
    n_left = jbi_client_waiting(client);
    for (uint32_t i = 0; i < JBI_CLIENT_SUBS; i++) {
        jb_client_sub *s = atomic_load(&client->subs[i]);

        if (s)
            jbi_client_sub_unref(s);
    }
    free_client(client);
    return (int64_t)n_left;
}

int jb_client_flush(jb_client *client, uint64_t timeout_ns)
{
    uint64_t begun = jb_clock_now_ns(), gone = 0;

    if (!client)
        return JB_EINVAL;
    if (!jbi_client_is_here(client))
        return JB_ESTATE;
    uv_mutex_lock(&client->status_lock);
    while (jbi_client_waiting(client) > 0 && gone < timeout_ns) {
        uint64_t left = timeout_ns - gone;

        /* Dropped events are not announced, so it looks itself now and then. */
        (void)uv_cond_timedwait(&client->settled, &client->status_lock,
                                left < SECOND / 10 ? left : SECOND / 10);
        gone = jb_clock_now_ns() - begun;
    }
    uv_mutex_unlock(&client->status_lock);
    return jbi_client_waiting(client) ? JB_ETIMEDOUT : 0;
}

/* --- publish */

static int name_next(jb_client *c, char text[ID_BYTES])
{
    return snprintf(text, ID_BYTES, "%016" PRIx64 "-%" PRIx64, c->id_seed, ++c->n_ids);
}

/* An event_id as a field of the event: repeated fields of a message may come in any order, so it
 * can stand at the end. */
static size_t make_id(jb_client *c, uint8_t *to)
{
    char text[ID_BYTES];
    int n = name_next(c, text);
    uint8_t *end = jbi_wire_put_tag(to, EVENT_ID_FIELD, JBI_WIRE_BYTES);

    return (size_t)(jbi_wire_put_bytes(end, text, (size_t)n) - to);
}

/* Room for a record; with JB_CLIENT_DROP_OLDEST at the cost of the oldest. */
static uint8_t *claim(jb_client *c, uint32_t n_bytes)
{
    uint8_t *to = jbi_pipe_claim(&c->outbox, n_bytes);

    while (!to && c->opts.flags & JB_CLIENT_DROP_OLDEST && jbi_pipe_drop(&c->outbox)) {
        jbi_count(&c->n.n_dropped, 1);
        to = jbi_pipe_claim(&c->outbox, n_bytes);
    }
    return to;
}

static int put(jb_client *c, jbi_slice topic, uint32_t key, const jb_encoded *e, bool is_command)
{
    jbi_batch_head head = {.topic_bytes = (uint8_t)topic.len, .is_command = is_command, .key = key};
    bool is_nameless = !e->event_id_bytes && !is_command && !(c->opts.flags & JB_CLIENT_NO_IDS);
    uint8_t id[ID_BYTES + 8], *to;
    size_t id_bytes;

    if (!jbi_client_is_here(c))
        return JB_ESTATE;
    if (e->len_bytes + sizeof(id) + sizeof(head) + topic.len > c->opts.buffer_bytes / 4 ||
        (is_nameless && e->len_bytes + sizeof(id) > JB_EVENT_MAX_BYTES))
        return JB_ETOOBIG;
    uv_mutex_lock(&c->publish_lock);
    id_bytes = is_nameless ? make_id(c, id) : 0;
    head.event_bytes = (uint32_t)(e->len_bytes + id_bytes);
    to = claim(c, (uint32_t)(sizeof(head) + topic.len) + head.event_bytes);
    if (to) {
        memcpy(to, &head, sizeof(head));
        if (topic.len)
            memcpy(to + sizeof(head), topic.data, topic.len);
        memcpy(to + sizeof(head) + topic.len, e->data, e->len_bytes);
        memcpy(to + sizeof(head) + topic.len + e->len_bytes, id, id_bytes);
        atomic_fetch_add(&c->n.n_published, 1);
        jbi_pipe_commit(&c->outbox);
    }
    uv_mutex_unlock(&c->publish_lock);
    if (!to) {
        jbi_count(&c->n.n_full, 1);
        return JB_EAGAIN;
    }
    if (atomic_load(&c->is_hungry) && atomic_exchange(&c->is_hungry, false))
        jbi_client_wake(c);
    return 0;
}

static int publish(jb_client *c, jbi_slice topic, uint32_t key, const jb_encoded *e)
{
    return c->bus ? jbi_near_publish(c, topic, key, e) : put(c, topic, key, e, false);
}

int jb_client_publish(jb_client *client, const char *topic, size_t topic_bytes, uint32_t key,
                      const void *data, size_t len_bytes, jb_error *err)
{
    jb_encoded e;
    int rc;

    if (!client || (!topic && topic_bytes))
        return jbi_error_set(err, JB_EINVAL, "client and topic are not NULL");
    if (topic && !jbi_topic_is_name(topic, topic_bytes))
        return jbi_error_set(err, JB_EINVAL, "that is no topic name");
    rc = jb_event_inspect(data, len_bytes, &e, err);
    return rc < 0 ? rc : publish(client, (jbi_slice){topic, topic_bytes}, key, &e);
}

int jb_client_publish_encoded(jb_client *client, const jb_encoded *encoded)
{
    if (!client || !encoded || !encoded->data || encoded->len_bytes > JB_EVENT_MAX_BYTES)
        return JB_EINVAL;
    return publish(client, (jbi_slice){encoded->topic, encoded->topic_bytes}, 0, encoded);
}

int jb_client_publish_json(jb_client *client, jb_encoder *encoder, const char *text,
                           size_t len_bytes, jb_error *err)
{
    jb_encoded e;
    int rc;

    if (!client)
        return jbi_error_set(err, JB_EINVAL, "client is not NULL");
    rc = jb_encoder_json(encoder, text, len_bytes, &e, err);
    return rc < 0 ? rc : jb_client_publish_encoded(client, &e);
}

int jb_client_send_command(jb_client *client, const jb_command *command)
{
    uint8_t bytes[1024];
    jb_encoded e = {.data = bytes};
    jb_command mine;
    int64_t n;
    int rc;

    if (!client || !command)
        return JB_EINVAL;
    if (client->bus) {
        rc = jb_bus_send_command(client->bus, command);
        if (rc == 0) {
            jbi_count(&client->n.n_published, 1);
            jbi_count(&client->n.n_accepted, 1);
        }
        return rc;
    }
    if (!jbi_client_is_here(client))
        return JB_ESTATE;
    mine = *command;
    if (!mine.id[0] && !(client->opts.flags & JB_CLIENT_NO_IDS)) {
        uv_mutex_lock(&client->publish_lock);
        name_next(client, mine.id);
        uv_mutex_unlock(&client->publish_lock);
    }
    n = jb_command_encode(&mine, bytes, sizeof(bytes));
    if (n < 0)
        return (int)n;
    e.len_bytes = (uint32_t)n;
    return put(client, (jbi_slice){NULL, 0}, 0, &e, true);
}

/* --- looking */

int jb_client_get_state(const jb_client *client)
{
    if (!client)
        return JB_EINVAL;
    if (!jbi_client_is_here(client))
        return JB_ESTATE;
    return (int)atomic_load(&((jb_client *)(uintptr_t)client)->state);
}

int jb_client_get_status(jb_client *client, jb_client_status *ret_status)
{
    uint32_t size;

    if (!client || !ret_status)
        return JB_EINVAL;
    size = ret_status->size < sizeof(*ret_status) ? ret_status->size : sizeof(*ret_status);
    if (size < sizeof(uint32_t))
        return JB_EINVAL;
    if (!jbi_client_is_here(client))
        return JB_ESTATE;
    uv_mutex_lock(&client->status_lock);
    client->status.size = ret_status->size;
    memcpy(ret_status, &client->status, size);
    uv_mutex_unlock(&client->status_lock);
    return 0;
}

int jb_client_get_stats(jb_client *client, jb_client_stats *ret_stats)
{
    jbi_client_counters *n;
    jb_client_stats s;

    if (!client || !ret_stats || ret_stats->size < sizeof(uint32_t))
        return JB_EINVAL;
    if (!jbi_client_is_here(client))
        return JB_ESTATE;
    n = &client->n;
    s = (jb_client_stats){.size = ret_stats->size,
                          .n_accepted = atomic_load(&n->n_accepted),
                          .n_duplicates = atomic_load(&n->n_duplicates),
                          .n_refused = atomic_load(&n->n_refused),
                          .n_dropped = atomic_load(&n->n_dropped),
                          .n_full = atomic_load(&n->n_full),
                          .n_retries = atomic_load(&n->n_retries),
                          .n_received = atomic_load(&n->n_received),
                          .n_missed = atomic_load(&n->n_missed),
                          .n_connects = atomic_load(&n->n_connects),
                          .n_faults = atomic_load(&n->n_faults)};
    /* Last, so that what waits is never less than nothing. */
    s.n_published = atomic_load(&n->n_published);
    s.n_waiting = s.n_published - s.n_accepted - s.n_duplicates - s.n_refused - s.n_dropped;
    s.n_waiting_bytes = client->bus ? 0 : jbi_pipe_used(&client->outbox);
    memcpy(ret_stats, &s, s.size < sizeof(s) ? s.size : sizeof(s));
    return 0;
}
