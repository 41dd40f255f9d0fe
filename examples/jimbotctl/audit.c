/*
 * audit.c: reads the lines that coordinatord writes (docs/design/coordinator.md) and keeps books of
 * its own: what each lease has of each resource. Compared are the sums that the coordinator wrote,
 * capacities, that every lease is granted once and ends once, that tokens grow, and that the
 * records are all there, in their order.
 */
#include "audit.h"

#include "ctl.h"
#include "holdings.h"
#include "lines.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_BYTES = 200, RESOURCES_MAX = 64, PROBLEMS_MAX = 20, LINE_BYTES = 8192 };

typedef struct account {
    char name[NAME_BYTES];
    uint64_t most;
    uint64_t allocated;
} account;

typedef struct books {
    const char *path;
    uint64_t line;
    account accounts[RESOURCES_MAX];
    uint32_t n_accounts;
    holdings held;
    uint64_t last_token;
    uint64_t sequence; /* that comes next */
    uint64_t begun_utc_ns;
    uint64_t n_records;
    uint64_t n_granted;
    uint64_t n_ended;
    uint64_t n_compared;
    uint64_t n_problems;
    bool is_begun;
    bool is_torn; /* records were lost: nothing can be said before the next beginning */
} books;

/* `resource` NULL: it is the line as a whole. */
static void wrong(books *b, const char *what, const char *resource, uint64_t token)
{
    if (b->n_problems++ >= PROBLEMS_MAX)
        return;
    if (resource)
        complain("%s:%" PRIu64 ": %s (%s, %" PRIu64 ")", b->path, b->line, what, resource, token);
    else
        complain("%s:%" PRIu64 ": %s", b->path, b->line, what);
}

/* --- fields of a line; values are text, names have no quotes in them */
static bool get_text(const char *line, const char *key, char *to, size_t cap)
{
    char pattern[32];
    const char *at;
    size_t n;

    snprintf(pattern, sizeof(pattern), "\"%s\":\"", key);
    at = strstr(line, pattern);
    if (!at)
        return false;
    at += strlen(pattern);
    n = strcspn(at, "\"");
    if (n >= cap || at[n] != '"')
        return false;
    memcpy(to, at, n);
    to[n] = '\0';
    return true;
}

