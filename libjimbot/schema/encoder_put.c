/*
 * encoder_put.c: a key and its value in one call.
 *
 * Why: a binding pays for crossing its own border per call (LuaJIT without its compiler: about
 * 100 ns), and most members of an event are a key and a scalar. Invariant: the result is that of
 * the two calls it stands for; a failure of the key sticks in the encoder.
 */
#include "jimbot/schema.h"

int jb_encoder_put_string(jb_encoder *encoder, const char *key, size_t key_bytes, const char *value,
                          size_t value_bytes)
{
    int rc = jb_encoder_key(encoder, key, key_bytes);

    return rc < 0 ? rc : jb_encoder_string(encoder, value, value_bytes);
}

int jb_encoder_put_double(jb_encoder *encoder, const char *key, size_t key_bytes, double value)
{
    int rc = jb_encoder_key(encoder, key, key_bytes);

    return rc < 0 ? rc : jb_encoder_double(encoder, value);
}
