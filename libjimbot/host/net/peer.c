/*
 * peer: see peer.h.
 */
#include "host/net/peer.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void jbi_peer_of_tcp(jbi_peer *p, const uv_tcp_t *tcp)
{
    struct sockaddr_storage from;
    int n = sizeof(from);

    memset(p, 0, sizeof(*p));
    if (uv_tcp_getpeername(tcp, (struct sockaddr *)&from, &n) < 0)
        return;
    if (from.ss_family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)&from)->sin6_addr;

        memcpy(p->address, v6, IN6_IS_ADDR_V4MAPPED(v6) ? 16 : 8);
    } else {
        p->address[10] = p->address[11] = 0xff;
        memcpy(p->address + 12, &((const struct sockaddr_in *)&from)->sin_addr, 4);
    }
}

void jbi_peer_of_unix(jbi_peer *p, const uv_pipe_t *pipe)
{
    struct ucred who;
    socklen_t n = sizeof(who);
    uv_os_fd_t fd;

    memset(p, 0, sizeof(*p));
    if (uv_fileno((const uv_handle_t *)pipe, &fd) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0)
        return;
    p->address[0] = 1; /* no address of the network begins so */
    memcpy(p->address + 12, &who.uid, sizeof(who.uid));
    p->is_local = who.uid == geteuid() || who.uid == 0;
}
