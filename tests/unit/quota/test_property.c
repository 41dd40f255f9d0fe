/*
 * test_property.c: random histories of a million steps against a plain model: a list of leases and
 * a list of who waits, which know nothing of lines, heaps and tags.
 *
 * The model learns of grants and ends from the records, and judges them; what calls return it
 * predicts by itself where that can be said without knowing the order of service.
 */
#include "property.h"

#ifndef STEPS
#define STEPS 1000000
#endif

static struct held *find(uint64_t token)
{
    for (uint32_t i = 0; i < n_held; i++) {
        if (held[i].lease.token == token)
            return &held[i];
    }
    return NULL;
}

static void on_granted(const jb_record *record)
{
    struct held *lease = find(record->token);

    if (!lease) {
        must(record->token > last_token);
        last_token = record->token;
        must(n_held < HELD);
        lease = &held[n_held++];
        *lease = (struct held){.component = record->component};
        lease->lease.token = record->token;
        lease->lease.slot = record->slot;
        lease->lease.granted_ns = record->time_ns;
        lease->lease.deadline_ns = record->tag ? record->time_ns + record->tag : UINT64_MAX;
    }
    lease->amount[record->resource] = record->amount;
    must(sum_of(record->resource, N_COMPONENTS) <= limit_of(record->resource));
    must(sum_of(record->resource, record->component) <=
         ceiling_of(record->component, record->resource));
}

static void on_ended(const jb_record *record)
{
    struct held *lease = find(record->token);

    must(lease != NULL);
    must(lease->amount[record->resource] == record->amount);
    if (record->reason == JB_LEASE_EXPIRED)
        must(lease->lease.deadline_ns <= record->time_ns);
    if (record->reason == JB_LEASE_REVOKED)
        must(lease->has_notice);
    lease->amount[record->resource] = 0;
    if (record->n_more == 0)
        *lease = held[--n_held];
}

static void read_records(void)
{
    uint64_t lost = 0;
    jb_record record;

    while (jb_coord_next_record(coord, &cursor, &record, &lost) == 1) {
        struct held *lease = find(record.token);

        must(lost == 0);
        if (record.kind == JB_RECORD_GRANTED) {
            on_granted(&record);
        } else if (record.kind == JB_RECORD_ENDED) {
            on_ended(&record);
        } else if (record.kind == JB_RECORD_SHRUNK) {
            must(lease != NULL);
            lease->amount[record.resource] -= record.amount;
        } else if (record.kind == JB_RECORD_NOTICE) {
            must(lease != NULL);
            lease->has_notice = true;
            if (record.time_ns + record.value_ns < lease->lease.deadline_ns)
                lease->lease.deadline_ns = record.time_ns + record.value_ns;
        }
    }
}

/* Amounts of a random want, by resource and as the call takes them. `tag` repeats hold_ns, so that
 * the records say when a lease ends. */
static jb_want random_want(jb_amount amounts[2], uint64_t ret_amount[N_RES])
{
    jb_want want = {
        .component = dice(N_COMPONENTS),
        .lease_class = JB_CLASS_LOW + dice(4),
        .amounts = amounts,
        .n_amounts = 1 + dice(2),
    };

    memset(ret_amount, 0, N_RES * sizeof *ret_amount);
    amounts[0] = (jb_amount){.resource = dice(N_RES)};
    amounts[1] = (jb_amount){.resource = (amounts[0].resource + 1 + dice(2)) % N_RES};
    for (uint32_t i = 0; i < want.n_amounts; i++) {
        uint32_t resource = amounts[i].resource;

        amounts[i].amount = 1 + dice((uint32_t)ceiling_of(want.component, resource) / 2);
        ret_amount[resource] = amounts[i].amount;
    }
    want.hold_ns = dice(3) ? 0 : (1 + dice(40)) * MS;
    want.tag = want.hold_ns;
    return want;
}

static bool is_live(const jb_lease *lease)
{
    return find(lease->token) && find(lease->token)->lease.deadline_ns > now_ns;
}

static uint32_t n_waiting(void)
{
    jb_coord_stats stats;

    must(jb_coord_get_stats(coord, &stats) == 0);
    return stats.n_waiting;
}

static void step_try(void)
{
    jb_amount amounts[2];
    uint64_t amount[N_RES];
    jb_want want = random_want(amounts, amount);
    uint64_t before = last_token;
    bool can = fits(want.component, amount, nothing);
    bool is_sure = n_waiting() == 0;
    jb_lease lease;
    int rc;

    rc = jb_coord_try(coord, &want, &lease);
    read_records();
    if (rc == 0) {
        must(can);
        must(lease.token > before);
        must(find(lease.token) != NULL);
    } else if (rc == JB_ELIMIT) {
        must(n_held + n_in_line >= IN_LINE);
    } else {
        must(rc == JB_EAGAIN);
        must(!can || !is_sure);
        must(last_token == before);
    }
}

static void step_request(void)
{
    jb_amount amounts[2];
    struct waiting waiting = {0};
    jb_want want = random_want(amounts, waiting.amount);

    if (n_in_line == IN_LINE)
        return;
    waiting.component = want.component;
    waiting.lease_class = want.lease_class;
    waiting.since_ns = now_ns;
    want.wait_ns = dice(4) ? 0 : (1 + dice(20)) * MS;
    if (jb_coord_request(coord, &want, &waiting.ticket) == 0)
        in_line[n_in_line++] = waiting;
    read_records();
}

