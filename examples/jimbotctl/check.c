/*
 * check.c: a bus examined from outside, whoever uses it or whatever is left of it.
 *
 * Invariant: the bus is not joined, so what the dead left is seen as they left it.
 */
#include "ctl.h"
#include "table.h"
#include "text.h"

#include "jimbot/check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What the items say, in the order it is printed. */
typedef struct findings {
    uint64_t now_ns;
    table peers;
    table subs;
    table claims;
    table groups;
    table workers;
    char *faults;
    size_t faults_bytes;
    FILE *faults_out;
} findings;

static const char *alive_word(const jb_check_item *item)
{
    return item->is_alive ? "alive" : "DEAD";
}

static void add_peer(findings *f, const jb_check_item *item)
{
    table_cell(&f->peers, "%" PRIu32, item->idx);
    table_cell(&f->peers, "%s", clean_text(item->name).text);
    table_cell(&f->peers, "%" PRIu32, item->pid);
    table_cell(&f->peers, "%s", alive_word(item));
    table_cell(&f->peers, "%s",
               human_age(f->now_ns > item->since_ns ? f->now_ns - item->since_ns : 0).text);
}

static void add_sub(findings *f, const jb_check_item *item)
{
    table_cell(&f->subs, "%" PRIu32, item->idx);
    table_cell(&f->subs, "%s", clean_text(item->name).text);
    if (item->group)
        table_cell(&f->subs, "group %" PRIu32, item->group - 1);
    else
        table_cell(&f->subs, "%" PRIu32 " %s", item->peer, alive_word(item));
    table_cell(&f->subs, "%s", policy_name(item->policy, 0));
    table_cell(&f->subs, "%s", human_bytes((double)item->len_bytes).text);
    table_cell(&f->subs, "%s", item->is_holding ? "yes" : "no");
    table_cell(&f->subs, "%s", clean_text(item->text).text);
}

static void add_claim(findings *f, const jb_check_item *item)
{
    table_cell(&f->claims, "%" PRIu64, item->position);
    table_cell(&f->claims, "%s", human_bytes((double)item->len_bytes).text);
    table_cell(&f->claims, "%" PRIu32, item->peer);
    table_cell(&f->claims, "%" PRIu32, item->pid);
    table_cell(&f->claims, "%s", alive_word(item));
    table_cell(&f->claims, "%s", item->is_holding ? "wait" : "went on");
}

static void add_group(findings *f, const jb_check_item *item)
{
    table_cell(&f->groups, "%" PRIu32, item->idx);
    table_cell(&f->groups, "%s", clean_text(item->name).text);
    table_cell(&f->groups, "%" PRIu32, item->n_pending);
    table_cell(&f->groups, "%s",
               item->n_pending && f->now_ns > item->since_ns
                   ? human_age(f->now_ns - item->since_ns).text
                   : "-");
    if (item->peer)
        table_cell(&f->groups, "%" PRIu32 " %s", item->peer, alive_word(item));
    else
        table_cell(&f->groups, item->n_pending ? "nobody" : "-");
    table_cell(&f->groups, "%s", human_bytes((double)item->len_bytes).text);
    table_cell(&f->groups, "%s", item->is_holding ? "yes" : "no");
    table_cell(&f->groups, "%s", clean_text(item->text).text);
}

static void add_worker(findings *f, const jb_check_item *item)
{
    table_cell(&f->workers, "%" PRIu32, item->idx);
    table_cell(&f->workers, "%" PRIu32, item->group - 1);
    table_cell(&f->workers, "%" PRIu32, item->peer);
    table_cell(&f->workers, "%" PRIu32, item->pid);
    table_cell(&f->workers, "%s", alive_word(item));
    table_cell(&f->workers, "%" PRIu32, item->n_pending);
}

static void add_fault(findings *f, const jb_check_item *item)
{
    fprintf(f->faults_out, "FAULT at byte %" PRIu64 ": %s\n", item->offset,
            clean_text(item->text).text);
}

static void on_item(const jb_check_item *item, void *userdata)
{
    switch (item->kind) {
    case JB_CHECK_PEER:
        add_peer(userdata, item);
        break;
    case JB_CHECK_SUB:
        add_sub(userdata, item);
        break;
    case JB_CHECK_CLAIM:
        add_claim(userdata, item);
        break;
    case JB_CHECK_GROUP:
        add_group(userdata, item);
        break;
    case JB_CHECK_WORKER:
        add_worker(userdata, item);
        break;
    case JB_CHECK_FAULT:
        add_fault(userdata, item);
        break;
    default: /* of a newer library */
        break;
    }
}

static int findings_begin(findings *f)
{
    static const char *const peers[] = {">PEER", "NAME", ">PID", "STATE", ">OPEN FOR"};
    static const char *const subs[] = {">SUB",    "NAME",  "OF PEER", "POLICY",
                                       ">BEHIND", "HOLDS", "PATTERN"};
    static const char *const claims[] = {">CLAIM AT", ">TAKES", ">PEER",
                                         ">PID",      "STATE",  "READERS"};
    static const char *const groups[] = {">GROUP", "NAME",    ">PENDING", ">FOR",
                                         "WITH",   ">BEHIND", "HOLDS",    "PATTERN"};
    static const char *const workers[] = {">WORKER", ">OF GROUP", ">PEER",
                                          ">PID",    "STATE",     ">PENDING"};
    int rc;

    memset(f, 0, sizeof(*f));
    f->now_ns = jb_clock_now_ns();
    f->faults_out = open_memstream(&f->faults, &f->faults_bytes);
    rc = table_begin(&f->peers, peers, sizeof(peers) / sizeof(*peers));
    rc |= table_begin(&f->subs, subs, sizeof(subs) / sizeof(*subs));
    rc |= table_begin(&f->claims, claims, sizeof(claims) / sizeof(*claims));
    rc |= table_begin(&f->groups, groups, sizeof(groups) / sizeof(*groups));
    rc |= table_begin(&f->workers, workers, sizeof(workers) / sizeof(*workers));
    return rc == 0 && f->faults_out ? 0 : complain("%s", jb_strerror(JB_ENOMEM));
}

