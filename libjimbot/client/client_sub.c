/*
 * client_sub: the life of a subscription of a client. It belongs to its reader and to the thread;
 * who lets go of it last frees it.
 *
 * Invariant: a slot of the client is filled by a caller and emptied by the thread alone.
 */
#include "client/client_sub.h"
#include "client/client_internal.h"

#include "base/error.h"
#include "base/os.h"
#include "host/text/hmem.h"
#include "topic/pattern.h"

#include <string.h>

void jb_client_sub_opts_init(jb_client_sub_opts *opts, uint32_t size)
{
    jb_client_sub_opts defaults = {.size = size,
                                   .policy = JB_CLIENT_LATEST,
                                   .start = JB_CLIENT_FROM_NOW,
                                   .max_unacked = 256,
                                   .buffer_bytes = 4u << 20};

    memset(opts, 0, size);
    memcpy(opts, &defaults, size < sizeof(defaults) ? size : sizeof(defaults));
}

void jbi_client_sub_unref(jb_client_sub *s)
{
    if (atomic_fetch_sub(&s->n_refs, 1) != 1)
        return;
    if (s->fd >= 0)
        jbi_os_file_close(s->fd);
    jbi_pipe_fini(&s->inbox);
    jbi_hmem_free(s->alloc, s, sizeof(*s));
}

static int check_opts(const jb_client_sub_opts *o, jb_error *err)
{
    if (o->policy > JB_CLIENT_CONFLATE || o->start > JB_CLIENT_FROM_SEQUENCE)
        return jbi_error_set(err, JB_EINVAL, "policy or start: no such one");
    if ((o->start == JB_CLIENT_FROM_SEQUENCE) != (o->start_sequence != 0))
        return jbi_error_set(err, JB_EINVAL, "start_sequence goes with start, and is 1 and more");
    if (o->max_unacked == 0 || o->max_unacked > 65536)
        return jbi_error_set(err, JB_EINVAL, "max_unacked: 1 .. 65536");
    if (o->buffer_bytes < 65536 || o->buffer_bytes > 1u << 30)
        return jbi_error_set(err, JB_EINVAL, "buffer_bytes: 64 KiB .. 1 GiB");
    return 0;
}

/* "a.>,b.*" as one NUL-terminated pattern after the other. */
static int split(jb_client_sub *s, const char *text, size_t n, jb_error *err)
{
    const char *end = text + n;
    char *to = s->patterns;

    for (;;) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        size_t len = (size_t)((comma ? comma : end) - text);

        if (s->n_patterns == JBI_CLIENT_PATTERNS || !jbi_topic_is_pattern(text, len))
            return jbi_error_set(err, JB_EINVAL, "pattern %u is none, or one too many",
                                 s->n_patterns + 1);
        memcpy(to, text, len);
        to += len + 1;
        s->n_patterns++;
        if (!comma)
            return 0;
        text = comma + 1;
    }
}

bool jbi_client_sub_may_command(const jb_client_sub *s)
{
    const char *pattern = s->patterns;

    for (uint32_t i = 0; i < s->n_patterns; i++) {
        if (strncmp(pattern, "command.", 8) == 0 || pattern[0] == '>' || pattern[0] == '*')
            return true;
        pattern += strlen(pattern) + 1;
    }
    return false;
}

static int register_sub(jb_client *c, jb_client_sub *s, jb_error *err)
{
    for (uint32_t i = 0; i < JBI_CLIENT_SUBS; i++) {
        jb_client_sub *none = NULL;

        if (atomic_compare_exchange_strong(&c->subs[i], &none, s)) {
            jbi_client_wake(c);
            return 0;
        }
    }
    return jbi_error_set(err, JB_ELIMIT, "%u subscriptions are open", JBI_CLIENT_SUBS);
}

static int begin(jb_client *c, jb_client_sub *s, jb_error *err)
{
    int rc;

    if (c->bus)
        return jbi_near_subscribe(s, err);
    if (c->url.scheme == JBI_URL_HTTP && !jbi_client_sub_may_command(s))
        return jbi_error_set(err, JB_EINVAL, "by http:// come commands only: use ws://");
    rc = jbi_pipe_init(&s->inbox, s->opts.buffer_bytes, s->alloc);
    if (rc < 0)
        return jbi_error_set(err, rc, "no memory for the buffer");
    atomic_store(&s->n_refs, 2);
    rc = register_sub(c, s, err);
    if (rc < 0)
        atomic_store(&s->n_refs, 1);
    return rc;
}

int jb_client_subscribe(jb_client *client, const char *pattern, size_t len_bytes,
                        const jb_client_sub_opts *opts, jb_client_sub **ret_sub, jb_error *err)
{
    jb_client_sub *s;
    int rc;

    if (!client || !pattern || !ret_sub)
        return jbi_error_set(err, JB_EINVAL, "client, pattern and ret_sub are not NULL");
    if (!jbi_client_is_here(client))
        return jbi_error_set(err, JB_ESTATE, "the client was opened before fork()");
    s = jbi_hmem_zalloc(client->alloc, sizeof(*s));
    if (!s)
        return jbi_error_set(err, JB_ENOMEM, "no memory for a subscription");
    s->client = client;
    s->alloc = client->alloc;
    s->fd = -1;
    s->id = atomic_fetch_add(&client->n_subs_ever, 1) + 1;
    atomic_init(&s->n_refs, 1);
    jb_client_sub_opts_init(&s->opts, sizeof(s->opts));
    if (opts)
        memcpy(&s->opts, opts, opts->size < sizeof(s->opts) ? opts->size : sizeof(s->opts));
    rc = check_opts(&s->opts, err);
    if (rc == 0)
        rc = split(s, pattern, len_bytes, err);
    if (rc == 0)
        rc = begin(client, s, err);
    if (rc < 0)
        jb_client_sub_close(s);
    else
        *ret_sub = s;
    return rc;
}

void jb_client_sub_close(jb_client_sub *sub)
{
    jb_client *c;
    bool is_shared;

    if (!sub || !jbi_client_is_here(sub->client))
        return;
    c = sub->client;
    jb_sub_close(sub->near);
    is_shared = atomic_load(&sub->n_refs) > 1;
    atomic_store(&sub->is_closing, true);
    if (sub->fd >= 0)
        jbi_os_event_raise(sub->fd); /* who waits on a duplicate wakes */
    if (is_shared)
        jbi_client_wake(c);
    jbi_client_sub_unref(sub);
}
