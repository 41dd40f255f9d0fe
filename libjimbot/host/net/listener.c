/*
 * listener: see listener.h. Names are looked up once, when the host is made.
 */
#include "host/net/listener.h"

#include "host/host.h"
#include "host/net/address.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

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
    jbi_listener *l = stream->data;
    jbi_service *s = &l->host->service;

    if (status < 0)
        jbi_service_log(s, JB_LOG_WARN, "cannot accept: %s", uv_strerror(status));
    else
        jbi_listener_retry(l);
}

/* libuv accepts nothing more until this one is taken, so the next sweep tries again. */
void jbi_listener_retry(jbi_listener *l)
{
    bool was_owed = l->is_accept_owed;

    if (!l->is_open)
        return;
    l->is_accept_owed = !jbi_conn_accept(l);
    if (!l->is_accept_owed)
        return;
    if (!was_owed)
        jbi_service_log(&l->host->service, JB_LOG_ERROR,
                        "no memory for a connection, it has to wait");
    jbi_host_sweep_at(l->host, 0);
}

static void write_address(jbi_listener *l)
{
    struct sockaddr_storage at;
    int n = sizeof(at);
    char text[JBI_ADDRESS_BYTES];

    if (uv_tcp_getsockname(&l->io.tcp, (struct sockaddr *)&at, &n) < 0)
        return;
    jbi_address_write(&at, text);
    snprintf(l->address, sizeof(l->address), "%s", text);
}

/* Count the handle as open once it is initialised. */
static void begin(jbi_listener *l, jb_host *host)
{
    l->host = host;
    l->io.handle.data = l;
    l->is_open = true;
    host->n_handles++;
}

static bool is_loopback(const struct sockaddr *at)
{
    if (at->sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)at)->sin6_addr);
    return ntohl(((const struct sockaddr_in *)at)->sin_addr.s_addr) >> 24 == 127;
}

/* Others may reach it only if that is meant, and they can be told apart. */
static int permit(jb_host *host, const struct sockaddr *at, const char *address, jb_error *err)
{
    const jb_host_opts *o = &host->opts;

    if (is_loopback(at))
        return 0;
    if (!o->listen_public)
        return refuse(err, JB_EINVAL, 0,
                      "\"%.120s\" can be reached by others: say listen_public if that is meant%s",
                      address, "");
    if (!*o->tokens && !*o->tls_client_ca)
        return refuse(err, JB_EINVAL, 0,
                      "\"%.120s\" can be reached by others: it needs tokens or tls_client_ca%s",
                      address, "");
    if (!host->tls)
        jbi_service_log(&host->service, JB_LOG_WARN,
                        "%s can be reached by others and has no TLS: tokens travel in the clear",
                        address);
    return 0;
}

/* The number in "fd:N", -1 when it is none. */
static int fd_of(const char *address)
{
    char *end;
    long fd = strncmp(address, "fd:", 3) ? -1 : strtol(address + 3, &end, 10);

    return fd >= 0 && fd < INT_MAX && end > address + 3 && !*end ? (int)fd : -1;
}

/* Take a socket that whoever started us has bound. */
static int open_fd(jbi_listener *l, jb_host *host, int fd, const char *address, jb_error *err)
{
    struct sockaddr_storage at;
    socklen_t n = sizeof(at);
    int rc = getsockname(fd, (struct sockaddr *)&at, &n) < 0 ? -errno : 0;

    if (rc == 0 && (at.ss_family == AF_UNIX) != l->is_unix)
        return refuse(err, JB_EINVAL, 0, "%s is a socket of another kind%s", address, "");
    if (rc == 0 && !l->is_unix && permit(host, (struct sockaddr *)&at, address, err) < 0)
        return JB_EINVAL;
    if (rc == 0)
        rc = l->is_unix ? uv_pipe_init(host->loop, &l->io.pipe, 0)
                        : uv_tcp_init(host->loop, &l->io.tcp);
    if (rc == 0) {
        begin(l, host);
        rc = l->is_unix ? uv_pipe_open(&l->io.pipe, fd) : uv_tcp_open(&l->io.tcp, fd);
    }
    if (rc == 0)
        rc = uv_listen(&l->io.stream, 1024, on_connection);
    if (rc < 0)
        return refuse(err, JB_ESYS, -rc, "cannot listen on %.120s: %.80s", address,
                      uv_strerror(rc));
    if (l->is_unix)
        snprintf(l->address, sizeof(l->address), "unix:%s", address);
    else
        write_address(l);
    return 0;
}

int jbi_listener_open(jbi_listener *l, jb_host *host, const char *address, jb_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    char name[256];
    char port[8];
    int rc;

    if (fd_of(address) >= 0)
        return open_fd(l, host, fd_of(address), address, err);
    if (!split_address(address, name, port))
        return refuse(err, JB_EINVAL, 0, "\"%.120s\" is not an address like 127.0.0.1:8080%s",
                      address, "");
    rc = getaddrinfo(name, port, &hints, &found);
    if (rc != 0)
        return refuse(err, JB_EINVAL, 0, "\"%.120s\" is no address: %.80s", address,
                      gai_strerror(rc));
    rc = permit(host, found->ai_addr, address, err);
    if (rc < 0) {
        freeaddrinfo(found);
        return rc;
    }
    rc = uv_tcp_init(host->loop, &l->io.tcp);
    if (rc == 0) {
        begin(l, host);
        rc = uv_tcp_bind(&l->io.tcp, found->ai_addr, 0);
    }
    freeaddrinfo(found);
    if (rc == 0)
        rc = uv_listen(&l->io.stream, 1024, on_connection);
    if (rc < 0)
        return refuse(err, JB_ESYS, -rc, "cannot listen on %.120s: %.80s", address,
                      uv_strerror(rc));
    write_address(l);
    return 0;
}

/* Remove a socket that a process left behind: one that refuses connections; one that lets them
 * wait is in use. A file that is no socket refuses them as well, and stays. */
static void remove_stale(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct stat st;
    int fd;

    if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    strcpy(at.sun_path, path);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0 && errno == ECONNREFUSED)
        unlink(path);
    if (fd >= 0)
        close(fd);
}

int jbi_listener_open_unix(jbi_listener *l, jb_host *host, const char *path, jb_error *err)
{
    int rc;

    l->is_unix = true;
    if (fd_of(path) >= 0)
        return open_fd(l, host, fd_of(path), path, err);
    if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return refuse(err, JB_EINVAL, 0, "\"%.120s\" is too long for a Unix socket%s", path, "");
    remove_stale(path);
    rc = uv_pipe_init(host->loop, &l->io.pipe, 0);
    if (rc == 0) {
        begin(l, host);
        rc = uv_pipe_bind(&l->io.pipe, path);
    }
    /* Before listen(), so that nobody gets in while it is open to others. */
    if (rc == 0 && chmod(path, 0600) < 0)
        rc = -errno;
    if (rc == 0)
        rc = uv_listen(&l->io.stream, 1024, on_connection);
    if (rc < 0)
        return refuse(err, JB_ESYS, -rc, "cannot listen on %.120s: %.80s", path, uv_strerror(rc));
    snprintf(l->address, sizeof(l->address), "unix:%s", path);
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    jbi_host_handle_closed(((jbi_listener *)handle->data)->host);
}

void jbi_listener_close(jbi_listener *l)
{
    if (!l->is_open)
        return;
    l->is_open = false;
    uv_close(&l->io.handle, on_closed);
}
