/*
 * rows.c: the table: which peers stand beside ours for which work, and what is wanted of the ratio.
 *
 * Invariant: the entries of a row carry the same bytes, except where `what` says otherwise.
 */
#include "ours.h"
#include "peers.h"
#include "row.h"

#define ONE(bytes)                                                                                 \
    {                                                                                              \
        .len_bytes = (bytes), .n_writers = 1, .n_readers = 1                                       \
    }
#define MODE(bytes, bits)                                                                          \
    {                                                                                              \
        .len_bytes = (bytes), .n_writers = 1, .n_readers = 1, .mode = (bits)                       \
    }
#define BATCH(bytes, bits)                                                                         \
    {                                                                                              \
        .len_bytes = (bytes), .n_writers = 1, .n_readers = 1, .mode = (bits), .batch = 64          \
    }
#define CROWD(writers, readers)                                                                    \
    {                                                                                              \
        .len_bytes = 64, .n_writers = (writers), .n_readers = (readers), .n_cores = 2              \
    }
#define MANY(writers, readers)                                                                     \
    {                                                                                              \
        .len_bytes = 64, .n_writers = (writers), .n_readers = (readers)                            \
    }
#define POINTERS(writers)                                                                          \
    {                                                                                              \
        .len_bytes = 8, .n_writers = (writers), .n_readers = 1                                     \
    }
#define SELF(bytes)                                                                                \
    {                                                                                              \
        .len_bytes = (bytes), .n_writers = 1                                                       \
    }

#define LARGE(bytes, label, least)                                                                 \
    {                                                                                              \
        .name = label,                                                                             \
        .title = "in-process, 1 writer -> 1 reader, " #bytes " bytes, one publish "                \
                 "each, topic filter on",                                                          \
        .aim = least, .entries = {                                                                 \
            {&ours_inside, "jimbot, read in place", ONE(bytes), 0, 0},                             \
            {&ours_inside, "jimbot, copied out by the reader", MODE(bytes, OURS_COPY_OUT), 0, 0},  \
            {&copy_in_out, NULL, ONE(bytes), 0.5, 0},                                              \
            {&spsc_each, NULL, ONE(bytes), 0, 0},                                                  \
            {&zmq_inproc, NULL, ONE(bytes), 0, 0},                                                 \
        }                                                                                          \
    }

#define ACROSS(bytes, label)                                                                       \
    {                                                                                              \
        .name = label,                                                                             \
        .title = "between processes, 1 writer -> 1 reader, " #bytes " bytes, one "                 \
                 "publish each",                                                                   \
        .aim = "as fast as in-process", .entries = {                                               \
            {&ours_across, NULL, ONE(bytes), 0, 0},                                                \
            {&ours_inside, "jimbot, in-process", ONE(bytes), 0, 0},                                \
            {&unix_packets, NULL, ONE(bytes), 10, 0},                                              \
            {&unix_stream, NULL, ONE(bytes), 10, 0},                                               \
            {&iceoryx, NULL, ONE(bytes), 1, 0},                                                    \
            {&zmq_ipc, NULL, ONE(bytes), 0, 0},                                                    \
            {&nats, NULL, ONE(bytes), 0, 0},                                                       \
            {&redis, NULL, ONE(bytes), 0, 0},                                                      \
            {&redis_single, NULL, ONE(bytes), 0, 0},                                               \
        }                                                                                          \
    }

