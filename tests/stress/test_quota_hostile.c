/*
 * Somebody who may open a coordinator writes nonsense into it: the others get wrong answers or
 * errors, and go on; nobody crashes, and nobody loops for ever.
 */
#include "../integration/segment/segment.h"
#include "support/draw.h"
#include "support/suite.h"

#include <sys/mman.h>

enum { N_RESOURCES = 2, HEADER_BYTES = 4096, LEASES = 8, ROUNDS = 300, CALLS = 60, RACES = 20000 };
enum { PEER_BYTES = 192, PEERS = 2, LOCK_LINE = 64, TABLE_WORDS = 1200 };
enum { FIRST_WORD = (HEADER_BYTES + PEERS * PEER_BYTES + LOCK_LINE) / 8 };

static uint64_t seed;

static uint32_t dice(uint32_t n)
{
    return draw_below(&seed, n);
}

static jb_coord *open_shared(void)
{
    static const jb_resource_spec resources[N_RESOURCES] = {
        {.name = "mem", .kind = JB_RESOURCE_MEMORY, .capacity = 100, .linger_ns = 1000},
        {.name = "gpu", .kind = JB_RESOURCE_GPU_TIME, .capacity = 7, .flags = JB_RESOURCE_STRICT},
    };
    static const jb_component_spec components[] = {{.name = "a", .weight = 2}, {.name = "b"}};
    jb_coord_opts opts;

    jb_coord_opts_init(&opts, sizeof opts);
    opts.resources = resources;
    opts.n_resources = N_RESOURCES;
    opts.components = components;
    opts.n_components = 2;
    opts.max_leases = LEASES;
    opts.max_waiters = 8;
    opts.max_records = 16;
    opts.max_peers = 2;
    opts.notice_ns = 1000;
    opts.aging_ns = 1000;
    return open_coord("b", &opts);
}

static void call(jb_coord *coord, jb_lease leases[LEASES], jb_ticket *ticket)
{
    jb_amount amounts[2] = {{.resource = dice(2), .amount = 1 + dice(7)}};
    jb_want want = {.component = dice(2),
                    .lease_class = dice(5),
                    .n_amounts = 1 + dice(2),
                    .amounts = amounts,
                    .hold_ns = dice(2) ? 0 : dice(2000000)};
    uint32_t at = dice(LEASES);
    jb_lease_info info;
    jb_record record;
    uint64_t cursor = 0;

    amounts[1] = (jb_amount){.resource = 1 - amounts[0].resource, .amount = 1};
    (void)jb_coord_try(coord, &want, &leases[dice(LEASES)]);
    (void)jb_coord_poll(coord, ticket, &leases[dice(LEASES)]);
    (void)jb_coord_request(coord, &want, ticket);
    (void)jb_coord_acquire(coord, &want, 1000, &leases[dice(LEASES)]);
    (void)jb_lease_renew(coord, &leases[dice(LEASES)], 1000000);
    (void)jb_lease_shrink(coord, &leases[dice(LEASES)], 0, 1);
    (void)jb_lease_release(coord, &leases[dice(LEASES)]);
    (void)jb_coord_cancel(coord, ticket);
    (void)jb_coord_tick(coord, NULL);
    (void)jb_coord_next_lease(coord, &at, &info);
    (void)jb_coord_next_waiter(coord, &at, &info);
    (void)jb_coord_next_record(coord, &cursor, &record, NULL);
    (void)jb_coord_audit(coord, NULL);
}

/* The first words are the peers' places and the lock: who has that may keep all others out. */
static void scribble(uint64_t *words, size_t n_words, size_t first)
{
    static const uint64_t favourites[] = {0, 1, 2, 7, 8, 9, UINT64_MAX, UINT64_MAX / 2};
    uint64_t *word = &words[first + dice((uint32_t)(n_words - first))];

    *word = dice(4) ? favourites[dice(8)] : seed;
}

static int be_hostile(void)
{
    const size_t first = FIRST_WORD;
    char path[200];
    struct stat facts;
    uint64_t *words;
    int fd;

    snprintf(path, sizeof path, "%s/jimbot-quota-%u-b", segment_dir, (unsigned)getuid());
    for (uint32_t round = 0; round < ROUNDS; round++) {
        jb_coord *coord = open_shared();
        jb_lease leases[LEASES] = {{0}};
        jb_ticket ticket = {0};

        seed = round;
        fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &facts))
            return 1;
        words = mmap(NULL, (size_t)facts.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (words == MAP_FAILED)
            return 1;
        for (int i = 0; i < CALLS; i++) {
            call(coord, leases, &ticket);
            /* Most of what lies there is the undo log: the tables come first. */
            scribble(words, dice(3) ? first + TABLE_WORDS : (size_t)facts.st_size / 8, first);
        }
        munmap(words, (size_t)facts.st_size);
        close(fd);
        jb_coord_close(coord);
        if (jb_coord_unlink("b", NULL))
            return 1;
    }
    return 0;
}

/* Another process writes nonsense over one word of the tables after the other and puts back what it
 * was, so that two looks at it differ. */
static void flicker(uint64_t *words, size_t first, pid_t parent)
{
    while (getppid() == parent) {
        volatile uint64_t *word = &words[first + dice(TABLE_WORDS)];
        uint64_t was = *word, wrong = dice(2) ? UINT64_C(0xfffffff0) : 0;

        for (int i = 0; i < 40; i++) {
            *word = wrong;
            *word = was;
        }
    }
}

static int be_raced(void)
{
    char path[200];
    jb_coord *coord = open_shared();
    jb_lease leases[LEASES] = {{0}};
    jb_ticket ticket = {0};
    pid_t parent = getpid(), racer;
    struct stat facts;
    uint64_t *words;
    int fd;

    snprintf(path, sizeof path, "%s/jimbot-quota-%u-b", segment_dir, (unsigned)getuid());
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &facts))
        return 1;
    words = mmap(NULL, (size_t)facts.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (words == MAP_FAILED)
        return 1;
    racer = fork();
    if (racer == 0) {
        flicker(words, FIRST_WORD, parent);
        _exit(0);
    }
    for (int i = 0; i < RACES; i++)
        call(coord, leases, &ticket);
    kill(racer, SIGKILL);
    (void)waitpid(racer, NULL, 0);
    return 0;
}

START_TEST(test_nonsense_written_meanwhile_crashes_nobody)
{
    ck_assert_int_eq(segment_child(be_raced), 0);
}
END_TEST

START_TEST(test_nonsense_in_the_books_crashes_nobody)
{
    ck_assert_int_eq(segment_child(be_hostile), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quota-hostile");
    TCase *tc = suite_case(suite, "quota-hostile");

    tcase_add_checked_fixture(tc, segment_dir_make, segment_dir_drop);
    tcase_add_test(tc, test_nonsense_written_meanwhile_crashes_nobody);
    tcase_add_test(tc, test_nonsense_in_the_books_crashes_nobody);
    return suite_run(suite);
}
