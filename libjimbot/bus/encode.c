/*
 * encode.c: publishing what is not protobuf yet.
 *
 * Invariant: nothing reaches the ring that the schema has not accepted whole.
 */
#include "bus/bus_internal.h"

int jb_bus_publish_json(jb_bus *bus, jb_encoder *encoder, const char *text, size_t len_bytes,
                        jb_error *err)
{
    jb_encoded encoded;
    int rc = jb_encoder_json(encoder, text, len_bytes, &encoded, err);

    return rc ? rc : jb_bus_publish_encoded(bus, &encoded);
}

int jb_bus_send_command(jb_bus *bus, const jb_command *command)
{
    uint8_t bytes[1024];
    jb_encoded encoded;
    int64_t len = jb_command_encode(command, bytes, sizeof bytes);
    int rc;

    if (len < 0)
        return (int)len;
    rc = jb_event_inspect(bytes, (size_t)len, &encoded, NULL);
    return rc ? rc : jb_bus_publish_encoded(bus, &encoded);
}
