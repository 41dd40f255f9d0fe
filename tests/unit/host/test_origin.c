/* Laws of Host and Origin: which names are nobody else's, and which pages may ask. */
#include "hsuite.h"

#include "host/access/origin.h"

static bool is_literal(const char *authority)
{
    return jbi_origin_is_literal(jbi_slice_str(authority));
}

START_TEST(test_addresses_and_localhost_are_nobody_elses_names)
{
    ck_assert(is_literal("localhost"));
    ck_assert(is_literal("LocalHost:8080"));
    ck_assert(is_literal("localhost."));
    ck_assert(is_literal("127.0.0.1"));
    ck_assert(is_literal("192.168.1.7:80"));
    ck_assert(is_literal("[::1]:8080"));
    ck_assert(is_literal("[fe80::1]"));
}
END_TEST

START_TEST(test_names_that_a_page_can_point_anywhere_are_not)
{
    static const char *const names[] = {"",
                                        "evil.example",
                                        "localhost.evil.example",
                                        "127.0.0.1.evil.example",
                                        "127.1",
                                        "0x7f.1",
                                        "::1",
                                        "[evil]",
                                        "[::1",
                                        "localhost ",
                                        "user@localhost",
                                        ":8080"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        ck_assert_msg(!is_literal(names[i]), "%s", names[i]);
}
END_TEST

static bool is_listed(const char *list, const char *word)
{
    return jbi_origin_is_listed(list, jbi_slice_str(word));
}

START_TEST(test_a_list_has_whole_words_in_any_case)
{
    ck_assert(is_listed("a.example, B.example", "b.EXAMPLE"));
    ck_assert(is_listed("*", "anything"));
    ck_assert(!is_listed("", "a"));
    ck_assert(!is_listed("a.example", "a.example.org"));
    ck_assert(!is_listed("a.example", "xa.example"));
    ck_assert(!is_listed("a.example", ""));
}
END_TEST

static bool may_ask(const char *host, const char *origin, const char *site, const char *allowed)
{
    jbi_origin_facts f = {.host = host ? jbi_slice_str(host) : (jbi_slice){NULL, 0},
                          .origin = origin ? jbi_slice_str(origin) : (jbi_slice){NULL, 0},
                          .fetch_site = site ? jbi_slice_str(site) : (jbi_slice){NULL, 0}};

    return jbi_origin_may_ask(&f, allowed);
}

START_TEST(test_a_program_that_names_no_page_may_ask)
{
    ck_assert(may_ask("localhost:8080", NULL, NULL, ""));
    ck_assert(may_ask("localhost:8080", NULL, "none", ""));
    ck_assert(may_ask("localhost:8080", NULL, "same-origin", ""));
}
END_TEST

START_TEST(test_a_page_of_our_own_may_ask_and_no_other)
{
    ck_assert(may_ask("localhost:8080", "http://localhost:8080", "same-origin", ""));
    ck_assert(!may_ask("localhost:8080", "https://localhost:8080", NULL, ""));
    ck_assert(!may_ask("localhost:8080", "http://localhost:8081", "same-site", ""));
    ck_assert(!may_ask("localhost:8080", "http://localhost", NULL, ""));
    ck_assert(!may_ask("localhost:8080", "null", NULL, ""));
    ck_assert(!may_ask("localhost:8080", "", NULL, ""));
    ck_assert(!may_ask(NULL, "http://localhost:8080", NULL, ""));
    ck_assert(!may_ask("localhost:8080", "https://evil.example", NULL, ""));
}
END_TEST

START_TEST(test_a_page_without_an_origin_is_known_by_its_site)
{
    ck_assert(!may_ask("localhost:8080", NULL, "cross-site", ""));
    ck_assert(!may_ask("localhost:8080", NULL, "same-site", ""));
    ck_assert(!may_ask("localhost:8080", NULL, "what", "https://a.example"));
    ck_assert(may_ask("localhost:8080", NULL, "cross-site", "*"));
}
END_TEST

START_TEST(test_a_listed_page_may_ask)
{
    const char *allowed = "https://a.example,http://localhost:3000";

    ck_assert(may_ask("localhost:8080", "https://a.example", "cross-site", allowed));
    ck_assert(may_ask("localhost:8080", "http://localhost:3000", "same-site", allowed));
    ck_assert(!may_ask("localhost:8080", "http://a.example", "cross-site", allowed));
    ck_assert(!may_ask("localhost:8080", "https://a.example:8443", "cross-site", allowed));
}
END_TEST

HSUITE_MAIN("origin", test_addresses_and_localhost_are_nobody_elses_names,
            test_names_that_a_page_can_point_anywhere_are_not,
            test_a_list_has_whole_words_in_any_case, test_a_program_that_names_no_page_may_ask,
            test_a_page_of_our_own_may_ask_and_no_other,
            test_a_page_without_an_origin_is_known_by_its_site, test_a_listed_page_may_ask)
