/* Laws of a WebSocket's key. */
#include "hsuite.h"

#include "host/ws/handshake.h"

START_TEST(test_the_key_of_the_rfc_has_the_accept_of_the_rfc)
{
    char accept[29];

    ck_assert(jbi_ws_accept("dGhlIHNhbXBsZSBub25jZQ==", 24, accept));
    ck_assert_str_eq(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}
END_TEST

START_TEST(test_a_key_is_sixteen_bytes_in_base64)
{
    char accept[29];

    ck_assert(!jbi_ws_accept("", 0, accept));
    ck_assert(!jbi_ws_accept("dGhlIHNhbXBsZSBub25jZQ==", 23, accept));
    ck_assert(!jbi_ws_accept("dGhlIHNhbXBsZSBub25jZQAA", 24, accept));
    ck_assert(!jbi_ws_accept("dGhlIHNhbXBsZSBub25jZ===", 24, accept));
    ck_assert(!jbi_ws_accept("dGhlIHNhb!BsZSBub25jZQ==", 24, accept));
}
END_TEST

HSUITE_MAIN("handshake", test_the_key_of_the_rfc_has_the_accept_of_the_rfc,
            test_a_key_is_sixteen_bytes_in_base64)
