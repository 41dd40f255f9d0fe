/*
 * Bytes that claim to come from a client of a WebSocket: messages of its session, and the frames
 * around them.
 *
 * The first byte says what the rest is: a request in JSON, one in protobuf, or a stream of frames
 * behind a handshake. What must hold: nothing crashes and nothing is leaked; a request has one
 * response or, an ack, none; a response in JSON is JSON in UTF-8, one in protobuf is fields to its
 * last byte; what is sent is whole frames, none behind a close; however the frames that came are
 * cut, they are closed or they are not.
 */
#include "host/access/gate.h"
#include "host/host.h"
#include "host/service/messages.h"
#include "host/service/session.h"
#include "host/text/hmem.h"
#include "host/ws/handshake.h"
#include "host/ws/ws.h"
#include "target.h"

#include <jansson.h>
#include <stdlib.h>

enum { PIECE_BYTES = 3, DELIVERIES_MAX = 64 };

static jb_host *host;

/* One host for all inputs, on a bus that nobody else can attach to. */
static void open_host(void)
{
    jb_bus_opts bus_opts;
    jb_host_opts opts;
    jb_bus *bus;

    jb_bus_opts_init(&bus_opts, sizeof(bus_opts));
    bus_opts.capacity_bytes = 1 << 16;
    require(jb_bus_open(NULL, &bus_opts, &bus, NULL) == 0);
    jb_host_opts_init(&opts, sizeof(opts));
    strcpy(opts.http, "127.0.0.1:0");
    opts.max_body_bytes = 4096;
    opts.max_buffered_bytes = 1 << 20;
    opts.bus = bus;
    require(jb_host_create(&opts, NULL, &host, NULL) == 0);
}

static void check_json(const jbi_htext *out)
{
    json_t *root = json_loadb(out->data, out->len, JSON_REJECT_DUPLICATES, NULL);
    size_t n_members = json_object_size(root);

    require(json_is_object(root));
    require(n_members == 1 || (n_members == 2 && json_object_get(root, "request_id")));
    json_decref(root);
}

static void check_proto(const jbi_htext *out)
{
    jbi_wire in = jbi_wire_of(out->data, out->len);
    uint32_t n_steps = 0;
    jbi_msg_field f;
    int rc;

    while ((rc = jbi_msg_next(&in, &f)) > 0) {
        require(f.number <= 7);
        n_steps += f.number > 1;
    }
    require(rc == 0 && n_steps == 1);
}

static void on_wake(void *userdata)
{
}

static void run_session(uint32_t form, const uint8_t *data, size_t size)
{
    const jbi_who who = {.kind = JBI_WHO_ANYBODY, .scopes = JBI_SCOPE_ALL};
    const jbi_session_opts opts = {
        .form = form, .who = &who, .via = "fuzz", .name = jbi_slice_str("fuzz"), .wake = on_wake};
    char *copy = malloc(size + 1);
    jbi_session *session;
    jbi_htext out;

    require(copy && jbi_session_open(host, &opts, &session) == 0);
    memcpy(copy, data, size);
    jbi_htext_init(&out, &jbi_hmem_libc);
    for (int i = 0; i < 2; i++) {
        out.len = 0;
        if (jbi_session_request(session, (jbi_slice){copy, size}, &out))
            form == JBI_SESSION_JSON ? check_json(&out) : check_proto(&out);
        uv_run(host->loop, UV_RUN_NOWAIT);
        for (int k = 0; k < DELIVERIES_MAX; k++) {
            out.len = 0;
            if (!jbi_session_next(session, &out))
                break;
            form == JBI_SESSION_JSON ? check_json(&out) : check_proto(&out);
        }
    }
    jbi_session_close(session);
    uv_run(host->loop, UV_RUN_NOWAIT);
    jbi_htext_fini(&out);
    free(copy);
}

/* What was sent. */
typedef struct sent {
    bool is_closed;
} sent;

static void note_frame(sent *to, uint8_t opcode, const uint8_t *payload, size_t n)
{
    require(!to->is_closed);
    if (opcode == 1) {
        check_json(&(jbi_htext){.data = (char *)(uintptr_t)payload, .len = n});
        return;
    }
    require((opcode == 8 || opcode == 10) && n <= 125);
    to->is_closed = opcode == 8;
}

/* Read the frames of a server: not fragmented, not masked, and whole. */
static void note_frames(sent *to, const jbi_htext *out)
{
    const uint8_t *at = (const uint8_t *)out->data;
    const uint8_t *end = at + out->len;

    while (at != end) {
        uint8_t opcode = at[0] & 0x0f;
        size_t n;

        require(end - at >= 2 && (at[0] & 0xf0) == 0x80 && at[1] < 127);
        n = at[1];
        at += 2;
        if (n == 126) {
            require(end - at >= 2);
            n = (size_t)at[0] << 8 | at[1];
            at += 2;
        }
        require((size_t)(end - at) >= n);
        note_frame(to, opcode, at, n);
        at += n;
    }
}

/* Frames in pieces, each in a block of its own, as a connection would hand them over; but there is
 * no socket, and the connection is one that has said its last already: what it is given stays. */
static void run_frames(const uint8_t *data, size_t size, size_t n_piece, sent *ret_sent)
{
    jbi_ws_arg *arg = jbi_hmem_zalloc(host->alloc, sizeof(*arg));
    jbi_conn *c = jbi_hmem_zalloc(host->alloc, sizeof(*c));

    require(arg && c);
    arg->form = JBI_SESSION_JSON;
    arg->who = (jbi_who){.kind = JBI_WHO_ANYBODY, .scopes = JBI_SCOPE_ALL};
    c->host = host;
    c->state = JBI_CONN_LINGER;
    c->io.handle.type = UV_NAMED_PIPE;
    jbi_htext_init(&c->out.open, host->alloc);
    require(jbi_ws.open(c, arg) == 0);
    *ret_sent = (sent){.is_closed = false};
    for (size_t at = 0; at < size && !ret_sent->is_closed; at += n_piece) {
        size_t n = size - at < n_piece ? size - at : n_piece;
        char *piece = malloc(n);

        require(piece != NULL);
        memcpy(piece, data + at, n);
        require(jbi_ws.feed(c, piece, n) == n);
        free(piece);
        note_frames(ret_sent, &c->out.open);
        c->out.open.len = 0;
    }
    jbi_ws.close(c);
    jbi_htext_fini(&c->out.open);
    jbi_hmem_free(host->alloc, c, sizeof(*c));
    uv_run(host->loop, UV_RUN_NOWAIT);
}

/* Whether a close may be among frames: then how they are cut matters, because wslay looks at the
 * reason of a close only where it lies in one piece with its code. */
static bool may_have_close(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] == 0x88)
            return true;
    }
    return false;
}

static void run_both_ways(const uint8_t *data, size_t size)
{
    sent whole, cut;

    run_frames(data, size, size ? size : 1, &whole);
    run_frames(data, size, PIECE_BYTES, &cut);
    require(whole.is_closed == cut.is_closed || may_have_close(data, size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!host)
        open_host();
    if (size == 0 || size > JBI_CONN_READ_BYTES)
        return 0;
    if (data[0] == 'j')
        run_session(JBI_SESSION_JSON, data + 1, size - 1);
    else if (data[0] == 'p')
        run_session(JBI_SESSION_PROTO, data + 1, size - 1);
    else if (data[0] == 'w')
        run_both_ways(data + 1, size - 1);
    require(host->service.counters.n_buffered == 0);
    return 0;
}
