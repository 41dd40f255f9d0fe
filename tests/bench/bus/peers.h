/*
 * peers.h: every peer there is; those whose library was not there at configuration are absent, and
 * rows.c says so with a word.
 */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

#include "bench.h"

/* What the machine itself gives. */
extern const struct peer spsc_each, spsc_64, copy_in_out;
extern const struct peer line_hand_off, futex_wake;

/* Libraries, between threads. */
extern const struct peer ck_mpmc, moody, zmq_inproc;

/* Between processes. */
extern const struct peer unix_packets, unix_stream, iceoryx, zmq_ipc, nats, redis, redis_single;

/* Ours, measured otherwise than by a flow of numbers. */
extern const struct peer ours_alone, ours_turns, ours_echo, ours_wake;
extern const struct peer ours_among_subs, ours_among_patterns, ours_python, struct_python;

#endif
