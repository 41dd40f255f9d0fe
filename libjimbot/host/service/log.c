/*
 * log: see log.h. The bucket is one time: the later it is, the more lines were written.
 */
#include "host/service/log.h"

#include "host/service/service.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define SECOND_NS UINT64_C(1000000000)

bool jbi_log_take(jbi_log *log, uint64_t now_ns)
{
    uint64_t empty_ns = log->empty_ns > now_ns ? log->empty_ns : now_ns;

    if (empty_ns - now_ns > (JBI_LOG_BURST - 1) * (SECOND_NS / JBI_LOG_PER_S)) {
        log->n_held++;
        log->n_left_out++;
        return false;
    }
    log->empty_ns = empty_ns + SECOND_NS / JBI_LOG_PER_S;
    return true;
}

void jbi_service_log(jbi_service *s, uint32_t level, const char *fmt, ...)
{
    const jb_host_opts *o = s->opts;
    char line[512];
    va_list args;

    if (!o->log || level < o->log_level || !jbi_log_take(&s->log, jb_clock_now_ns()))
        return;
    if (s->log.n_held) {
        snprintf(line, sizeof(line), "%llu lines were left out", (unsigned long long)s->log.n_held);
        s->log.n_held = 0;
        o->log(JB_LOG_WARN, line, o->log_userdata);
    }
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    o->log(level, line, o->log_userdata);
}

/* Append a JSON string; what is no plain ASCII text is escaped or, where it may be cut UTF-8,
 * replaced. */
static size_t add_json(const char *s, char *to, size_t cap)
{
    size_t n = 0;

    for (; *s && n + 7 < cap; s++) {
        unsigned char c = (unsigned char)*s;

        if (c == '"' || c == '\\')
            n += (size_t)snprintf(to + n, cap - n, "\\%c", c);
        else if (c < 0x20)
            n += (size_t)snprintf(to + n, cap - n, "\\u%04x", c);
        else
            to[n++] = c < 0x7f ? (char)c : '?';
    }
    to[n] = '\0';
    return n;
}

size_t jb_host_log_line(uint32_t format, const char *program, uint32_t level, const char *line,
                        char *buf, size_t cap)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    char text[1800];
    char now[32];
    struct timespec t;
    struct tm tm;
    int n;

    clock_gettime(CLOCK_REALTIME, &t);
    gmtime_r(&t.tv_sec, &tm);
    strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%S", &tm);
    if (format == JB_HOST_LOG_JSON) {
        add_json(line, text, sizeof(text));
        n = snprintf(buf, cap, "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"message\":\"%s\"}\n",
                     now, t.tv_nsec / 1000000, names[level & 3], text);
    } else {
        n = snprintf(buf, cap, "%sZ %s %s: %s\n", now, names[level & 3], program, line);
    }
    return n < 0 || cap == 0 ? 0 : (size_t)n < cap ? (size_t)n : cap - 1;
}
