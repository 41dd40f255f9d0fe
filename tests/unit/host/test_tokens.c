/* Laws of the token file: what a line means, and that a file with one wrong line is no table. */
#include "hsuite.h"

#include "host/access/tokens.h"
#include "host/http/scope.h"
#include "jimbot/host.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* printf %s secret | sha256sum */
#define SECRET_HASH "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"

static jbi_tokens tokens;
static jb_error err;

static int parse(const char *text)
{
    return jbi_tokens_parse(&tokens, text, strlen(text), &jbi_hmem_libc, &err);
}

static void assert_refused(const char *text, const char *why)
{
    ck_assert_int_eq(parse(text), JB_EPARSE);
    ck_assert_msg(strstr(err.msg, why) != NULL, "\"%s\" of \"%s\"", err.msg, text);
    ck_assert_uint_eq(tokens.n, 0);
    ck_assert_ptr_null(tokens.items);
}

static const jbi_token *find(const char *token)
{
    uint8_t hash[JBI_TOKEN_HASH_BYTES];

    ck_assert(jbi_tokens_hash(jbi_slice_str(token), hash));
    return jbi_tokens_find(&tokens, hash);
}

START_TEST(test_a_token_is_found_by_its_hash_alone)
{
    ck_assert_int_eq(parse("# who\n\n" SECRET_HASH " publish,command mod\r\n"), 0);
    ck_assert_uint_eq(tokens.n, 1);
    ck_assert_str_eq(find("secret")->name, "mod");
    ck_assert_uint_eq(find("secret")->scopes, JBI_SCOPE_PUBLISH | JBI_SCOPE_COMMAND);
    ck_assert_ptr_null(find("secret "));
    ck_assert_ptr_null(find(""));
    ck_assert_ptr_null(find(SECRET_HASH));
    jbi_tokens_fini(&tokens);
}
END_TEST

START_TEST(test_a_certificate_is_found_by_its_name_and_no_token_is_one)
{
    uint8_t zeros[JBI_TOKEN_HASH_BYTES] = {0};

    ck_assert_int_eq(parse("cn:trainer subscribe\n" SECRET_HASH " admin other\n"), 0);
    ck_assert(tokens.has_certs);
    ck_assert_uint_eq(jbi_tokens_find_cert(&tokens, "trainer")->scopes, JBI_SCOPE_SUBSCRIBE);
    ck_assert_ptr_null(jbi_tokens_find_cert(&tokens, "other"));
    ck_assert_ptr_null(jbi_tokens_find(&tokens, zeros));
    jbi_tokens_fini(&tokens);
}
END_TEST

START_TEST(test_a_wrong_line_is_named_and_leaves_no_table)
{
    const char *good = SECRET_HASH " publish a\n";
    char text[256];

    assert_refused("x publish a\n", "1: the first word");
    assert_refused(SECRET_HASH "0 publish a\n", "1: the first word");
    assert_refused(SECRET_HASH " fly a\n", "1: the second word");
    assert_refused(SECRET_HASH " publish, a\n", "1: the second word");
    assert_refused(SECRET_HASH " ,publish a\n", "1: the second word");
    assert_refused(SECRET_HASH "\n", "1: the second word");
    assert_refused(SECRET_HASH " publish\n", "1: the name");
    assert_refused(SECRET_HASH " publish \x01\n", "1: the name");
    assert_refused(SECRET_HASH " publish a b\n", "1: too many words");
    assert_refused("cn: publish\n", "1: the first word");
    assert_refused("cn:a publish b\n", "1: too many words");
    snprintf(text, sizeof(text), "%s\n# twice\n%s", good, good);
    assert_refused(text, "4: it stands in an earlier line");
}
END_TEST

START_TEST(test_no_message_holds_the_hash)
{
    assert_refused(SECRET_HASH " fly a\n", "second");
    ck_assert_ptr_null(strstr(err.msg, "2bb80d53"));
}
END_TEST

