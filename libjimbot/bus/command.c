/*
 * command.c: commands to the game, which travel as events.
 *
 * Invariant: a command on the bus is one that jb_command_decode() accepts.
 */
#include "bus/bus_internal.h"

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
