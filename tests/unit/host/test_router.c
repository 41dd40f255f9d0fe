/* Laws of the route table. */
#include "hsuite.h"

#include "host/http/router.h"

static jbi_htext text;
static jbi_answer answer;

static const jbi_route *find(const char *method, const char *path)
{
    jbi_call call = {.path = path, .path_bytes = strlen(path)};

    jbi_htext_init(&text, &jbi_hmem_libc);
    jbi_answer_init(&answer, &text);
    return jbi_router_find(method, &call, &answer);
}

START_TEST(test_every_entry_with_a_handler_is_found)
{
    const jbi_route *route;

    for (uint32_t i = 0; (route = jbi_router_at(i)); i++) {
        if (!route->handler)
            continue;
        ck_assert_ptr_eq(find(route->method, route->path), route);
        ck_assert_str_eq(answer.allow, "");
        jbi_htext_fini(&text);
    }
}
END_TEST

START_TEST(test_an_unknown_path_is_404)
{
    ck_assert_ptr_null(find("GET", "/nothing"));
    ck_assert_uint_eq(answer.status, 404);
    ck_assert_str_eq(answer.allow, "");
    jbi_htext_fini(&text);
}
END_TEST

START_TEST(test_a_prefix_or_longer_path_is_404)
{
    find("GET", "/healt");
    ck_assert_uint_eq(answer.status, 404);
    jbi_htext_fini(&text);
    find("GET", "/health/");
    ck_assert_uint_eq(answer.status, 404);
    jbi_htext_fini(&text);
}
END_TEST

START_TEST(test_a_wrong_method_is_405_and_says_which)
{
    ck_assert_ptr_null(find("DELETE", "/health"));
    ck_assert_uint_eq(answer.status, 405);
    ck_assert_str_eq(answer.allow, "GET, HEAD, OPTIONS");
    jbi_htext_fini(&text);
    ck_assert_ptr_null(find("GET", "/api/v1/events"));
    ck_assert_uint_eq(answer.status, 405);
    ck_assert_str_eq(answer.allow, "POST, OPTIONS");
    jbi_htext_fini(&text);
}
END_TEST

START_TEST(test_options_is_204_with_allow)
{
    ck_assert_ptr_null(find("OPTIONS", "/metrics"));
    ck_assert_uint_eq(answer.status, 204);
    ck_assert_str_eq(answer.allow, "GET, HEAD, OPTIONS");
    jbi_htext_fini(&text);
    find("OPTIONS", "/nothing");
    ck_assert_uint_eq(answer.status, 404);
    jbi_htext_fini(&text);
}
END_TEST

START_TEST(test_no_method_is_405)
{
    ck_assert_ptr_null(find("", "/health"));
    ck_assert_uint_eq(answer.status, 405);
    jbi_htext_fini(&text);
}
END_TEST

HSUITE_MAIN("router", test_every_entry_with_a_handler_is_found, test_an_unknown_path_is_404,
            test_a_prefix_or_longer_path_is_404, test_a_wrong_method_is_405_and_says_which,
            test_options_is_204_with_allow, test_no_method_is_405)
