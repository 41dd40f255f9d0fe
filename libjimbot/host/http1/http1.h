/*
 * http1: requests and answers in turn on a connection, as HTTP/1.1 has them.
 *
 * Invariant: answers leave in the order of their requests, also when many came in one read.
 */
#ifndef JBI_HOST_HTTP1_H
#define JBI_HOST_HTTP1_H

#include "host/net/conn.h"

extern const jbi_protocol jbi_http1;

#endif