static bool get_number(const char *line, const char *key, uint64_t *ret)
{
    char text[24];
    char *end;

    if (!get_text(line, key, text, sizeof(text)) || text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *ret = strtoull(text, &end, 10);
    return !*end && !errno;
}

/* --- lines */

static account *find_account(books *b, const char *name)
{
    for (uint32_t i = 0; i < b->n_accounts; i++) {
        if (!strcmp(b->accounts[i].name, name))
            return &b->accounts[i];
    }
    return NULL;
}

static int take(books *b, account *a, uint64_t token, uint64_t amount, bool is_grant)
{
    holding *h = holdings_add(&b->held, token, (uint32_t)(a - b->accounts));

    if (!h)
        return -1;
    if (h->amount || (is_grant && token < b->last_token))
        wrong(b, h->amount ? "granted twice" : "a token that does not grow", a->name, token);
    if (h->amount)
        return 0;
    h->amount = amount;
    b->held.n_held++;
    b->n_granted += is_grant;
    if (token > b->last_token)
        b->last_token = token;
    if (amount > a->most || a->allocated > a->most - amount)
        wrong(b, "more is leased than there is", a->name, token);
    a->allocated += amount;
    return 0;
}

static void give(books *b, account *a, uint64_t token, uint64_t amount, bool is_end)
{
    holding *h = holdings_find(&b->held, token, (uint32_t)(a - b->accounts));

    if (!h || !h->amount) {
        wrong(b, is_end ? "ended and was not held" : "shrunk and was not held", a->name, token);
        return;
    }
    if (is_end ? h->amount != amount : h->amount <= amount) {
        wrong(b, "gave back another amount than it had", a->name, token);
        amount = h->amount;
    }
    h->amount -= amount;
    a->allocated -= amount;
    b->held.n_held -= h->amount == 0;
    b->n_ended += is_end;
}

/* Whether the records follow on each other. False: this one is not to be counted (again). */
static bool count(books *b, const char *line)
{
    uint64_t sequence;

    if (!get_number(line, "sequence", &sequence)) {
        wrong(b, "a record without a sequence", NULL, 0);
        return false;
    }
    if (sequence < b->sequence && !b->is_torn) {
        wrong(b, "a record that was there already, or out of its order", "sequence", sequence);
        return false;
    }
    if (sequence > b->sequence && !b->is_torn)
        wrong(b, "records are missing before this one", "sequence", sequence);
    b->sequence = sequence + 1;
    b->n_records++;
    return true;
}

static int read_amount(books *b, const char *line, const char *kind)
{
    char name[NAME_BYTES];
    uint64_t token = 0, amount;
    account *a;

    if (!get_text(line, "resource", name, sizeof(name)) || !get_number(line, "amount", &amount)) {
        wrong(b, "the line cannot be read", NULL, 0);
        return 0;
    }
    if (!strcmp(kind, "resource") && b->n_accounts < RESOURCES_MAX) {
        a = &b->accounts[b->n_accounts++];
        *a = (account){.most = amount};
        memcpy(a->name, name, sizeof(name));
        return 0;
    }
    a = find_account(b, name);
    if (strcmp(kind, "books") != 0 && !get_number(line, "token", &token)) {
        wrong(b, "the line has no token", NULL, 0);
    } else if (!a) {
        wrong(b, "a resource that is not in the beginning", name, token);
    } else if (!strcmp(kind, "books")) {
        b->n_compared++;
        if (a->allocated != amount && !b->is_torn)
            wrong(b, "the coordinator's sum is another", name, amount);
    } else if (b->is_torn) {
        return 0;
    } else if (!strcmp(kind, "granted") || !strcmp(kind, "held")) {
        return take(b, a, token, amount, *kind == 'g');
    } else if (!strcmp(kind, "shrunk") || !strcmp(kind, "ended")) {
        give(b, a, token, amount, *kind == 'e');
    }
    return 0;
}

static void begin(books *b, const char *line)
{
    uint64_t utc_ns = 0;

    holdings_drop(&b->held);
    b->n_accounts = 0;
    b->is_torn = false;
    b->last_token = 0;
    b->is_begun = get_number(line, "sequence", &b->sequence);
    if (!b->is_begun || !get_number(line, "time_utc_ns", &utc_ns))
        wrong(b, "the line cannot be read", NULL, 0);
    else if (utc_ns <= b->begun_utc_ns)
        wrong(b, "a beginning that is not later than the one before", NULL, 0);
    b->begun_utc_ns = utc_ns;
}

static bool is_among(const char *kind, const char *kinds)
{
    char word[20];

    snprintf(word, sizeof(word), " %s ", kind);
    return !strchr(kind, ' ') && strstr(kinds, word);
}

static int read_line(books *b, const char *line)
{
    char kind[16];

    if (!get_text(line, "kind", kind, sizeof(kind))) {
        wrong(b, "the line cannot be read", NULL, 0);
        return 0;
    }
    if (!strcmp(kind, "open"))
        return begin(b, line), 0;
    if (!b->is_begun && b->line == 1)
        wrong(b, "the log has no beginning", NULL, 0);
    if (!strcmp(kind, "lost")) {
        wrong(b, "records were lost here", NULL, 0);
        b->is_torn = true;
        return 0;
    }
    if (is_among(kind, " granted shrunk ended denied waiting left notice taken used "))
        return b->is_begun && count(b, line) ? read_amount(b, line, kind) : 0;
    if (is_among(kind, " resource held books "))
        return b->is_begun ? read_amount(b, line, kind) : 0;
    if (strcmp(kind, "memory") != 0) /* which is not in the books */
        wrong(b, "no kind of line that there is", kind, 0);
    return 0;
}

/* What comes after the last line that ended is cut off. */
static int take_line(books *b, const char *line, size_t n, bool is_ended)
{
    char text[LINE_BYTES + 1];

    memcpy(text, line, n);
    text[n] = '\0';
    if (n && is_ended && text[0] == '{' && text[n - 1] == '}' && !memchr(text, 0, n))
        return read_line(b, text);
    wrong(b, is_ended ? "the line is no whole object" : "the log is cut off in this line", NULL, 0);
    return 0;
}

static int read_all(books *b, int fd)
{
    lines l = {.fd = fd, .max_bytes = LINE_BYTES};
    char *line;
    size_t n;
    int rc = 0, got;

    while (rc == 0 && (got = lines_next(&l, &line, &n)) != 0) {
        b->line = l.number;
        if (got == LINES_TOO_LONG)
            wrong(b, "a line that is too long to be one", NULL, 0);
        else if (got == LINES_FAILED)
            rc = complain("%s: %s", b->path, strerror(errno ? errno : ENOMEM));
        else
            rc = take_line(b, line, n, line + n < l.buf + l.filled);
    }
    lines_fini(&l);
    return rc;
}

int audit_check(const char *path)
{
    books b = {.path = path};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc;

    if (fd < 0)
        return complain("%s: %s", path, strerror(errno));
    rc = read_all(&b, fd);
    close(fd);
    if (rc < 0)
        rc = complain("%s", jb_strerror(JB_ENOMEM));
    if (rc == 0 && !b.line)
        wrong(&b, "the log is empty", NULL, 0);
    if (b.n_problems > PROBLEMS_MAX)
        complain("%s: and %" PRIu64 " more problems", path, b.n_problems - PROBLEMS_MAX);
    printf("%" PRIu64 " records: %" PRIu64 " granted, %" PRIu64 " ended, %" PRIu64
           " held at the end; %" PRIu64 " sums compared, %" PRIu64 " problems\n",
           b.n_records, b.n_granted, b.n_ended, b.held.n_held, b.n_compared, b.n_problems);
    holdings_drop(&b.held);
    return rc == 0 && b.n_problems ? EXIT_FAILURE : rc;
}
