/*
 * Commands: a small event with a fixed shape, so that it can be made and read without an encoder.
 *
 * nanopb does the bytes. Invariant: what jb_command_encode() writes is byte for byte what an
 * encoder makes of the same command, and what jb_command_decode() returns could have been encoded.
 */
#include <pb_decode.h>
#include <pb_encode.h>

#include "jimbot/schema.h"
#include "nano_command.pb.h"
#include "schema/utf8.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(((jbi_NanoCommand *)0)->name) == sizeof(((jb_command *)0)->name), "name");
static_assert(sizeof(((jbi_NanoCommand *)0)->id) == sizeof(((jb_command *)0)->id), "id");
static_assert(sizeof(((jbi_NanoCommand *)0)->params) == sizeof(((jb_command *)0)->params),
              "params");

enum { PARAMS_MAX = 8 };

/* NUL-terminated within its array, and of letters, digits and `_`, at least one. */
static bool name_is_fit(const char *name, size_t cap_bytes)
{
    size_t n = strnlen(name, cap_bytes);

    for (size_t i = 0; i < n; i++) {
        char c = name[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_'))
            return false;
    }
    return n > 0 && n < cap_bytes;
}

/* NUL-terminated, valid UTF-8, no control bytes, none of the forbidden characters. */
static bool text_is_fit(const char *text, size_t cap_bytes, const char *forbidden)
{
    size_t n = strnlen(text, cap_bytes);

    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f || strchr(forbidden, text[i]) != NULL)
            return false;
    }
    return n < cap_bytes && jbi_utf8_valid(text, n);
}

static bool command_is_fit(const jb_command *c)
{
    if (c->n_params > PARAMS_MAX || !name_is_fit(c->name, sizeof c->name) ||
        !text_is_fit(c->id, sizeof c->id, ""))
        return false;
    for (uint32_t i = 0; i < c->n_params; i++) {
        if (!text_is_fit(c->params[i], sizeof c->params[i], ",:"))
            return false;
    }
    return true;
}

int64_t jb_command_encode(const jb_command *command, uint8_t *buf, size_t cap_bytes)
{
    jbi_NanoCommandEvent event = jbi_NanoCommandEvent_init_zero;
    pb_ostream_t out;

    if (command == NULL || (buf == NULL && cap_bytes != 0) || !command_is_fit(command))
        return JB_EINVAL;
    event.has_type = event.has_command = event.command.has_name = true;
    event.type = JB_EVENT_COMMAND;
    memcpy(event.command.name, command->name, sizeof command->name);
    event.command.has_id = command->id[0] != '\0';
    memcpy(event.command.id, command->id, sizeof command->id);
    event.command.params_count = (pb_size_t)command->n_params;
    memcpy(event.command.params, command->params, sizeof command->params);
    out = pb_ostream_from_buffer(buf, cap_bytes);
    if (!pb_encode(&out, jbi_NanoCommandEvent_fields, &event))
        return JB_ENOBUFS;
    return (int64_t)out.bytes_written;
}

int jb_command_decode(const void *data, size_t len_bytes, jb_command *ret_command)
{
    jbi_NanoCommandEvent event = jbi_NanoCommandEvent_init_zero;
    jb_encoded head;
    jb_command made;
    pb_istream_t in;
    int rc;

    if (ret_command == NULL)
        return JB_EINVAL;
    rc = jb_event_inspect(data, len_bytes, &head, NULL);
    if (rc < 0)
        return rc == JB_EEVENT ? rc : JB_EPROTO;
    if (head.type != JB_EVENT_COMMAND)
        return JB_EEVENT;
    /* The bytes are sound, so what nanopb refuses are texts or lists that do not fit. */
    in = pb_istream_from_buffer(data, len_bytes);
    if (!pb_decode(&in, jbi_NanoCommandEvent_fields, &event) || !event.has_command)
        return JB_EEVENT;
    memset(&made, 0, sizeof made);
    memcpy(made.name, event.command.name, sizeof made.name);
    memcpy(made.id, event.command.id, sizeof made.id);
    made.n_params = event.command.params_count;
    memcpy(made.params, event.command.params, sizeof made.params);
    if (!command_is_fit(&made))
        return JB_EEVENT;
    *ret_command = made;
    return 0;
}
