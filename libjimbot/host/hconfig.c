/*
 * hconfig: the options as text: one table makes the keys of the file, of the environment and of
 * flags.
 *
 * Invariant: a value that is refused changes nothing, and a file or an environment with one refused
 * value changes nothing at all.
 */
#include "jimbot/host.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { KIND_TEXT, KIND_U32, KIND_BYTES, KIND_BYTES32, KIND_SECONDS, KIND_LEVEL, KIND_SWITCH };

typedef struct key {
    const char *name;
    const char *arg;
    const char *help;
    enum kind kind;
    size_t offset;
} key;

#define AT(field) offsetof(jb_host_opts, field)

/* clang-format off */
static const key keys[] = {
    {"http", "ADDRESS:PORT", "where to listen; port 0 takes a free one (127.0.0.1:8080)",
     KIND_TEXT, AT(http)},
    {"grpc", "ADDRESS:PORT", "one more address, or none; both speak everything (none)",
     KIND_TEXT, AT(grpc)},
    {"unix", "PATH", "a Unix socket, or none (none)", KIND_TEXT, AT(unix_path)},
    {"bus", "NAME", "name or path of the bus, made when there is none (jimbot)",
     KIND_TEXT, AT(bus_name)},
    {"log_level", "LEVEL", "debug, info, warn or error (info)", KIND_LEVEL, AT(log_level)},
    {"bus_bytes", "BYTES", "ring size of a bus that is made, a power of two (32M)",
     KIND_BYTES, AT(bus_bytes)},
    {"bus_subscriptions", "N", "subscriptions of a bus that is made, all clients together (1024)",
     KIND_U32, AT(bus_subscriptions)},
    {"max_body_bytes", "BYTES", "largest request body (8M)", KIND_BYTES, AT(max_body_bytes)},
    {"max_buffered_bytes", "BYTES", "all bodies being received together (64M)",
     KIND_BYTES, AT(max_buffered_bytes)},
    {"max_header_bytes", "BYTES", "largest request header (16K)",
     KIND_BYTES32, AT(max_header_bytes)},
    {"max_connections", "N", "connections open at a time (1024)", KIND_U32, AT(max_connections)},
    {"max_batch_events", "N", "events in one body (10000)", KIND_U32, AT(max_batch_events)},
    {"dedupe_window", "N", "event ids remembered (65536)", KIND_U32, AT(dedupe_window)},
    {"command_queue", "N", "commands waiting for a poll (1024)", KIND_U32, AT(command_queue)},
    {"header_timeout", "SECONDS", "for a request's header (10)",
     KIND_SECONDS, AT(header_timeout_ns)},
    {"body_timeout", "SECONDS", "longest silence in a body (30)",
     KIND_SECONDS, AT(body_timeout_ns)},
    {"idle_timeout", "SECONDS", "between two requests (75)", KIND_SECONDS, AT(idle_timeout_ns)},
    {"write_timeout", "SECONDS", "for a client that does not read (15)",
     KIND_SECONDS, AT(write_timeout_ns)},
    {"drain_timeout", "SECONDS", "for requests in flight when stopping (5)",
     KIND_SECONDS, AT(drain_timeout_ns)},
    {"tls_cert", "FILE", "speak TLS on every address but the Unix socket, with this certificate "
     "and those above it, PEM (none)", KIND_TEXT, AT(tls_cert)},
    {"tls_key", "FILE", "its key, PEM (none)", KIND_TEXT, AT(tls_key)},
    {"tls_client_ca", "FILE", "who signs the certificates that clients must show, PEM (none)",
     KIND_TEXT, AT(tls_client_ca)},
    {"max_streams", "N", "requests at a time on one HTTP/2 connection (1024)", KIND_U32,
     AT(max_streams)},
    {"tokens", "FILE", "who may do what: one line a token, see --make-token (none)",
     KIND_TEXT, AT(tokens)},
    {"listen_public", "", "addresses that others can reach are meant; needs tokens or tls_client_ca",
     KIND_SWITCH, AT(listen_public)},
    {"allowed_hosts", "NAMES", "names this server is called by, beside addresses and localhost (none)",
     KIND_TEXT, AT(allowed_hosts)},
    {"allowed_origins", "ORIGINS", "pages that may ask, like https://example.org (none)",
     KIND_TEXT, AT(allowed_origins)},
    {"rate_limit", "N", "requests and events a second, each client; 0 any number (0)", KIND_U32,
     AT(rate_limit)},
    {"rate_burst", "N", "how many of them at once; 0 a second's worth (0)", KIND_U32, AT(rate_burst)},
    {"max_client_connections", "N", "open at a time from one address; 0 any number (0)", KIND_U32,
     AT(max_client_connections)},
};
/* clang-format on */

enum { N_KEYS = sizeof(keys) / sizeof(keys[0]), TEXT_BYTES = 256 };

void jb_host_opts_init(jb_host_opts *opts, uint32_t size)
{
    const uint64_t second = 1000000000u;
    jb_host_opts o = {.size = size,
                      .log_level = JB_LOG_INFO,
                      .bus_bytes = 32u << 20,
                      .bus_subscriptions = 1024,
                      .max_body_bytes = 8u << 20,
                      .max_buffered_bytes = 64u << 20,
                      .header_timeout_ns = 10 * second,
                      .body_timeout_ns = 30 * second,
                      .idle_timeout_ns = 75 * second,
                      .write_timeout_ns = 15 * second,
                      .drain_timeout_ns = 5 * second,
                      .max_header_bytes = 16u << 10,
                      .max_connections = 1024,
                      .max_batch_events = 10000,
                      .dedupe_window = 65536,
                      .command_queue = 1024,
                      .max_streams = 1024,
                      .http = "127.0.0.1:8080",
                      .bus_name = "jimbot"};

    memcpy(opts, &o, size < sizeof(o) ? size : sizeof(o));
}

