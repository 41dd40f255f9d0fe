/*
 * sniff: see sniff.h. HTTP/2 begins with a line that is no request of HTTP/1.1; the first byte that
 * differs decides, so all that was looked at before is known and need not be kept.
 */
#include "host/net/sniff.h"

#include "host/host.h"
#include "host/http1/http1.h"
#ifdef JBI_HAVE_HTTP2
#include "host/http2/http2.h"
#endif

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum { PREFACE_BYTES = sizeof(preface) - 1 };

/* How many bytes of the preface have come stands where a session would. */
static size_t n_come(const jbi_conn *c)
{
    return (uintptr_t)c->session;
}

static int open_session(jbi_conn *c, void *arg)
{
    c->session = NULL;
    return 0;
}

static void close_session(jbi_conn *c)
{
}

static void choose(jbi_conn *c, const jbi_protocol *protocol)
{
    size_t n = n_come(c);

    jbi_conn_switch(c, protocol, NULL);
    if (n && c->state == JBI_CONN_OPEN)
        c->protocol->feed(c, preface, n);
}

static size_t feed(jbi_conn *c, const char *bytes, size_t n)
{
    size_t had = n_come(c);
    size_t at = 0;

#ifdef JBI_HAVE_HTTP2
    while (at < n && had + at < PREFACE_BYTES && bytes[at] == preface[had + at])
        at++;
#endif
    c->session = (void *)(uintptr_t)(had + at);
    if (had + at < PREFACE_BYTES && at == n)
        return n;
#ifdef JBI_HAVE_HTTP2
    if (had + at == PREFACE_BYTES) {
        choose(c, &jbi_http2);
        return at;
    }
#endif
    choose(c, &jbi_http1);
    return at;
}

static enum jbi_conn_part part(const jbi_conn *c)
{
    return n_come(c) ? JBI_CONN_HEADER : JBI_CONN_IDLE;
}

/* Only a TLS handshake has a deadline here. */
static void expire(jbi_conn *c)
{
    c->host->service.counters.n_timeouts++;
    jbi_conn_close(c);
}

const jbi_protocol jbi_sniff = {.name = "none",
                                .open = open_session,
                                .close = close_session,
                                .feed = feed,
                                .part = part,
                                .expire = expire};
