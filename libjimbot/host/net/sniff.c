/*
 * sniff: see sniff.h. HTTP/2 begins with a line that is no request of HTTP/1.1; the first byte that
 * differs decides.
 */
#include "host/net/sniff.h"

#include "host/host.h"
#include "host/http1/http1.h"

static int open_session(jbi_conn *c, void *arg)
{
    return 0;
}

static void close_session(jbi_conn *c)
{
}

static size_t feed(jbi_conn *c, const char *bytes, size_t n)
{
    jbi_conn_switch(c, &jbi_http1, NULL);
    return 0;
}

static enum jbi_conn_part part(const jbi_conn *c)
{
    return JBI_CONN_IDLE;
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
