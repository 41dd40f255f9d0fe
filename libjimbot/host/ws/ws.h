/*
 * ws: WebSocket (RFC 6455), by wslay: a session, one request or response in each message.
 *
 * jimbot.v1.json has text messages, jimbot.v1.proto binary ones.
 *
 * Invariant: a message that is being received is bounded by max_body_bytes and counts towards
 * max_buffered_bytes; a client that does not read is not read from and gets no more deliveries; one
 * that is silent is asked by a ping, and closed when it does not answer.
 */
#ifndef JBI_HOST_WS_H
#define JBI_HOST_WS_H

#include "host/net/conn.h"

extern const jbi_protocol jbi_ws;

#endif
