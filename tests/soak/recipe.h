/*
 * recipe.h: what event number k of producer p is: topic, priority, size and every byte.
 *
 * Invariant: all of it is a function of (seed, producer, number), so a reader needs no message from
 * the producer to know what it must see, and a byte from any other event is told from the right
 * one. The header of an event carries producer (type), number and place in its batch (source_time),
 * so that even an empty payload says who it is. Only the bus's own notices, questions and answers
 * have no recipe.
 */
#ifndef SOAK_RECIPE_H
#define SOAK_RECIPE_H

#include "jimbot/jimbot.h"

enum {
    SOAK_PRODUCERS = 17,
    SOAK_CLOSER = 15,  /* says one word on each topic when all others are silent */
    SOAK_SYSTEM = 16,  /* stands for the bus, which publishes notices of its own */
    SOAK_NOTICES = 4,  /* topics of that one */
    SOAK_QUESTION = 4, /* and those of questions and answers, which have no recipe either */
    SOAK_ANSWER = 5,
    SOAK_SYSTEM_TOPICS = 6,
    SOAK_TOPICS = 8,
    SOAK_KEYS = 4,          /* of each producer */
    SOAK_RECORD_BYTES = 32, /* header of a record: bus.h */
};

struct recipe {
    uint64_t seed;
    uint32_t max_bytes; /* largest payload of this ring */
};

struct soak_event {
    uint32_t producer;
    uint64_t number; /* 1, 2, 3 ... of that producer */
    uint32_t place;  /* in its batch; 0 for the first, and for one on its own */
    uint32_t topic;
    uint8_t priority;
    uint32_t about; /* jb_event_head.key: SOAK_KEYS for each producer */
    uint32_t len_bytes;
    uint64_t key;
};

/* Mixes a word so that every bit of the result depends on every bit of it. */
static inline uint64_t soak_mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* A stream of random words; the state is the caller's. */
static inline uint64_t soak_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return soak_mix(*state);
}

/* 0 .. n - 1. */
static inline uint64_t soak_below(uint64_t *state, uint64_t n)
{
    return soak_random(state) % n;
}

/* Topic and key of a producer's event, in one number; the newer replaces the older. */
enum { SOAK_TOPIC_KEYS = SOAK_PRODUCERS * SOAK_KEYS * SOAK_TOPICS };

static inline uint32_t soak_topic_key(const struct soak_event *event)
{
    return (event->producer * SOAK_KEYS + event->about % SOAK_KEYS) * SOAK_TOPICS + event->topic;
}

const char *soak_topic_name(uint32_t producer, uint32_t topic);

void recipe_event(const struct recipe *recipe, uint32_t producer, uint64_t number,
                  struct soak_event *ret_event);

/* The event that an event of the bus says it is, SOAK_PRODUCERS when it is none of ours. */
uint32_t recipe_identify(const struct recipe *recipe, const jb_event *event,
                         struct soak_event *ret_event);

/* What a publisher says about it. `topic_id` is the bus's. */
void recipe_head(const struct soak_event *event, uint32_t topic_id, jb_event_head *ret_head);

void recipe_fill(const struct soak_event *event, uint8_t *payload);

/* Where the first wrong byte is, or -1. */
int64_t recipe_compare(const struct soak_event *event, const uint8_t *payload);

#endif
