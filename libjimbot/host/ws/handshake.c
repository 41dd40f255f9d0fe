/*
 * handshake: see handshake.h.
 */
#include "host/ws/handshake.h"

#include "host/service/service.h"
#include "host/service/session.h"
#include "host/text/hmem.h"
#include "host/ws/ws.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>

static const char *const protocols[] = {"jimbot.v1.proto", "jimbot.v1.json"}; /* by form */

bool jbi_ws_accept(const char *key, size_t n, char to[29])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char text[24 + sizeof(guid)];
    unsigned char digest[SHA_DIGEST_LENGTH];
    unsigned char nonce[18];

    if (n != 24 || key[22] != '=' || key[23] != '=' || memchr(key, '=', 22) ||
        EVP_DecodeBlock(nonce, (const unsigned char *)key, 24) != 18)
        return false;
    memcpy(text, key, 24);
    memcpy(text + 24, guid, sizeof(guid) - 1);
    SHA1(text, 24 + sizeof(guid) - 1, digest);
    EVP_EncodeBlock((unsigned char *)to, digest, sizeof(digest));
    return true;
}

static bool came_twice(const jbi_fields *f, enum jbi_field field)
{
    return f->repeated & 1u << field;
}

/* What the client must have said. Returns NULL, or what is wrong. */
static const char *check(const jbi_call *call, char accept[29])
{
    const jbi_fields *f = call->fields;
    const char *key;
    size_t n = 0;

    if (!call->can_switch)
        return "a WebSocket begins with HTTP/1.1";
    if (!jbi_fields_has_word(f, JBI_FIELD_CONNECTION, "upgrade"))
        return "Connection has the word Upgrade in a WebSocket's handshake";
    key = jbi_fields_get(f, JBI_FIELD_SEC_WEBSOCKET_KEY, &n);
    if (!key || came_twice(f, JBI_FIELD_SEC_WEBSOCKET_KEY) || !jbi_ws_accept(key, n, accept))
        return "Sec-WebSocket-Key is 16 bytes in base64, once";
    if (call->body_bytes)
        return "a WebSocket's handshake has no body";
    return NULL;
}

/* The form the client likes best of those it offers, or JSON when it offers none; -1: none of
 * ours. */
static int choose(const jbi_fields *f, bool *ret_is_offered)
{
    size_t n;
    const char *at = jbi_fields_get(f, JBI_FIELD_SEC_WEBSOCKET_PROTOCOL, &n);
    const char *end = at ? at + n : NULL;

    *ret_is_offered = at != NULL;
    if (!at)
        return JBI_SESSION_JSON;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        jbi_slice word = {at, (size_t)((comma ? comma : end) - at)};

        for (; word.len && (*word.data == ' ' || *word.data == '\t'); word.data++)
            word.len--;
        while (word.len && (word.data[word.len - 1] == ' ' || word.data[word.len - 1] == '\t'))
            word.len--;
        for (int form = 0; form < 2; form++) {
            if (jbi_slice_is(word, protocols[form]))
                return form;
        }
        at = comma ? comma + 1 : end;
    }
    return -1;
}

static void refuse_version(jbi_answer *answer)
{
    jbi_answer_error(answer, 426, "here is a WebSocket, version 13: come with Upgrade: websocket");
    answer->fields = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
}

void jbi_ws_handshake(jbi_service *s, const jbi_call *call, jbi_answer *answer)
{
    char accept[29];
    const char *problem;
    jbi_ws_arg *arg;
    bool is_offered;
    int form;

    if (!jbi_fields_has_word(call->fields, JBI_FIELD_UPGRADE, "websocket") ||
        !jbi_fields_is(call->fields, JBI_FIELD_SEC_WEBSOCKET_VERSION, "13")) {
        refuse_version(answer);
        return;
    }
    if (jbi_gate_known(call->host, call->who) != JBI_GATE_OPEN) {
        jbi_gate_refuse(call->host, JBI_GATE_UNKNOWN, call->who, answer);
        return;
    }
    problem = check(call, accept);
    form = choose(call->fields, &is_offered);
    if (!problem && form < 0)
        problem = "the subprotocols here are jimbot.v1.json and jimbot.v1.proto";
    if (problem) {
        jbi_answer_error(answer, 400, problem);
        return;
    }
    arg = s->is_draining ? NULL : jbi_hmem_zalloc(s->alloc, sizeof(*arg));
    if (!arg) {
        jbi_answer_error(answer, 503, "not now");
        answer->retry_after_s = 1;
        return;
    }
    arg->form = (uint32_t)form;
    arg->who = *call->who;
    snprintf(arg->fields, sizeof(arg->fields),
             "Upgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n%s%s%s", accept,
             is_offered ? "Sec-WebSocket-Protocol: " : "", is_offered ? protocols[form] : "",
             is_offered ? "\r\n" : "");
    answer->status = 101;
    answer->fields = arg->fields;
    answer->next = &jbi_ws;
    answer->next_arg = arg;
}