/* Prints what there is of each kind, or, with NULL, nothing. */
static void findings_end(findings *f, const jb_check *check)
{
    if (check && check->n_peers + check->n_peers_dead)
        table_end(&f->peers, stdout, 0);
    if (check && check->n_subs)
        table_end(&f->subs, stdout, 0);
    if (check && check->n_groups)
        table_end(&f->groups, stdout, 0);
    if (check && check->n_workers)
        table_end(&f->workers, stdout, 0);
    if (check && check->n_claims + check->n_revoked)
        table_end(&f->claims, stdout, 0);
    if (f->faults_out)
        fclose(f->faults_out);
    if (check && f->faults_bytes)
        fputs(f->faults, stdout);
    if (check && check->n_faults > 64)
        printf("... and %" PRIu32 " more faults\n", check->n_faults - 64);
    table_drop(&f->peers);
    table_drop(&f->subs);
    table_drop(&f->claims);
    table_drop(&f->groups);
    table_drop(&f->workers);
    free(f->faults);
}

static void print_origin(const jb_check *c)
{
    uint64_t now_ns = jb_clock_now_ns();

    printf("file       %s, layout %" PRIu32 "%s\n", human_bytes((double)c->size_bytes).text,
           c->layout_version, c->is_kept ? ", kept when nobody uses it" : "");
    if (c->is_this_boot)
        printf("made       %s ago by pid %" PRIu32 ", which %s\n",
               human_age(now_ns > c->created_ns ? now_ns - c->created_ns : 0).text, c->creator_pid,
               c->is_creator_alive ? "is alive" : "is gone");
    else
        printf("made       before the machine was started\n");
    printf("peers      %" PRIu32 " of %" PRIu32 ", %" PRIu32 " dead%s\n",
           c->n_peers + c->n_peers_dead, c->max_peers, c->n_peers_dead,
           c->is_over     ? "; it is over, the next open replaces it"
           : c->is_in_use ? ""
                          : "; nobody uses it");
}

static void print_check(const char *name, const jb_check *c)
{
    printf("bus        %s\n", clean_text(name).text);
    print_origin(c);
    printf("ring       %s of %s in use, %s%s\n", human_bytes((double)c->used_bytes).text,
           human_bytes((double)c->capacity_bytes).text,
           human_percent(c->used_bytes, c->capacity_bytes).text,
           c->is_walk_complete ? "" : "; not read to its end");
    printf("events     %" PRIu64 " in the ring, %" PRIu64 " before them, %" PRIu64
           " places without one, %" PRIu32 " claims open\n",
           c->n_events, c->n_before, c->n_aborted, c->n_claims);
    printf("topics     %" PRIu32 " of %" PRIu32 "\n", c->n_topics, c->max_topics);
    printf("subs       %" PRIu32 " of %" PRIu32 "\n", c->n_subs, c->max_subs);
    printf("groups     %" PRIu32 " of %" PRIu32 ", %" PRIu32 " workers\n", c->n_groups,
           c->max_groups, c->n_workers);
    if (c->n_faults)
        printf("verdict    %" PRIu32 " faults: no program of ours writes this\n", c->n_faults);
    else
        printf("verdict    sound\n");
}

/* Returns 0 when the bus is sound, or an exit code. */
static int check_one(const char *name, bool is_first)
{
    jb_check check = {.size = sizeof(check)};
    findings f;
    jb_error err;
    int rc = findings_begin(&f);

    if (rc == 0) {
        jb_error_init(&err);
        rc = jb_bus_check(name, on_item, &f, &check, &err);
        if (rc >= 0) {
            fputs(is_first ? "" : "\n", stdout);
            print_check(name, &check);
            findings_end(&f, &check);
            return rc > 0 ? EXIT_FAILURE : 0;
        }
        complain("%s", err.msg[0] ? err.msg : jb_strerror(rc));
        rc = rc == JB_ENOENT ? EXIT_NO_BUS : EXIT_FAILURE;
    }
    findings_end(&f, NULL);
    return rc;
}

/* How the examination of several goes on. */
typedef struct round {
    uint32_t n;
    int rc;
} round;

static void check_next(const char *name, void *userdata)
{
    round *r = userdata;
    int rc;

    rc = check_one(name, r->n++ == 0);
    r->rc = r->rc ? r->rc : rc;
}

int run_check(const ctl_opts *opts, jb_bus *bus)
{
    round r = {0, 0};
    jb_error err;
    int rc;

    for (int i = 0; i < opts->n_args; i++)
        check_next(opts->args[i], &r);
    if (opts->n_args == 0 && opts->is_bus_given)
        check_next(opts->bus, &r);
    if (r.n)
        return r.rc;
    jb_error_init(&err);
    rc = jb_bus_list(check_next, &r, &err);
    if (rc < 0)
        return complain("%s", err.msg[0] ? err.msg : jb_strerror(rc));
    if (rc == 0)
        printf("there is no bus\n");
    return r.rc;
}
