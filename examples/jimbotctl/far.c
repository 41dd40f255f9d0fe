/*
 * far.c: see far.h.
 */
#include "far.h"

#include "jimbot/client.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* --- one question */

int far_fail(far *f, int exit_code, const char *what)
{
    return view_fail(f->v, exit_code, "%s: %s", f->url, what);
}

static int refuse(far *f, uint32_t status, const json_t *root)
{
    const char *said = json_string_value(json_object_get(root, "error"));
    char text[160];

    if (status == 401 || status == 403)
        snprintf(text, sizeof(text), "the server refused the token, or the lack of one (%u)",
                 status);
    else if (status == 404)
        snprintf(text, sizeof(text), "the server is no coordinator (404)");
    else
        snprintf(text, sizeof(text), "the server answered %u%s%.100s", status, said ? ": " : "",
                 said ? said : "");
    return far_fail(f, status == 404 ? EXIT_NO_BUS : EXIT_FAILURE, text);
}

/* Bytes of the answer, in f->body; or -1 after a failure. */
static int64_t get(far *f, const char *path, uint32_t *ret_status)
{
    jb_client_answer answer = {
        .size = sizeof(answer), .buf = f->body, .cap_bytes = FAR_ANSWER_BYTES};
    size_t n = strlen(f->opts->url);
    jb_client_opts opts;
    jb_error err;
    int rc;

    jb_client_opts_init(&opts, sizeof(opts));
    opts.token = f->opts->token;
    opts.tls_ca = f->opts->ca;
    opts.connect_timeout_ns = f->opts->timeout_ns < 1000000 ? 1000000 : f->opts->timeout_ns;
    if (n > 1 && f->opts->url[n - 1] == '/' && f->opts->url[n - 2] != '/')
        n--;
    if (snprintf(f->url, sizeof(f->url), "%.*s%s", n < 300 ? (int)n : 300, f->opts->url, path) < 0)
        return -1;
    jb_error_init(&err);
    rc = jb_client_get(f->url, &opts, &answer, &err);
    *ret_status = answer.status;
    if (rc == 0)
        return (int64_t)answer.len_bytes;
    return far_fail(f,
                    rc == JB_EINVAL                                   ? EXIT_WRONG_USAGE
                    : rc == JB_ENOENT || err.os_errno == ECONNREFUSED ? EXIT_NO_BUS
                                                                      : EXIT_FAILURE,
                    err.msg[0] ? err.msg : jb_strerror(rc));
}

json_t *far_ask(far *f, const char *path)
{
    char text[JSON_ERROR_TEXT_LENGTH + 64];
    uint32_t status = 0;
    int64_t n = get(f, path, &status);
    json_error_t where;
    json_t *root;

    if (n < 0)
        return NULL;
    root = json_loadb(f->body, (size_t)n, 0, &where);
    if (status == 200 && json_is_object(root))
        return root;
    if (status != 200) {
        refuse(f, status, root);
    } else if (root) {
        far_fail(f, EXIT_NO_BUS, "the answer is no object: the server is no coordinator");
    } else {
        snprintf(text, sizeof(text), "the answer is no JSON: byte %d: %s", where.position,
                 where.text);
        far_fail(f, EXIT_FAILURE, text);
    }
    json_decref(root);
    return NULL;
}

/* --- fields */

int far_fail_field(far *f, const char *key, const char *what)
{
    char text[160];

    if (f->list)
        snprintf(text, sizeof(text), "%s[%u]%s%s %s", f->list, f->at, *key ? "." : "", key, what);
    else
        snprintf(text, sizeof(text), "%s %s", key, what);
    return far_fail(f, EXIT_FAILURE, text);
}

int far_number(far *f, const json_t *object, const char *key, uint64_t most, uint64_t *ret)
{
    const json_t *value = json_object_get(object, key);
    const char *text = json_string_value(value);
    uint64_t n = 0;

    if (json_is_integer(value) && json_integer_value(value) >= 0)
        n = (uint64_t)json_integer_value(value);
    else if (value && (!text || !*text))
        return far_fail_field(f, key, "is no number");
    for (; text && *text; text++) {
        if (*text < '0' || *text > '9')
            return far_fail_field(f, key, "is no number");
        if (__builtin_mul_overflow(n, (uint64_t)10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*text - '0'), &n))
            return far_fail_field(f, key, "is too large");
    }
    if (n > most)
        return far_fail_field(f, key, "is too large");
    *ret = n;
    return 0;
}

int far_small(far *f, const json_t *object, const char *key, uint32_t *ret)
{
    uint64_t n = 0;
    int rc = far_number(f, object, key, UINT32_MAX, &n);

    *ret = (uint32_t)n;
    return rc;
}

int far_name(far *f, const json_t *object, const char *key, char ret[JB_QUOTA_NAME_BYTES])
{
    const char *text = json_string_value(json_object_get(object, key));

    if (!text || !*text || strlen(text) >= JB_QUOTA_NAME_BYTES)
        return far_fail_field(f, key, "is no name of 1 to 31 bytes");
    memset(ret, 0, JB_QUOTA_NAME_BYTES);
    strcpy(ret, text);
    return 0;
}

uint32_t far_word(const json_t *object, const char *key, const char *prefix,
                  const char *(*name_of)(uint32_t value))
{
    const char *text = json_string_value(json_object_get(object, key));

    if (!text || strncmp(text, prefix, strlen(prefix)) != 0)
        return 0;
    for (uint32_t i = 1; *name_of(i) != '?'; i++) {
        if (!strcasecmp(text + strlen(prefix), name_of(i)))
            return i;
    }
    return 0;
}

int far_each(far *f, const json_t *root, const char *key, size_t n_max,
             int (*read)(far *f, const json_t *item))
{
    const json_t *list = json_object_get(root, key);
    const json_t *item;
    size_t i;

    f->list = NULL;
    if (list && !json_is_array(list))
        return far_fail_field(f, key, "is no list");
    if (json_array_size(list) > n_max)
        return far_fail_field(f, key, "is longer than it can be");
    json_array_foreach(list, i, item)
    {
        f->list = key;
        f->at = (uint32_t)i;
        if (!json_is_object(item))
            return far_fail_field(f, "", "is no object");
        if (read(f, item) < 0)
            return -1;
    }
    f->list = NULL;
    return 0;
}
