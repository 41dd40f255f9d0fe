/*
 * url: see url.h. Small and strict: no user, no fragment, no escapes in the host.
 */
#include "client/url.h"

#include "base/error.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

/* What the name of a socket has room for; libuv would cut off the rest. */
enum { UNIX_PATH_BYTES = sizeof(((struct sockaddr_un *)0)->sun_path) };

static const struct scheme {
    const char *prefix;
    const char *port;
    uint32_t scheme;
    bool is_tls;
} schemes[] = {
    {"ws://", "80", JBI_URL_WS, false},        {"wss://", "443", JBI_URL_WS, true},
    {"http://", "80", JBI_URL_HTTP, false},    {"https://", "443", JBI_URL_HTTP, true},
    {"grpc://", "50051", JBI_URL_GRPC, false}, {"grpcs://", "443", JBI_URL_GRPC, true},
    {"unix:", "", JBI_URL_UNIX, false},        {"shm://", "", JBI_URL_SHM, false},
};

static bool copy(char *to, size_t cap, const char *from, size_t n)
{
    if (n == 0 || n >= cap)
        return false;
    memcpy(to, from, n);
    to[n] = '\0';
    return true;
}

static bool is_printable(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text <= 0x20 || *text == 0x7f)
            return false;
    }
    return true;
}

static bool is_port(const char *text, size_t n)
{
    long value = 0;

    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (text[i] - '0');
    }
    return n > 0 && n < 6 && value > 0 && value < 65536;
}

/* host, [address], with or without a port, up to `end`. */
static bool read_place(const char *at, const char *end, jbi_url *url)
{
    const char *host = at, *stop, *colon;
    unsigned char bytes[16];

    if (*at == '[') {
        host = at + 1;
        stop = memchr(host, ']', (size_t)(end - host));
        colon = stop ? stop + 1 : NULL;
        if (!stop || (colon < end && *colon != ':'))
            return false;
    } else {
        stop = colon = memchr(at, ':', (size_t)(end - at));
        if (!stop)
            stop = colon = end;
    }
    if (!copy(url->host, sizeof(url->host), host, (size_t)(stop - host)) ||
        strpbrk(url->host, "@\\?#/%"))
        return false;
    if (*at == '[' && inet_pton(AF_INET6, url->host, bytes) != 1)
        return false;
    url->is_numeric = *at == '[' || inet_pton(AF_INET, url->host, bytes) == 1;
    if (colon == end)
        return true;
    return is_port(colon + 1, (size_t)(end - colon - 1)) &&
           copy(url->port, sizeof(url->port), colon + 1, (size_t)(end - colon - 1));
}

int jbi_url_parse(const char *text, jbi_url *ret, jb_error *err)
{
    const struct scheme *s = NULL;
    jbi_url url = {.path = "/api/v1/ws"};
    const char *at, *end, *slash;

    for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes) && !s; i++) {
        if (strncmp(text, schemes[i].prefix, strlen(schemes[i].prefix)) == 0)
            s = &schemes[i];
    }
    if (!s)
        return jbi_error_set(err, JB_EINVAL,
                             "an address begins with ws:// wss:// grpc:// grpcs:// http:// "
                             "https:// unix: or shm://");
    at = text + strlen(s->prefix);
    end = at + strlen(at);
    url.scheme = s->scheme;
    url.is_tls = s->is_tls;
    strcpy(url.port, s->port);
    if (s->scheme == JBI_URL_UNIX || s->scheme == JBI_URL_SHM) {
        size_t cap = s->scheme == JBI_URL_UNIX ? UNIX_PATH_BYTES : sizeof(url.host);

        if (!copy(url.host, cap, at, (size_t)(end - at)))
            return jbi_error_set(err, JB_EINVAL,
                                 "the address has no name, or one that is too long");
        *ret = url;
        return 0;
    }
    slash = strchr(at, '/');
    if (!is_printable(at) || !read_place(at, slash ? slash : end, &url))
        return jbi_error_set(err, JB_EINVAL, "the address is not SCHEME://HOST[:PORT][/PATH]");
    if (slash && slash[1] && !copy(url.path, sizeof(url.path), slash, (size_t)(end - slash)))
        return jbi_error_set(err, JB_EINVAL, "the path of the address is too long");
    *ret = url;
    return 0;
}
