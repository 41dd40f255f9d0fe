/*
 * The ring itself: claims, laps, reclamation, sequence numbers, damage.
 */
#include "bus/bus_internal.h"
#include "support/draw.h"
#include "support/suite.h"

static jb_bus *bus;
static jb_sub *reused;

static void make_bus(void)
{
    bus = small_bus();
    reused = NULL;
}

static void drop_bus(void)
{
    jb_bus_close(bus);
}

START_TEST(test_marks_pack_and_unpack)
{
    uint64_t lap = (UINT64_C(1) << JBI_MARK_LAP_BITS) - 1;
    uint64_t mark = jbi_mark_pack(lap, 32767, 255, JBI_COMMITTED);

    ck_assert_uint_eq(mark,
                      (UINT64_MAX & ~UINT64_C(3) & ~(UINT64_C(1) << JBI_MARK_WIDE_SHIFT)) | 2);
    ck_assert_uint_eq(jbi_mark_wide(mark), UINT64_MAX - 1);
    mark = jbi_mark_pack(5, 17, 200, JBI_CLAIMED);
    ck_assert_uint_eq(jbi_mark_lap(mark), 5);
    ck_assert_uint_eq(jbi_mark_len_blocks(mark), 17);
    ck_assert_uint_eq(jbi_mark_owner(mark), 200);
    ck_assert_int_eq(jbi_mark_state(mark), JBI_CLAIMED);
    ck_assert_int_eq(jbi_mark_state(jbi_mark_with_state(mark, JBI_ABORTED)), JBI_ABORTED);
}
END_TEST

START_TEST(test_lap_comparison_survives_its_wrap)
{
    uint64_t last_lap = (UINT64_C(1) << JBI_MARK_LAP_BITS) - 1;
    uint64_t position = (last_lap + 1) << bus->ring.capacity_shift;

    ck_assert_int_lt(
        jbi_mark_age(&bus->ring, jbi_mark_pack(last_lap, 1, 1, JBI_COMMITTED), position), 0);
    ck_assert_int_eq(jbi_mark_age(&bus->ring, jbi_mark_pack(0, 1, 1, JBI_COMMITTED), position), 0);
    ck_assert_int_gt(jbi_mark_age(&bus->ring, jbi_mark_pack(1, 1, 1, JBI_COMMITTED), position), 0);
}
END_TEST

/* Start the chain at any position, as after years of use. */
static void start_at(uint64_t position)
{
    atomic_store(&bus->ring.control->tail, position);
    atomic_store(&bus->ring.control->head, jbi_head_pack(position, 0));
    atomic_store(&bus->ring.counts[jbi_ring_block(&bus->ring, position)], 0);
    for (uint64_t i = 0; i < bus->ring.capacity_bytes / JBI_BLOCK_BYTES; i++)
        atomic_store(&bus->ring.marks[i],
                     jbi_mark_pack((position >> bus->ring.capacity_shift) - 1, 1, 1, JBI_ABORTED));
}

