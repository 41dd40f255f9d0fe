/*
 * absent.c: peers whose library was not there when this was configured: each is a word in the
 * table, so that nobody takes a missing line for a forgotten one.
 */
#include "peers.h"

#define ABSENT(which, title, package)                                                              \
    static const char *word_##which(void)                                                          \
    {                                                                                              \
        return "skipped: built without " package;                                                  \
    }                                                                                              \
    const struct peer which = {.name = title, .start = word_##which};

#ifndef HAVE_CK
ABSENT(ck_mpmc, "Concurrency Kit ck_ring MPMC, pointers", "libck-dev")
#endif
#ifndef HAVE_MOODY
ABSENT(moody, "moodycamel ConcurrentQueue", "libconcurrentqueue-dev or a C++ compiler")
#endif
#ifndef HAVE_ZMQ
ABSENT(zmq_inproc, "ZeroMQ inproc PAIR", "libzmq3-dev")
ABSENT(zmq_ipc, "ZeroMQ ipc PUSH-PULL", "libzmq3-dev")
#endif
#ifndef HAVE_ICEORYX
ABSENT(iceoryx, "iceoryx, untyped publisher, C binding", "libiceoryx-binding-c-dev")
#endif
#ifndef HAVE_NATS
ABSENT(nats, "NATS core, one subject", "libnats-dev")
#endif
#ifndef HAVE_HIREDIS
ABSENT(redis, "Redis streams, pipelined by 64", "libhiredis-dev")
ABSENT(redis_single, "Redis streams, one at a time", "libhiredis-dev")
#endif
