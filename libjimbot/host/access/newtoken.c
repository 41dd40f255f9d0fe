/*
 * newtoken: tokens for those who are to be let in.
 *
 * Invariant: a token is 256 bits from the system's generator, so its hash in the file tells nothing
 * about it.
 */
#include "host/access/tokens.h"
#include "jimbot/host.h"

#include <openssl/rand.h>
#include <stdio.h>

enum { RANDOM_BYTES = 32 };

static int refuse(jb_error *err, int code, const char *why)
{
    if (err) {
        jb_error_init(err);
        err->code = code;
        snprintf(err->msg, sizeof(err->msg), "%s", why);
    }
    return code;
}

/* base64url without padding, which needs no escapes in a header, a URL or a subprotocol. */
static void write_text(const uint8_t bytes[RANDOM_BYTES], char to[JBI_TOKEN_TEXT_BYTES])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    int n_bits = 0;

    to += sprintf(to, "jb_");
    for (int i = 0; i < RANDOM_BYTES; i++) {
        bits = bits << 8 | bytes[i];
        for (n_bits += 8; n_bits >= 6; n_bits -= 6)
            *to++ = digits[bits >> (n_bits - 6) & 63];
    }
    *to++ = digits[bits << (6 - n_bits) & 63];
    *to = '\0';
}

int jb_host_make_token(const char *name, const char *scopes, char ret_token[48], char ret_line[256],
                       jb_error *err)
{
    uint8_t bytes[RANDOM_BYTES];
    uint8_t hash[JBI_TOKEN_HASH_BYTES];
    uint32_t bits;
    int n = 0;

    if (!name || !scopes || !ret_token || !ret_line)
        return refuse(err, JB_EINVAL, "an argument is NULL");
    if (!jbi_tokens_is_name(jbi_slice_str(name)))
        return refuse(err, JB_EINVAL, "the name is to be 1 to 63 ASCII characters, no blanks");
    if (strlen(scopes) > 64 || !jbi_tokens_scopes(jbi_slice_str(scopes), &bits))
        return refuse(
            err, JB_EINVAL,
            "scopes are publish, subscribe, command, admin and resource, with commas between");
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return refuse(err, JB_ESYS, "the system has no random bytes");
    write_text(bytes, ret_token);
    if (!jbi_tokens_hash(jbi_slice_str(ret_token), hash))
        return refuse(err, JB_ENOMEM, jb_strerror(JB_ENOMEM));
    for (int i = 0; i < JBI_TOKEN_HASH_BYTES; i++)
        n += sprintf(ret_line + n, "%02x", hash[i]);
    snprintf(ret_line + n, 256 - (size_t)n, " %s %s", scopes, name);
    return 0;
}
