/* Laws of the route table. */
#include "hsuite.h"

#include "host/router.h"

#include <llhttp.h>

static jbi_htext text;
static jbi_answer answer;

static const jbi_route *find(unsigned method, const char *path)
{
    jbi_htext_init(&text, &jbi_hmem_libc);
    jbi_answer_init(&answer, &text);
    return jbi_router_find(method, path, strlen(path), &answer);
}

START_TEST(test_every_entry_with_a_handler_is_found)
{
    const jbi_route *route;

    for (uint32_t i = 0; (route = jbi_router_at(i)); i++) {
        unsigned method = !strcmp(route->method, "GET")    ? HTTP_GET
                          : !strcmp(route->method, "POST") ? HTTP_POST
                                                           : HTTP_HEAD;
        if (!route->handler)
            continue;
        ck_assert_ptr_eq(find(method, route->path), route);
        ck_assert_str_eq(answer.allow, "");
        jbi_htext_fini(&text);
    }
}
END_TEST

START_TEST(test_an_unknown_path_is_404)
{
    ck_assert_ptr_null(find(HTTP_GET, "/nothing"));
    ck_assert_uint_eq(answer.status, 404);
    ck_assert_str_eq(answer.allow, "");
    jbi_htext_fini(&text);
}
END_TEST

START_TEST(test_a_prefix_or_longer_path_is_404)
{
    find(HTTP_GET, "/healt");
    ck_assert_uint_eq(answer.status, 404);
    jbi_htext_fini(&text);
    find(HTTP_GET, "/health/");
    ck_assert_uint_eq(answer.status, 404);
    jbi_htext_fini(&text);
}
END_TEST

START_TEST(test_a_wrong_method_is_405_and_says_which)
{
    ck_assert_ptr_null(find(HTTP_DELETE, "/health"));
    ck_assert_uint_eq(answer.status, 405);
    ck_assert_str_eq(answer.allow, "GET, HEAD, OPTIONS");
    jbi_htext_fini(&text);
    ck_assert_ptr_null(find(HTTP_GET, "/api/v1/events"));
    ck_assert_uint_eq(answer.status, 405);
    ck_assert_str_eq(answer.allow, "POST, OPTIONS");
    jbi_htext_fini(&text);
}
END_TEST

START_TEST(test_options_is_204_with_allow)
{
    ck_assert_ptr_null(find(HTTP_OPTIONS, "/metrics"));
    ck_assert_uint_eq(answer.status, 204);
    ck_assert_str_eq(answer.allow, "GET, HEAD, OPTIONS");
    jbi_htext_fini(&text);
    find(HTTP_OPTIONS, "/nothing");
    ck_assert_uint_eq(answer.status, 404);
    jbi_htext_fini(&text);
}
END_TEST

START_TEST(test_a_method_number_out_of_range_is_405)
{
    ck_assert_ptr_null(find(10000, "/health"));
    ck_assert_uint_eq(answer.status, 405);
    jbi_htext_fini(&text);
}
END_TEST

HSUITE_MAIN("router", test_every_entry_with_a_handler_is_found, test_an_unknown_path_is_404,
            test_a_prefix_or_longer_path_is_404, test_a_wrong_method_is_405_and_says_which,
            test_options_is_204_with_allow, test_a_method_number_out_of_range_is_405)