const struct row bench_rows[] = {
    {
        .name = "64",
        .title = "in-process, 1 writer -> 1 reader, 64 bytes, one publish each, topic filter on",
        .aim = "25 M/s",
        .entries =
            {
                {&ours_inside, "jimbot, publish", ONE(64), 0, 0},
                {&ours_inside, "jimbot, claim and commit", MODE(64, OURS_CLAIM), 0, 0},
                {&zmq_inproc, NULL, ONE(64), 2.5, 0},
                {&ck_mpmc, NULL, POINTERS(1), 1, 0},
                {&moody, NULL, ONE(64), 0, 0},
                {&spsc_each, NULL, ONE(64), 0, 0},
                {&spsc_64, NULL, ONE(64), 0, 0},
                {&copy_in_out, NULL, ONE(64), 0, 0},
            },
    },
    {
        .name = "batch",
        .title = "in-process, 1 writer -> 1 reader, 64 bytes, claimed and committed 64 at a time",
        .aim = "100 M/s, half of the bare ring",
        .entries =
            {
                {&ours_inside, "jimbot, claim and commit 64", BATCH(64, OURS_CLAIM), 0, 0},
                {&ours_inside, "jimbot, publish 64 by copy", BATCH(64, 0), 0, 0},
                {&ours_inside, "jimbot, one publish each", ONE(64), 4, 0},
                {&spsc_64, NULL, ONE(64), 0.5, 0},
            },
    },
    LARGE(1024, "1k", "15 M/s"),
    LARGE(4096, "4k", "6 M/s"),
    LARGE(16384, "16k", "2 M/s"),
    {
        .name = "2to1",
        .title = "in-process, 2 writers -> 1 reader, 64 bytes",
        .aim = "10 M/s",
        .entries =
            {
                {&ours_inside, "jimbot, 2 -> 1", MANY(2, 1), 0, 0},
                {&ours_inside, "jimbot, 1 -> 1", MANY(1, 1), 0.5, 0},
                {&ck_mpmc, NULL, POINTERS(2), 0, 0},
            },
    },
    {
        .name = "1to3",
        .title = "in-process, 1 writer -> 3 readers, 64 bytes, per reader",
        .aim = "15 M/s",
        .entries =
            {
                {&ours_inside, "jimbot, 1 -> 3", MANY(1, 3), 0, 0},
                {&ours_inside, "jimbot, 1 -> 1", MANY(1, 1), 0.5, 0},
            },
    },
    {
        .name = "4to4",
        .title = "in-process, 4 writers -> 4 readers on 2 cores, 64 bytes, per reader",
        .entries =
            {
                {&ours_inside, "jimbot, 4 -> 4", CROWD(4, 4), 0, 0},
                {&ours_inside, "jimbot, 1 -> 1", MANY(1, 1), 0.5, 0},
            },
    },
    ACROSS(64, "across-64"),
    ACROSS(1024, "across-1k"),
    ACROSS(4096, "across-4k"),
    ACROSS(16384, "across-16k"),
    {
        .name = "latency",
        .title = "between processes, one way (half of there and back), 64 bytes, both awake",
        .aim = "p50 75 ns, p99 250 ns",
        .sense = TIMES_AS_LONG,
        .is_latency = true,
        .entries =
            {
                {&ours_echo, NULL, ONE(64), 0, 0},
                {&line_hand_off, NULL, ONE(64), 2.5, 6},
            },
    },
    {
        .name = "parked",
        .title = "between processes, one way, 64 bytes, the reader asleep in the kernel",
        .sense = TIMES_AS_LONG,
        .is_latency = true,
        .entries =
            {
                {&ours_wake, "jimbot, JB_WAIT_BLOCK", MODE(64, OURS_BLOCK), 0, 0},
                {&futex_wake, NULL, ONE(64), 1.2, 0},
                {&ours_wake, "jimbot, JB_WAIT_SPIN for 1 ms", MODE(64, OURS_SPIN), 0, 0},
            },
    },
    {
        .name = "filter",
        .title = "in-process, 1 -> 1, 64 bytes, among 10000 patterns over 1000 topics",
        .sense = TIMES_AS_LONG,
        .entries =
            {
                {&ours_among_subs, "1 of 1024 subscriptions with 10000 patterns",
                 MODE(64, OURS_MANY), 0, 0},
                {&ours_among_subs, "1 subscription, 1 pattern, 1 topic", MODE(64, 0), 1.1, 0},
            },
    },
    {
        .name = "patterns",
        .title = "in-process, 1 -> 1, 64 bytes, one subscription with 10000 patterns",
        .sense = TIMES_AS_LONG,
        .entries =
            {
                {&ours_among_patterns, "10000 patterns, 1000 topics by turns", MODE(64, OURS_MANY),
                 0, 0},
                {&ours_among_patterns, "1 pattern, 1 topic", MODE(64, 0), 1.1, 0},
            },
    },
    {
        .name = "python",
        .title = "headers of a batch as arrays",
        .aim = "10 M/s",
        .entries =
            {
                {&ours_python, NULL, SELF(64), 0, 0},
                {&struct_python, NULL, SELF(64), 3, 0},
            },
    },
    {
        .name = "alone",
        .title = "one thread: no cache line changes hands",
        .entries =
            {
                {&ours_alone, "publish, no subscriber", SELF(64), 0, 0},
                {&ours_turns, "publish 100, poll 100, by turns", SELF(64), 0, 0},
            },
    },
};

const size_t bench_n_rows = sizeof bench_rows / sizeof bench_rows[0];