static void check_a_thousand(void)
{
    jb_sub *sub = subscribe(bus, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_event event;

    for (uint64_t i = 0; i < 1000; i++) {
        ck_assert_int_eq(publish_number(bus, "a.b", i, 8 + i % 700), 0);
        ck_assert_int_eq(jb_sub_peek(sub, &event, 1), 1);
        ck_assert_uint_eq(number_of(&event), i);
        ck_assert_uint_eq(event.sequence, i + 1);
        ck_assert_int_eq(jb_sub_advance(sub), 0);
    }
    jb_sub_close(sub);
}

START_TEST(test_positions_beyond_32_bits)
{
    start_at(UINT64_C(0xffff8000) & ~UINT64_C(63));
    check_a_thousand();
}
END_TEST

START_TEST(test_laps_beyond_their_bits)
{
    start_at(((UINT64_C(1) << JBI_MARK_LAP_BITS) << bus->ring.capacity_shift) - 32768);
    check_a_thousand();
}
END_TEST

START_TEST(test_a_claim_is_invisible_until_commit)
{
    jb_sub *sub = subscribe(bus, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_event_head head = {.topic_id = topic_of(bus, "a.b"), .type = JB_EVENT_CUSTOM};
    jb_claim claim;
    jb_event events[4];

    ck_assert_int_eq(jb_bus_claim(bus, &head, 100, &claim), 0);
    ck_assert_uint_eq((uintptr_t)claim.payload % 8, 0);
    ck_assert_int_eq(publish_number(bus, "a.b", 2, 8), 0);
    ck_assert_int_eq(jb_sub_peek(sub, events, 4), 0);
    memset(claim.payload, 0, 100);
    claim.payload[0] = 1;
    ck_assert_int_eq(jb_bus_commit(bus, &claim, 50), 0);
    ck_assert_int_eq(jb_sub_peek(sub, events, 4), 2);
    ck_assert_uint_eq(number_of(&events[0]), 1);
    ck_assert_uint_eq(events[0].len_bytes, 50);
    ck_assert_uint_eq(number_of(&events[1]), 2);
    ck_assert_int_eq(jb_bus_commit(bus, &claim, 50), JB_ESTATE);
    ck_assert_int_eq(jb_bus_abort(bus, &claim), JB_ESTATE);
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_an_aborted_claim_takes_no_sequence_number)
{
    jb_sub *sub = subscribe(bus, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_event_head head = {.topic_id = topic_of(bus, "a.b"), .type = JB_EVENT_CUSTOM};
    jb_claim claim;
    jb_event events[4];

    ck_assert_int_eq(publish_number(bus, "a.b", 1, 8), 0);
    ck_assert_int_eq(jb_bus_claim(bus, &head, 3000, &claim), 0);
    ck_assert_int_eq(jb_bus_abort(bus, &claim), 0);
    ck_assert_int_eq(publish_number(bus, "a.b", 2, 8), 0);
    ck_assert_int_eq(jb_sub_peek(sub, events, 4), 2);
    ck_assert_uint_eq(events[0].sequence, 1);
    ck_assert_uint_eq(events[1].sequence, 2);
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_a_live_open_claim_stops_reclamation_not_readers_before_it)
{
    jb_event_head head = {.topic_id = topic_of(bus, "a.b"), .type = JB_EVENT_CUSTOM};
    jb_claim claim;
    int rc = 0;
    int n = 0;

    ck_assert_int_eq(jb_bus_claim(bus, &head, 10, &claim), 0);
    while (rc == 0 && n++ < 1000)
        rc = publish_number(bus, "a.b", 1, 1000);
    ck_assert_int_eq(rc, JB_EAGAIN);
    ck_assert_int_gt(n, 50);
    ck_assert_int_eq(jb_bus_commit(bus, &claim, 10), 0);
    ck_assert_int_eq(publish_number(bus, "a.b", 1, 1000), 0);
}
END_TEST

START_TEST(test_an_orphan_claim_is_stepped_over)
{
    jb_sub *sub = subscribe(bus, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_bus_stats stats = {.size = sizeof stats};
    struct jbi_slot slot;
    jb_event event;

    /* A claim of a peer that nobody is: as after a kill between claim and commit. */
    bus->ring.owner = 7;
    ck_assert_int_eq(jbi_ring_claim(&bus->ring, 500, 1, &slot), 0);
    bus->ring.owner = bus->peer;
    ck_assert_int_eq(publish_number(bus, "a.b", 9, 8), 0);
    ck_assert_int_eq(jb_sub_wait(sub, 2000000000), 1);
    ck_assert_int_eq(jb_sub_peek(sub, &event, 1), 1);
    ck_assert_uint_eq(number_of(&event), 9);
    ck_assert_uint_eq(event.sequence, 1);
    ck_assert_int_eq(jb_bus_get_stats(bus, &stats), 0);
    ck_assert_uint_eq(stats.n_aborted, 1);
    /* Its late commit changes nothing. */
    ck_assert_int_eq(jbi_ring_commit(&bus->ring, slot.position, slot.mark), JB_ESTATE);
    jb_sub_close(sub);
}
END_TEST

/* A publisher stopped between looking at the tail and moving it takes it back when it goes on. */
START_TEST(test_a_tail_taken_back_by_laps_stops_nobody)
{
    uint64_t early = jbi_ring_tail(&bus->ring);
    jb_sub *sub = subscribe(bus, ">", JB_SUB_LATEST, JB_SUB_FROM_NOW);
    jb_event event;

    for (uint64_t i = 0; i < 300; i++)
        ck_assert_int_eq(publish_number(bus, "a.b", i, 1000), 0);
    atomic_store(&bus->ring.control->tail, early);
    ck_assert_int_eq(jb_bus_wait_space(bus, 1000, 0), 0);
    for (uint64_t i = 300; i < 600; i++)
        ck_assert_int_eq(publish_number(bus, "a.b", i, 1000), 0);
    ck_assert_uint_gt(jbi_ring_tail(&bus->ring), early + 600000);
    while (jb_sub_peek(sub, &event, 1) == 1)
        ck_assert_int_eq(jb_sub_advance(sub), 0);
    ck_assert_uint_eq(number_of(&event), 599);
    ck_assert_uint_eq(event.sequence, 600);
    jb_sub_close(sub);
}
END_TEST

/* While we ask about the dead owner of a slot, another process frees the slot and a living one
 * takes it. */
static bool dies_and_is_replaced(uint32_t peer, void *userdata)
{
    jb_bus *asked = userdata;

    if (peer == asked->peer)
        return true;
    if (!reused) {
        jbi_subs_bury(asked, peer, false);
        reused = subscribe(asked, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_OLDEST);
    }
    return false;
}

/* A subscription whose process has died: peer 7 does not exist. */
static jb_sub *subscribe_and_die(uint32_t policy)
{
    jb_sub *dead;

    bus->peer = bus->ring.owner = 7;
    dead = subscribe(bus, ">", policy, JB_SUB_FROM_NOW);
    bus->peer = bus->ring.owner = 1;
    return dead;
}

START_TEST(test_a_publisher_frees_no_slot_that_has_a_new_owner)
{
    jb_sub *dead = subscribe_and_die(JB_SUB_LOSSLESS);
    uint64_t n_seen = 0, n = 0;
    jb_event event;

    bus->ring.is_alive = dies_and_is_replaced;
    while (n < 1000 && publish_number(bus, "a.b", n, 1000) == 0)
        n++;
    ck_assert_ptr_nonnull(reused);
    ck_assert_uint_lt(n, 1000);
    ck_assert_uint_eq(reused->idx, dead->idx);
    while (jb_sub_peek(reused, &event, 1) == 1) {
        ck_assert_uint_eq(number_of(&event), n_seen++);
        ck_assert_int_eq(jb_sub_advance(reused), 0);
    }
    ck_assert_uint_eq(n_seen, n);
    jb_sub_close(dead);
    jb_sub_close(reused);
}
END_TEST

START_TEST(test_a_subscriber_frees_no_slot_that_has_a_new_owner)
{
    jb_sub_stats stats = {.size = sizeof stats};
    jb_sub *dead[8], *mine;

    for (int i = 0; i < 8; i++)
        dead[i] = subscribe_and_die(JB_SUB_LATEST);
    bus->ring.is_alive = dies_and_is_replaced;
    mine = subscribe(bus, ">", JB_SUB_LATEST, JB_SUB_FROM_NOW);
    ck_assert_uint_ne(mine->idx, reused->idx);
    ck_assert_int_eq(jb_sub_get_stats(reused, &stats), 0);
    ck_assert_uint_eq(stats.policy, JB_SUB_LOSSLESS);
    for (int i = 0; i < 8; i++)
        jb_sub_close(dead[i]);
    ck_assert_int_eq(jb_sub_get_stats(reused, &stats), 0);
    jb_sub_close(mine);
    jb_sub_close(reused);
}
END_TEST

/* A damaged record is an error each time, and never counted as one that was not asked for. */
START_TEST(test_damage_is_not_stepped_over)
{
    jb_sub *sub = subscribe(bus, ">", (uint32_t)_i, JB_SUB_FROM_NOW);
    uint64_t first = jbi_ring_tail(&bus->ring) % bus->ring.capacity_bytes;
    jb_event events[8];

    for (uint64_t i = 0; i < 3; i++)
        ck_assert_int_eq(publish_number(bus, "a.b", i, 8), 0);
    ((struct jbi_record *)(void *)(bus->ring.log + first + JBI_BLOCK_BYTES))->len_bytes = 33;
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 1);
    ck_assert_int_eq(jb_sub_advance(sub), 0);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), JB_ECORRUPT);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), JB_ECORRUPT);
    ck_assert_int_eq(jb_sub_wait(sub, 1000000), JB_ECORRUPT);
    jb_sub_close(sub);
}
END_TEST

