/*
 * hconfig: the options as text: one table makes the keys of the file, of the environment and of
 * flags.
 *
 * Invariant: a value that is refused changes nothing, and a file or an environment with one refused
 * value changes nothing at all.
 */
#include "host/hconfig.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind {
    KIND_TEXT,
    KIND_U32,
    KIND_BYTES,
    KIND_BYTES32,
    KIND_SECONDS,
    KIND_LEVEL,
    KIND_FORMAT,
    KIND_SWITCH
};

typedef struct key {
    const char *name;
    const char *arg;
    const char *help;
    enum kind kind;
    size_t offset;
    uint64_t min; /* of a number, in the field's own unit */
    uint64_t max;
    bool is_live; /* may change while the host runs */
} key;

#define AT(field) offsetof(jb_host_opts, field)
#define MS        UINT64_C(1000000)
#define DAY       UINT64_C(86400000000000)

/* clang-format off */
static const key keys[] = {
    {"http", "ADDRESS:PORT", "where to listen; port 0 takes a free one (127.0.0.1:8080)",
     KIND_TEXT, AT(http), 0, 0, false},
    {"grpc", "ADDRESS:PORT", "one more address, or none; both speak everything (none; "
     "jimbotd: 127.0.0.1:50051)",
     KIND_TEXT, AT(grpc), 0, 0, false},
    {"unix", "PATH", "a Unix socket, or none (none)", KIND_TEXT, AT(unix_path), 0, 0, false},
    {"bus", "NAME", "name or path of the bus, made when there is none (jimbot)",
     KIND_TEXT, AT(bus_name), 0, 0, false},
    {"log_format", "FORMAT", "log lines as text or json (text)", KIND_FORMAT, AT(log_format),
     JB_HOST_LOG_TEXT, JB_HOST_LOG_JSON, true},
    {"log_level", "LEVEL", "debug, info, warn or error (info)",
     KIND_LEVEL, AT(log_level), JB_LOG_DEBUG, JB_LOG_ERROR, true},
    {"bus_bytes", "BYTES", "ring size of a bus that is made, a power of two (32M)",
     KIND_BYTES, AT(bus_bytes), 0, UINT64_MAX, false},
    {"bus_subscriptions", "N", "subscriptions of a bus that is made, all clients together (1024)",
     KIND_U32, AT(bus_subscriptions), 1, 1024, false},
    {"max_body_bytes", "BYTES", "largest request body (8M)",
     KIND_BYTES, AT(max_body_bytes), 1024, 1u << 30, true},
    {"max_buffered_bytes", "BYTES", "all bodies being received together (64M)",
     KIND_BYTES, AT(max_buffered_bytes), 1024, 1ull << 40, true},
    {"max_header_bytes", "BYTES", "largest request header (16K)",
     KIND_BYTES32, AT(max_header_bytes), 256, 1u << 20, true},
    {"max_connections", "N", "connections open at a time (1024)",
     KIND_U32, AT(max_connections), 1, 65536, true},
    {"max_batch_events", "N", "events in one body (10000)",
     KIND_U32, AT(max_batch_events), 1, 1000000, true},
    {"dedupe_window", "N", "event ids remembered (65536)",
     KIND_U32, AT(dedupe_window), 1, 1u << 24, false},
    {"command_queue", "N", "commands waiting for a poll (1024)",
     KIND_U32, AT(command_queue), 1, 65536, false},
    {"header_timeout", "SECONDS", "for a request's header (10)",
     KIND_SECONDS, AT(header_timeout_ns), MS, DAY, true},
    {"body_timeout", "SECONDS", "longest silence in a body (30)",
     KIND_SECONDS, AT(body_timeout_ns), MS, DAY, true},
    {"idle_timeout", "SECONDS", "between two requests (75)",
     KIND_SECONDS, AT(idle_timeout_ns), MS, DAY, true},
    {"write_timeout", "SECONDS", "for a client that does not read (15)",
     KIND_SECONDS, AT(write_timeout_ns), MS, DAY, true},
    {"max_hold", "SECONDS", "longest that a lossless client holds publishers back; 0: no end (0)",
     KIND_SECONDS, AT(max_hold_ns), 0, DAY, true},
    {"drain_timeout", "SECONDS", "for requests in flight when stopping (5)",
     KIND_SECONDS, AT(drain_timeout_ns), 0, DAY, true},
    {"tls_cert", "FILE", "speak TLS on every address but the Unix socket, with this certificate "
     "and those above it, PEM (none)", KIND_TEXT, AT(tls_cert), 0, 0, false},
    {"tls_key", "FILE", "its key, PEM (none)", KIND_TEXT, AT(tls_key), 0, 0, false},
    {"tls_client_ca", "FILE", "who signs the certificates that clients must show, PEM (none)",
     KIND_TEXT, AT(tls_client_ca), 0, 0, false},
    {"max_streams", "N", "requests at a time on one HTTP/2 connection (1024)", KIND_U32,
     AT(max_streams), 1, 65536, true},
    {"tokens", "FILE", "who may do what: one line a token, see --make-token (none)",
     KIND_TEXT, AT(tokens), 0, 0, false},
    {"listen_public", "",
     "addresses that others can reach are meant; needs tokens or tls_client_ca", KIND_SWITCH,
     AT(listen_public), 0, 1, false},
    {"allowed_hosts", "NAMES",
     "names this server is called by, beside addresses and localhost (none)", KIND_TEXT,
     AT(allowed_hosts), 0, 0, false},
    {"allowed_origins", "ORIGINS", "pages that may ask, like https://example.org (none)",
     KIND_TEXT, AT(allowed_origins), 0, 0, false},
    {"rate_limit", "N", "requests and events a second, each client; 0 any number (0)", KIND_U32,
     AT(rate_limit), 0, UINT32_MAX, true},
    {"rate_burst", "N", "how many of them at once; 0 a second's worth (0)", KIND_U32,
     AT(rate_burst), 0, UINT32_MAX, true},
    {"max_client_connections", "N", "open at a time from one address; 0 any number (0)", KIND_U32,
     AT(max_client_connections), 0, UINT32_MAX, true},
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

/* The words for the values of a field, in their order, ended by NULL; NULL when it has none. */
static const char *const *words_of(enum kind kind)
{
    static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
    static const char *const formats[] = {"text", "json", NULL};
    static const char *const switches[] = {"no", "yes", NULL};

    return kind == KIND_LEVEL    ? levels
           : kind == KIND_FORMAT ? formats
           : kind == KIND_SWITCH ? switches
                                 : NULL;
}

static bool read_word(const char *const *words, const char *value, uint32_t *ret)
{
    for (uint32_t i = 0; words[i]; i++) {
        if (strcmp(value, words[i]) == 0) {
            *ret = i;
            return true;
        }
    }
    return false;
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
    case KIND_FORMAT:
    case KIND_SWITCH:
        return read_word(words_of(k->kind), value, field);
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

static size_t bytes_of(const key *k)
{
    bool is_wide = k->kind == KIND_BYTES || k->kind == KIND_SECONDS;

    return k->kind == KIND_TEXT ? TEXT_BYTES : is_wide ? sizeof(uint64_t) : sizeof(uint32_t);
}

/* The key of that name, if the options have it: a caller's struct may be an older, shorter one. */
static const key *find(const jb_host_opts *opts, const char *name)
{
    for (int i = 0; opts && name && i < N_KEYS; i++) {
        if (strcmp(keys[i].name, name) == 0)
            return keys[i].offset + bytes_of(&keys[i]) <= opts->size ? &keys[i] : NULL;
    }
    return NULL;
}

static size_t size_of(const jb_host_opts *opts)
{
    return opts->size < sizeof(*opts) ? opts->size : sizeof(*opts);
}

int jb_host_opts_set(jb_host_opts *opts, const char *name, const char *value, jb_error *err)
{
    const key *k;

    if (!opts || !name || !value)
        return refuse(err, JB_EINVAL, "%s%s", "an argument is NULL", "");
    k = find(opts, name);
    if (!k)
        return refuse(err, JB_ENOENT, "there is no option \"%.80s\"%s", name, "");
    if (!read_value(k, value, (char *)opts + k->offset))
        return refuse(err, JB_EINVAL, "\"%.80s\" is not a value for %s", value, name);
    return 0;
}

/* The value of a field that is a number, in its own unit. */
static uint64_t number_of(const key *k, const jb_host_opts *opts)
{
    const char *field = (const char *)opts + k->offset;

    return bytes_of(k) == sizeof(uint64_t) ? *(const uint64_t *)(const void *)field
                                           : *(const uint32_t *)(const void *)field;
}

int jb_host_opts_get(const jb_host_opts *opts, const char *name, char *buf, size_t cap)
{
    const key *k = find(opts, name);
    uint64_t n;
    int len;

    if (!opts || !buf)
        return JB_EINVAL;
    if (!k)
        return JB_ENOENT;
    n = k->kind == KIND_TEXT ? 0 : number_of(k, opts);
    if (k->kind == KIND_TEXT) {
        const char *text = (const char *)opts + k->offset;

        len = snprintf(buf, cap, "%s", *text ? text : "none");
    } else if (k->kind == KIND_SECONDS) {
        len = snprintf(buf, cap, "%.9g", (double)n / 1e9);
    } else if (words_of(k->kind) && n <= k->max) {
        len = snprintf(buf, cap, "%s", words_of(k->kind)[n]);
    } else {
        len = snprintf(buf, cap, "%llu", (unsigned long long)n);
    }
    return (size_t)len < cap ? 0 : JB_ETOOBIG;
}

int jbi_hconfig_check(const jb_host_opts *opts, jb_error *err)
{
    for (int i = 0; i < N_KEYS; i++) {
        const key *k = &keys[i];

        if (k->kind == KIND_TEXT) {
            if (!memchr((const char *)opts + k->offset, 0, TEXT_BYTES))
                return refuse(err, JB_EINVAL, "%s is longer than 255 bytes%s", k->name, "");
        } else if (number_of(k, opts) < k->min || number_of(k, opts) > k->max) {
            char value[64] = "";

            jb_host_opts_get(opts, k->name, value, sizeof(value));
            return refuse(err, JB_EINVAL, "%s is out of its range: %s", k->name, value);
        }
    }
    if (opts->max_buffered_bytes < opts->max_body_bytes)
        return refuse(err, JB_EINVAL, "%s%s", "max_buffered_bytes is less than max_body_bytes", "");
    if (!*opts->tls_cert != !*opts->tls_key)
        return refuse(err, JB_EINVAL, "%s%s", "tls_cert and tls_key: one without the other", "");
    if (*opts->tls_client_ca && !*opts->tls_cert)
        return refuse(err, JB_EINVAL, "%s%s", "tls_client_ca: without tls_cert", "");
    return 0;
}

uint32_t jbi_hconfig_change(jb_host_opts *opts, const jb_host_opts *next,
                            void (*tell)(const char *name, bool is_taken, void *userdata),
                            void *userdata)
{
    uint32_t n = 0;

    for (int i = 0; i < N_KEYS; i++) {
        const key *k = &keys[i];
        char *to = (char *)opts + k->offset;
        const char *from = (const char *)next + k->offset;
        bool is_same =
            k->kind == KIND_TEXT ? !strcmp(to, from) : number_of(k, opts) == number_of(k, next);

        if (is_same)
            continue;
        if (k->is_live) {
            memcpy(to, from, bytes_of(k));
            n++;
        }
        tell(k->name, k->is_live, userdata);
    }
    return n;
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
    file_reader r = {.rc = 0};
    char where[32];
    int line;

    memcpy(&r.opts, opts, size_of(opts));
    errno = 0;
    line = ini_parse(path, on_setting, &r);
    if (line == 0) {
        memcpy(opts, &r.opts, size_of(opts));
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
    jb_host_opts copy = {.size = 0};
    jb_error why;

    memcpy(&copy, opts, size_of(opts));
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
    memcpy(opts, &copy, size_of(opts));
    return 0;
}
