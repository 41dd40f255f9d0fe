/*
 * handshake: from a GET to a WebSocket.
 *
 * Invariant: the connection changes hands only after everything RFC 6455 asks of a client's
 * handshake was found in order; everything else is an answer of HTTP.
 */
#ifndef JBI_HOST_HANDSHAKE_H
#define JBI_HOST_HANDSHAKE_H

#include "host/access/gate.h"
#include "host/http/router.h"

enum { JBI_WS_FIELDS_BYTES = 192 };

/* What the socket begins with; owned by it. */
typedef struct jbi_ws_arg {
    uint32_t form; /* enum jbi_session_form */
    jbi_who who;
    char fields[JBI_WS_FIELDS_BYTES]; /* of the answer */
} jbi_ws_arg;

/* Handler of GET /api/v1/ws. */
void jbi_ws_handshake(struct jbi_service *s, const jbi_call *call, jbi_answer *answer);

/* Sec-WebSocket-Accept of a key: 28 characters and NUL. False when the key is not 16 bytes in
 * base64. */
bool jbi_ws_accept(const char *key, size_t n, char to[29]);

#endif