START_TEST(test_an_empty_file_is_a_table_that_lets_nobody_in)
{
    ck_assert_int_eq(parse(""), 0);
    ck_assert_ptr_null(find("secret"));
    jbi_tokens_fini(&tokens);
}
END_TEST

START_TEST(test_too_many_lines_are_refused)
{
    size_t n = 0;
    char *text = malloc((JBI_TOKENS_MAX + 1) * 90);

    for (int i = 0; i <= JBI_TOKENS_MAX; i++)
        n += (size_t)sprintf(text + n, "%064x admin a\n", i + 1);
    assert_refused(text, "1025: too many lines");
    free(text);
}
END_TEST

static int load_with_mode(const char *text, mode_t mode)
{
    char path[] = "/tmp/jimbot-tokens-XXXXXX";
    int fd = mkstemp(path);
    int rc;

    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    ck_assert_int_eq(fchmod(fd, mode), 0);
    close(fd);
    rc = jbi_tokens_load(&tokens, path, &jbi_hmem_libc, &err);
    unlink(path);
    return rc;
}

START_TEST(test_a_file_that_others_may_read_is_refused)
{
    const char *text = SECRET_HASH " publish a\n";

    ck_assert_int_eq(load_with_mode(text, 0644), JB_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.msg, "chmod 600"));
    ck_assert_int_eq(load_with_mode(text, 0620), JB_EINVAL);
    ck_assert_int_eq(load_with_mode(text, 0600), 0);
    jbi_tokens_fini(&tokens);
    ck_assert_int_eq(load_with_mode(text, 0400), 0);
    jbi_tokens_fini(&tokens);
    ck_assert_int_eq(load_with_mode("\nnonsense\n", 0600), JB_EPARSE);
    ck_assert_ptr_nonnull(strstr(err.msg, ":2: the first word"));
}
END_TEST

START_TEST(test_what_is_no_file_is_refused)
{
    ck_assert_int_eq(jbi_tokens_load(&tokens, "/tmp", &jbi_hmem_libc, &err), JB_EINVAL);
    ck_assert_int_eq(jbi_tokens_load(&tokens, "/nonexistent", &jbi_hmem_libc, &err), JB_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.msg, "/nonexistent: No such file"));
}
END_TEST

START_TEST(test_a_made_token_is_let_in_by_its_line)
{
    char token[48], other[48], line[256], other_line[256];

    ck_assert_int_eq(jb_host_make_token("mod", "publish,command", token, line, &err), 0);
    ck_assert_int_eq(jb_host_make_token("mod", "publish", other, other_line, &err), 0);
    ck_assert_str_ne(token, other);
    ck_assert_uint_eq(strlen(token), 46);
    ck_assert_int_eq(parse(line), 0);
    ck_assert_uint_eq(find(token)->scopes, JBI_SCOPE_PUBLISH | JBI_SCOPE_COMMAND);
    ck_assert_ptr_null(find(other));
    ck_assert_ptr_null(strstr(line, token));
    jbi_tokens_fini(&tokens);
    ck_assert_int_eq(jb_host_make_token("m d", "publish", token, line, &err), JB_EINVAL);
    ck_assert_int_eq(jb_host_make_token("mod", "all", token, line, &err), JB_EINVAL);
    ck_assert_int_eq(jb_host_make_token("mod", "", token, line, &err), JB_EINVAL);
}
END_TEST

HSUITE_MAIN("tokens", test_a_token_is_found_by_its_hash_alone,
            test_a_certificate_is_found_by_its_name_and_no_token_is_one,
            test_a_wrong_line_is_named_and_leaves_no_table, test_no_message_holds_the_hash,
            test_an_empty_file_is_a_table_that_lets_nobody_in, test_too_many_lines_are_refused,
            test_a_file_that_others_may_read_is_refused, test_what_is_no_file_is_refused,
            test_a_made_token_is_let_in_by_its_line)
