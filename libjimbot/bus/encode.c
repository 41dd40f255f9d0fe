/*
 * encode.c: publishing JSON text.
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
