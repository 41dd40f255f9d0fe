/*
 * A block that somebody else scribbles into, word by word, gives wrong answers about rates and
 * leads nobody outside of it.
 */
#include "quota.h"

#include "quota/coord.h"
#include "quota/rate_line.h"

enum { N_HISTORIES = 30000, N_STEPS = 60, N_LIMITS = 4, HELD_MAX = 8, WAITERS = 6 };

static jb_ticket tickets[WAITERS]; /* id 0: none */

static uint64_t random_word(void)
{
    return (uint64_t)dice(UINT32_MAX) << 32 | dice(UINT32_MAX);
}

static jb_coord *coord_with_limits(void)
{
    static const jb_limit_spec limits[N_LIMITS] = {
        {GPU, JB_LIMIT_ALL, JB_LIMIT_RATE, 0, 600, 60 * S, 0},
        {MEM, JB_LIMIT_ALL, JB_LIMIT_WINDOW, 0, 100, 3600 * S, 0},
        {MEM, BOB, JB_LIMIT_WINDOW, 4, 10, 3600 * S, 0},
        {MEM, JB_LIMIT_ALL, JB_LIMIT_OPEN, 0, 5, 0, 0},
    };
    jb_coord_opts opts;

    small_opts(&opts);
    opts.limits = limits;
    opts.n_limits = N_LIMITS;
    opts.max_records = 16;
    opts.max_reservations = HELD_MAX;
    opts.max_waiters = WAITERS;
    opts.reservation_ns = 5 * S;
    return open_coord(NULL, &opts);
}

/* One word of the limits becomes a small number, any number, or one near the end of the range. */
static void scribble(jb_coord *coord)
{
    uint64_t *words = (uint64_t *)(void *)coord->books.limits;
    uint64_t *word = &words[dice((uint32_t)(coord->books.limit_bytes / sizeof *words))];

    if (dice(3) != 0)
        *word = dice(16);
    else
        *word = dice(2) ? random_word() : UINT64_MAX - dice(4);
}

/* Stand in line, ask, or leave. */
static void wait_step(jb_coord *coord, const jb_take *take, jb_usage *held, uint32_t *n_held)
{
    jb_ticket *ticket = &tickets[dice(WAITERS)];
    jb_denial denial;
    int rc;

    if (ticket->id == 0) {
        (void)jb_usage_request(coord, take, dice(20) * S, ticket);
    } else if (dice(4) == 0 || *n_held == HELD_MAX) {
        (void)jb_usage_cancel(coord, ticket);
        ticket->id = 0;
    } else {
        rc = jb_usage_poll(coord, ticket, &held[*n_held], &denial);
        *n_held += rc == 1;
        ticket->id = rc == 0 ? ticket->id : 0;
    }
}

static void step(jb_coord *coord, jb_usage *held, uint32_t *n_held)
{
    static uint8_t saved[1 << 17];
    const jb_amount amounts[] = {{.resource = MEM, .amount = dice(4)},
                                 {.resource = GPU, .amount = dice(100)}};
    const jb_take take = {
        .component = dice(2), .n_amounts = 2, .amounts = amounts, .lease_class = dice(5)};
    const jb_correction told = {.flags = 7, .limit = dice(200), .remaining = dice(200)};
    const uint64_t used[] = {dice(5), dice(200)};
    uint32_t what = dice(6);
    jb_limit_info info;

    if (what < 2 && *n_held < HELD_MAX && jb_usage_try(coord, &take, &held[*n_held], NULL) == 0)
        (*n_held)++;
    if (what == 2 && *n_held != 0)
        (void)jb_usage_commit(coord, &held[--*n_held], used, 2);
    if (what == 3)
        (void)jb_usage_correct(coord, dice(N_LIMITS), &told);
    if (what == 4)
        (void)jb_usage_save(coord, S, saved, sizeof saved);
    if (what == 5)
        (void)jb_coord_tick(coord, NULL);
    wait_step(coord, &take, held, n_held);
    (void)jb_coord_limit_at(coord, dice(N_LIMITS), &info);
    (void)jbi_rate_is_sound(&coord->books);
}

/* The same without the scribbling: the line is what it says it is. */
START_TEST(test_the_line_is_sound_after_every_step)
{
    jb_coord *coord = coord_with_limits();
    jb_usage held[HELD_MAX];
    uint32_t n_held = 0;

    memset(tickets, 0, sizeof tickets);
    for (int i = 0; i < N_HISTORIES; i++) {
        test_now_ns += dice(3000) * MS;
        step(coord, held, &n_held);
        must(jbi_rate_is_sound(&coord->books));
    }
    jb_coord_close(coord);
}
END_TEST

START_TEST(test_scribbled_limits_lead_nobody_outside)
{
    for (int i = 0; i < N_HISTORIES; i++) {
        jb_coord *coord = coord_with_limits();
        jb_usage held[HELD_MAX];
        uint32_t n_held = 0;
        jb_error err;

        memset(tickets, 0, sizeof tickets);
        for (int j = 0; j < N_STEPS; j++) {
            if (dice(4) == 0)
                scribble(coord);
            test_now_ns += dice(3000) * MS;
            step(coord, held, &n_held);
        }
        /* The leases' books are as they were; of the line that may not be so it is said. */
        jb_error_init(&err);
        if (jb_coord_audit(coord, &err) != 0)
            ck_assert_str_eq(err.msg, "the line for rates is broken");
        jb_coord_close(coord);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quota-usage-hostile");
    TCase *tc = suite_case(suite, "hostile");

    tcase_add_test(tc, test_the_line_is_sound_after_every_step);
    tcase_add_test(tc, test_scribbled_limits_lead_nobody_outside);
    return suite_run(suite);
}
