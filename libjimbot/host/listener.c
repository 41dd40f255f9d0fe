/*
 * listener: from "127.0.0.1:8080" to a listening socket.
 *
 * Invariant: an address that says nothing but a port is loopback; the world is reached only by an
 * address that says so.
 */
#include "host/host.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int refuse(jb_error *err, int code, int os_errno, const char *fmt, const char *a,
                  const char *b)
{
    if (err) {
        jb_error_init(err);
        err->code = code;
        err->os_errno = os_errno;
        snprintf(err->msg, sizeof(err->msg), fmt, a, b);
    }
    return code;
}

/* Cut "host:port", "[host]:port", ":port" or "port" in two. */
static bool split_address(const char *text, char host[256], char port[8])
{
    const char *colon = strrchr(text, ':');
    const char *digits = colon ? colon + 1 : text;
    size_t n_host = colon ? (size_t)(colon - text) : 0;
    char *end;

    if (!*digits || strlen(digits) > 5 || strspn(digits, "0123456789") != strlen(digits) ||
        strtol(digits, &end, 10) > 65535)
        return false;
    strcpy(port, digits);
    if (n_host >= 2 && text[0] == '[' && text[n_host - 1] == ']') {
        text++;
        n_host -= 2;
    } else if (memchr(text, ':', n_host)) {
        return false;
    }
    if (n_host == 0)
        strcpy(host, "127.0.0.1");
    else
        snprintf(host, 256, "%.*s", (int)n_host, text);
    return true;
}

static void on_connection(uv_stream_t *stream, int status)
{
    jb_host *host = stream->data;

    if (status < 0)
        jbi_service_log(&host->service, JB_LOG_WARN, "cannot accept: %s", uv_strerror(status));
    else
        jbi_conn_accept(host);
}

static void write_address(jb_host *host)
{
    struct sockaddr_storage at;
    int n = sizeof(at);
    char name[64] = "";
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&at;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&at;

    if (uv_tcp_getsockname(&host->listener, (struct sockaddr *)&at, &n) < 0)
        return;
    if (at.ss_family == AF_INET6) {
        uv_ip6_name(v6, name, sizeof(name));
        snprintf(host->address, sizeof(host->address), "[%s]:%u", name, ntohs(v6->sin6_port));
    } else {
        uv_ip4_name(v4, name, sizeof(name));
        snprintf(host->address, sizeof(host->address), "%s:%u", name, ntohs(v4->sin_port));
    }
}

int jbi_listener_open(jb_host *host, jb_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    char name[256];
    char port[8];
    int rc;

    if (!split_address(host->opts.http, name, port))
        return refuse(err, JB_EINVAL, 0, "\"%.120s\" is not an address like 127.0.0.1:8080%s",
                      host->opts.http, "");
    rc = getaddrinfo(name, port, &hints, &found);
    if (rc != 0)
        return refuse(err, JB_EINVAL, 0, "\"%.120s\" is no address: %.80s", host->opts.http,
                      gai_strerror(rc));
    rc = uv_tcp_bind(&host->listener, found->ai_addr, 0);
    freeaddrinfo(found);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&host->listener, 1024, on_connection);
    if (rc < 0)
        return refuse(err, JB_ESYS, -rc, "cannot listen on %.120s: %.80s", host->opts.http,
                      uv_strerror(rc));
    host->is_listening = true;
    write_address(host);
    return 0;
}