static void step_poll(void)
{
    uint32_t i = n_in_line ? dice(n_in_line) : 0;
    jb_lease lease;
    int rc;

    if (n_in_line == 0)
        return;
    rc = dice(8) ? jb_coord_poll(coord, &in_line[i].ticket, &lease)
                 : jb_coord_cancel(coord, &in_line[i].ticket) - 100;
    read_records();
    if (rc == 0)
        return;
    if (rc == 1)
        must(is_live(&lease));
    else
        must(rc == -100 || rc == JB_ETIMEDOUT || rc == JB_ENOENT);
    memmove(&in_line[i], &in_line[i + 1], (--n_in_line - i) * sizeof *in_line);
}

/* One that lives, or one that never did, or another's slot with a token of the past. */
static jb_lease some_lease(void)
{
    jb_lease lease = {.token = last_token - dice(100), .slot = dice(HELD + 2)};

    return n_held && dice(8) ? held[dice(n_held)].lease : lease;
}

static void step_end(void)
{
    jb_lease lease = some_lease();
    bool lives = is_live(&lease) && find(lease.token)->lease.slot == lease.slot;

    must(jb_lease_release(coord, &lease) == (lives ? 0 : JB_ENOENT));
    read_records();
    must(!lives || !find(lease.token));
    must(jb_lease_release(coord, &lease) == JB_ENOENT);
}

static void step_change(void)
{
    jb_lease lease = some_lease();
    struct held *known = find(lease.token);
    bool lives = is_live(&lease) && known->lease.slot == lease.slot;
    bool has_notice = lives && known->has_notice;
    uint32_t resource = dice(N_RES);
    uint64_t hold = (1 + dice(40)) * MS;
    int rc;

    if (dice(2)) {
        rc = jb_lease_renew(coord, &lease, hold);
        must(rc == (!lives ? JB_ENOENT : has_notice ? JB_ESTATE : 0));
        if (rc == 0)
            known->lease.deadline_ns = now_ns + hold;
    } else if (dice(4)) {
        rc = jb_lease_shrink(coord, &lease, resource, 1);
        must(rc == (lives && known->amount[resource] ? 0 : JB_ENOENT));
    } else {
        rc = jb_lease_revoke(coord, lease.token, lease.slot, (1 + dice(5)) * MS);
        must(rc == (lives ? 0 : JB_ENOENT));
    }
    read_records();
}

/* Mostly on, sometimes far, sometimes back. */
static void step_time(void)
{
    uint32_t kind = dice(100);

    if (kind == 0)
        test_now_ns -= dice(100) * MS;
    else if (kind == 1)
        test_now_ns += dice(1000) * MS;
    else
        test_now_ns += dice(4 * MS);
    if (test_now_ns > now_ns)
        now_ns = test_now_ns;
    if (dice(50) == 0) {
        uint32_t resource = dice(N_RES);

        foreign[resource] = dice(4) ? 0 : dice((uint32_t)limit_of(resource));
        must(jb_coord_set_foreign(coord, resource, foreign[resource]) == 0);
    }
    must(jb_coord_tick(coord, NULL) >= 0);
    read_records();
}

/* Who waits is who is listed, and rightly. */
static void check_line(void)
{
    bool waits[IN_LINE] = {false};
    uint32_t at = 0, n = 0;
    jb_lease_info info;

    while (jb_coord_next_waiter(coord, &at, &info) == 1) {
        for (uint32_t i = 0; i < n_in_line; i++) {
            if (in_line[i].ticket.id == info.token)
                waits[i] = true;
        }
        n++;
    }
    for (uint32_t i = 0; i < n_in_line; i++)
        n -= waits[i];
    must(n == 0);
    if (n_held < HELD)
        check_heads(waits);
}

static uint64_t notice_ns;

static void look_for_notice(void)
{
    static bool had_any;
    bool has_any = false;

    for (uint32_t i = 0; i < n_held; i++)
        has_any |= held[i].has_notice;
    if ((has_any || had_any) && notice_ns > 0)
        promised_until_ns = now_ns + 2 * notice_ns + 2;
    had_any = has_any;
}

static void check(void)
{
    look_for_notice();
    for (uint32_t i = 0; i < N_RES; i++)
        must(allocated(coord, i) == sum_of(i, N_COMPONENTS));
    for (uint32_t i = 0; i < n_held; i++)
        must(held[i].lease.deadline_ns > now_ns);
    check_line();
}

static void (*const steps[])(void) = {step_try,  step_try, step_request, step_request, step_poll,
                                      step_poll, step_end, step_change,  step_time,    step_time};

static void open_for_history(uint32_t flags, uint64_t notice)
{
    jb_coord_opts opts;

    small_opts(&opts);
    opts.resources = resources;
    opts.n_resources = N_RES;
    opts.shares = shares;
    opts.n_shares = 2;
    opts.max_leases = HELD;
    opts.max_waiters = IN_LINE + 1;
    opts.aging_ns = aging_ns = 20 * MS;
    opts.flags = flags;
    opts.notice_ns = notice_ns = notice;
    promised_until_ns = 0;
    coord = open_coord(NULL, &opts);
    now_ns = test_now_ns;
    n_held = n_in_line = 0;
    cursor = last_token = 0;
    memset(foreign, 0, sizeof foreign);
}

START_TEST(test_a_million_random_steps_keep_every_invariant)
{
    seed = 41 + (uint64_t)_i;
    open_for_history(_i & 1 ? JB_COORD_DRF : 0, _i & 2 ? 3 * MS : 0);
    for (int i = 0; i < STEPS / 4; i++) {
        steps[dice(sizeof steps / sizeof steps[0])]();
        check();
        if (i % 64 == 0)
            audit(coord);
    }
    must(last_token > 0);
    jb_coord_close(coord);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("property");
    TCase *tcase = suite_case(suite, "property");

    tcase_add_loop_test(tcase, test_a_million_random_steps_keep_every_invariant, 0, 4);
    return suite_run(suite);
}
