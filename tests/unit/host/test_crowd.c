/* Laws of the crowd: as many as have joined and not left, each address for itself. */
#include "hsuite.h"

#include "host/net/crowd.h"

enum { N = 1000 };

static jbi_crowd crowd;
static jbi_crowd_link links[N];
static jbi_peer peers[N];

static uint32_t count(const jbi_peer *peer)
{
    uint32_t n = 0;

    while (jbi_crowd_has_more(&crowd, peer, n))
        n++;
    return n;
}

/* Without a process for each test, what one left is there for the next. */
static void begin(void)
{
    memset(&crowd, 0, sizeof(crowd));
    memset(links, 0, sizeof(links));
    memset(peers, 0, sizeof(peers));
}

START_TEST(test_an_address_counts_its_own)
{
    begin();
    for (int i = 0; i < N; i++) {
        peers[i].address[15] = (uint8_t)(i % 10);
        jbi_crowd_join(&crowd, &links[i], &peers[i]);
    }
    for (int i = 0; i < 10; i++)
        ck_assert_uint_eq(count(&peers[i]), N / 10);
    for (int i = 0; i < N; i += 20)
        jbi_crowd_leave(&links[i]);
    ck_assert_uint_eq(count(&peers[0]), N / 20);
    ck_assert_uint_eq(count(&peers[1]), N / 10);
}
END_TEST

START_TEST(test_leaving_twice_or_without_joining_is_nothing)
{
    begin();
    jbi_crowd_leave(&links[0]);
    jbi_crowd_join(&crowd, &links[0], &peers[0]);
    jbi_crowd_join(&crowd, &links[1], &peers[1]);
    jbi_crowd_leave(&links[0]);
    jbi_crowd_leave(&links[0]);
    ck_assert_uint_eq(count(&peers[1]), 1);
}
END_TEST

HSUITE_MAIN("crowd", test_an_address_counts_its_own,
            test_leaving_twice_or_without_joining_is_nothing)
