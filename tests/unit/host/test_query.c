/* Laws of the parameters behind the `?`. */
#include "hsuite.h"

#include "host/http/query.h"

#include <stdio.h>

/* All of a query as "name=value;" each, and how it ended. */
static int walk(const char *text, char to[256])
{
    size_t n = strlen(text);
    char *exact = malloc(n + 1);
    char *room = malloc(n + 1);
    jbi_slice name, value;
    jbi_query q;
    int rc;

    memcpy(exact, text, n);
    to[0] = '\0';
    jbi_query_begin(&q, exact, n, room);
    while ((rc = jbi_query_next(&q, &name, &value)) > 0)
        sprintf(to + strlen(to), "%.*s=%.*s;", (int)name.len, name.data, (int)value.len,
                value.data);
    free(exact);
    free(room);
    return rc;
}

START_TEST(test_names_and_values_come_in_their_order)
{
    char got[256];

    ck_assert_int_eq(walk("topic=a&topic=b&types=X,Y", got), 0);
    ck_assert_str_eq(got, "topic=a;topic=b;types=X,Y;");
    ck_assert_int_eq(walk("", got), 0);
    ck_assert_str_eq(got, "");
    ck_assert_int_eq(walk("&&a&&=&b=&=c&", got), 0);
    ck_assert_str_eq(got, "a=;=;b=;=c;");
    ck_assert_int_eq(walk("a=b=c", got), 0);
    ck_assert_str_eq(got, "a=b=c;");
}
END_TEST

START_TEST(test_each_is_decoded_once)
{
    char got[256];

    ck_assert_int_eq(walk("%74opic=game.%3E+%2b&x=%2526%3d%26", got), 0);
    ck_assert_str_eq(got, "topic=game.> +;x=%26=&;");
}
END_TEST

START_TEST(test_half_a_percent_sign_is_refused)
{
    char got[256];
    const char *const wrong[] = {"%", "%4", "a=%", "a=%4", "a=%zz", "a=%4g", "%%%", "a=1&b=%"};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        ck_assert_int_eq(walk(wrong[i], got), -1);
}
END_TEST

HSUITE_MAIN("query", test_names_and_values_come_in_their_order, test_each_is_decoded_once,
            test_half_a_percent_sign_is_refused)