int jb_host_opts_key(uint32_t idx, const char **ret_name, const char **ret_arg,
                     const char **ret_help)
{
    if (idx >= N_KEYS)
        return JB_ENOENT;
    if (ret_name)
        *ret_name = keys[idx].name;
    if (ret_arg)
        *ret_arg = keys[idx].arg;
    if (ret_help)
        *ret_help = keys[idx].help;
    return 0;
}

static int refuse(jb_error *err, int code, const char *fmt, const char *a, const char *b)
{
    if (err) {
        jb_error_init(err);
        err->code = code;
        snprintf(err->msg, sizeof(err->msg), fmt, a, b);
    }
    return code;
}

/* Digits, then perhaps K, M or G. */
static bool read_number(const char *value, uint64_t most, uint64_t *ret)
{
    static const char units[] = "KMG";
    const char *unit;
    char *end;
    unsigned long long n;
    int shift = 0;

    if (!isdigit((unsigned char)*value))
        return false;
    errno = 0;
    n = strtoull(value, &end, 10);
    unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (unit) {
        shift = 10 * (int)(unit - units + 1);
        end++;
    }
    if (errno || *end || n > most >> shift)
        return false;
    *ret = n << shift;
    return true;
}

static bool read_seconds(const char *value, uint64_t *ret_ns)
{
    char *end;
    double s = strtod(value, &end);

    if (end == value || *end || !isdigit((unsigned char)*value) || !(s >= 0 && s <= 86400))
        return false;
    *ret_ns = (uint64_t)llround(s * 1e9);
    return true;
}

static bool read_level(const char *value, uint32_t *ret)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};

    for (uint32_t i = 0; i < 4; i++) {
        if (strcmp(value, names[i]) == 0) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static bool read_switch(const char *value, uint32_t *ret)
{
    bool is_yes = strcmp(value, "yes") == 0;

    if (!is_yes && strcmp(value, "no") != 0)
        return false;
    *ret = is_yes;
    return true;
}

static bool read_value(const key *k, const char *value, void *field)
{
    uint64_t n;

    switch (k->kind) {
    case KIND_TEXT:
        if (!*value || strlen(value) >= TEXT_BYTES)
            return false;
        strcpy(field, strcmp(value, "none") ? value : "");
        return true;
    case KIND_LEVEL:
        return read_level(value, field);
    case KIND_SWITCH:
        return read_switch(value, field);
    case KIND_SECONDS:
        return read_seconds(value, field);
    case KIND_BYTES:
        return read_number(value, UINT64_MAX, field);
    case KIND_BYTES32:
    case KIND_U32:
        if (!read_number(value, UINT32_MAX, &n))
            return false;
        *(uint32_t *)field = (uint32_t)n;
        return true;
    }
    return false;
}

int jb_host_opts_set(jb_host_opts *opts, const char *name, const char *value, jb_error *err)
{
    if (!opts || !name || !value)
        return refuse(err, JB_EINVAL, "%s%s", "an argument is NULL", "");
    for (int i = 0; i < N_KEYS; i++) {
        if (strcmp(keys[i].name, name) != 0)
            continue;
        if (!read_value(&keys[i], value, (char *)opts + keys[i].offset))
            return refuse(err, JB_EINVAL, "\"%.80s\" is not a value for %s", value, name);
        return 0;
    }
    return refuse(err, JB_ENOENT, "there is no option \"%.80s\"%s", name, "");
}

typedef struct file_reader {
    jb_host_opts opts;
    jb_error err;
    int rc;
} file_reader;

static int on_setting(void *userdata, const char *section, const char *name, const char *value)
{
    file_reader *r = userdata;

    if (*section && strcmp(section, "jimbotd") != 0)
        r->rc = refuse(&r->err, JB_EPARSE, "there is no section \"%.80s\"%s", section, "");
    else
        r->rc = jb_host_opts_set(&r->opts, name, value, &r->err);
    return r->rc == 0;
}

int jb_host_opts_load_file(jb_host_opts *opts, const char *path, jb_error *err)
{
    file_reader r = {.opts = *opts};
    char where[32];
    int line;

    errno = 0;
    line = ini_parse(path, on_setting, &r);
    if (line == 0) {
        *opts = r.opts;
        return 0;
    }
    if (line < 0) {
        int saved = errno;
        int rc = refuse(err, JB_ESYS, "%.120s: %s", path, strerror(saved));

        if (err)
            err->os_errno = saved;
        return rc;
    }
    snprintf(where, sizeof(where), ":%d: ", line);
    if (err) {
        jb_error_init(err);
        err->code = JB_EPARSE;
        snprintf(err->msg, sizeof(err->msg), "%.100s%s%.100s", path, where,
                 r.rc ? r.err.msg : "the line is no `key = value`");
    }
    return JB_EPARSE;
}

/* The variable of a key: JIMBOTD_MAX_BODY_BYTES for max_body_bytes. */
static void variable_of(const key *k, char name[64])
{
    snprintf(name, 64, "JIMBOTD_%s", k->name);
    for (; *name; name++)
        *name = (char)toupper((unsigned char)*name);
}

int jb_host_opts_load_env(jb_host_opts *opts, jb_error *err)
{
    jb_host_opts copy = *opts;
    jb_error why;

    for (int i = 0; i < N_KEYS; i++) {
        char name[64];
        const char *value;

        variable_of(&keys[i], name);
        value = getenv(name);
        if (!value || !*value)
            continue;
        if (jb_host_opts_set(&copy, keys[i].name, value, &why) < 0)
            return refuse(err, JB_EINVAL, "%s: %.150s", name, why.msg);
    }
    *opts = copy;
    return 0;
}