/* No publisher of ours makes a record that large, and a latest subscription has no room for its
 * copy. */
START_TEST(test_a_record_larger_than_any_is_damage)
{
    uint64_t capacity = UINT64_C(4) << 20;
    jb_bus_opts opts;
    jb_sub *sub;
    jb_bus *large;
    struct jbi_slot slot;
    jb_event event;

    jb_bus_opts_init(&opts, sizeof opts);
    opts.capacity_bytes = capacity;
    ck_assert_int_eq(jb_bus_open(NULL, &opts, &large, NULL), 0);
    sub = subscribe(large, ">", (uint32_t)_i, JB_SUB_FROM_NOW);
    large->ring.max_record_bytes = (uint32_t)capacity / 4 * 3;
    ck_assert_int_eq(jbi_ring_claim(&large->ring, 2000000, 1, &slot), 0);
    large->ring.max_record_bytes = JB_EVENT_MAX_BYTES + sizeof *slot.record;
    slot.record->len_bytes = 1900000;
    slot.record->topic_id = topic_of(large, "a.b");
    ck_assert_int_eq(jbi_ring_commit(&large->ring, slot.position, slot.mark), 0);
    ck_assert_int_eq(jb_sub_peek(sub, &event, 1), JB_ECORRUPT);
    jb_sub_close(sub);
    jb_bus_close(large);
}
END_TEST

START_TEST(test_too_big_is_refused)
{
    jb_event_head head = {.topic_id = topic_of(bus, "a.b"), .type = JB_EVENT_CUSTOM};
    jb_claim claim;

    ck_assert_int_eq(jb_bus_claim(bus, &head, 16384 - 32, &claim), 0);
    ck_assert_int_eq(jb_bus_abort(bus, &claim), 0);
    ck_assert_int_eq(jb_bus_claim(bus, &head, 16384 - 31, &claim), JB_ETOOBIG);
    ck_assert_int_eq(jb_bus_claim(bus, &head, (size_t)JB_EVENT_MAX_BYTES + 1, &claim), JB_ETOOBIG);
    ck_assert_int_eq(jb_bus_claim(bus, &head, SIZE_MAX, &claim), JB_ETOOBIG);
    head.topic_id = 0;
    ck_assert_int_eq(jb_bus_claim(bus, &head, 8, &claim), JB_EINVAL);
    head.topic_id = 65;
    ck_assert_int_eq(jb_bus_claim(bus, &head, 8, &claim), JB_EINVAL);
}
END_TEST

/* Whatever bytes stand in marks, control words and log, nothing reads outside or runs for ever. */
START_TEST(test_scribbled_rings_are_survived)
{
    uint64_t seed = 88172645463325252u + (uint64_t)_i;
    uint8_t *bytes = (uint8_t *)bus->ring.marks;
    size_t n_bytes = bus->ring.capacity_bytes / 8;
    jb_sub *lossless = subscribe(bus, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_sub *latest = subscribe(bus, ">", JB_SUB_LATEST, JB_SUB_FROM_NOW);
    jb_event events[32];

    for (uint64_t i = 0; i < 40; i++)
        ck_assert_int_eq(publish_number(bus, "a.b", i, 100), 0);
    for (int i = 0; i < 400; i++) {
        (void)draw64(&seed);
        if (i % 4 == 0)
            bus->ring.log[seed % bus->ring.capacity_bytes] ^= (uint8_t)(seed >> 32);
        else if (i % 4 == 1)
            bytes[seed % n_bytes] ^= (uint8_t)(seed >> 32);
        else if (i % 4 == 2 && _i % 2)
            ((uint8_t *)bus->ring.control)[seed % 200] ^= (uint8_t)(seed >> 32);
        else
            (void)publish_number(bus, "a.b", seed, seed % 3000 + 8);
        (void)jb_sub_peek(latest, events, 32);
        (void)jb_sub_advance(latest);
        (void)jb_sub_peek(lossless, events, 32);
        (void)jb_sub_advance(lossless);
    }
    jb_sub_close(latest);
    jb_sub_close(lossless);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ring");
    TCase *tc = suite_case(suite, "ring");

    tcase_add_checked_fixture(tc, make_bus, drop_bus);
    tcase_add_test(tc, test_marks_pack_and_unpack);
    tcase_add_test(tc, test_lap_comparison_survives_its_wrap);
    tcase_add_test(tc, test_positions_beyond_32_bits);
    tcase_add_test(tc, test_laps_beyond_their_bits);
    tcase_add_test(tc, test_a_claim_is_invisible_until_commit);
    tcase_add_test(tc, test_an_aborted_claim_takes_no_sequence_number);
    tcase_add_test(tc, test_a_live_open_claim_stops_reclamation_not_readers_before_it);
    tcase_add_test(tc, test_an_orphan_claim_is_stepped_over);
    tcase_add_test(tc, test_a_tail_taken_back_by_laps_stops_nobody);
    tcase_add_test(tc, test_a_publisher_frees_no_slot_that_has_a_new_owner);
    tcase_add_test(tc, test_a_subscriber_frees_no_slot_that_has_a_new_owner);
    tcase_add_loop_test(tc, test_damage_is_not_stepped_over, JB_SUB_LOSSLESS, JB_SUB_LATEST + 1);
    tcase_add_loop_test(tc, test_a_record_larger_than_any_is_damage, JB_SUB_LOSSLESS,
                        JB_SUB_LATEST + 1);
    tcase_add_test(tc, test_too_big_is_refused);
    tcase_add_loop_test(tc, test_scribbled_rings_are_survived, 0, 40);
    return suite_run(suite);
}
