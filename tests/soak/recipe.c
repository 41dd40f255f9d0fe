/*
 * recipe.c: see recipe.h. Most events are small, some fill several kilobytes, and one in a few
 * hundred is as large as the ring takes.
 */
#include "recipe.h"

#include <string.h>

const char *soak_topic_name(uint32_t producer, uint32_t topic)
{
    static const char *const others[SOAK_SYSTEM_TOPICS] = {
        "system.bus.orphan",  "system.bus.revoked", "system.bus.reader_died",
        "system.bus.evicted", "talk.ask.now",       "system.reply."};
    static const char *const names[SOAK_TOPICS] = {
        "soak.a.fast", "soak.a.slow",      "soak.b.fast", "soak.b.slow",
        "soak.c",      "soak.c.deep.down", "noise.x",     "noise.y.z",
    };

    return producer == SOAK_SYSTEM ? others[topic] : names[topic];
}

static uint32_t size_of(const struct recipe *recipe, uint64_t key)
{
    uint32_t dice = (uint32_t)(key >> 16) & 1023;
    uint64_t size = key >> 32;

    if (dice < 40)
        return (uint32_t)(size % 8);
    if (dice < 900)
        return (uint32_t)(size % 256);
    if (dice < 1021)
        return (uint32_t)(size % 4096);
    return dice == 1021 ? recipe->max_bytes : (uint32_t)(size % recipe->max_bytes);
}

void recipe_event(const struct recipe *recipe, uint32_t producer, uint64_t number,
                  struct soak_event *ret_event)
{
    uint64_t key = soak_mix(recipe->seed ^ soak_mix((uint64_t)producer << 56 ^ number));

    ret_event->producer = producer;
    ret_event->number = number;
    ret_event->place = 0;
    ret_event->key = key;
    ret_event->topic =
        producer == SOAK_CLOSER ? (uint32_t)(number - 1) : (uint32_t)(key % SOAK_TOPICS);
    ret_event->priority = (uint8_t)((key >> 8 & 0xff) % 3);
    ret_event->about = producer << 8 | (uint32_t)(key >> 12) % SOAK_KEYS;
    ret_event->len_bytes = producer == SOAK_CLOSER ? 8 : size_of(recipe, key);
}

uint32_t recipe_identify(const struct recipe *recipe, const jb_event *event,
                         struct soak_event *ret_event)
{
    uint64_t number;

    if (event->type < 1 || event->type > SOAK_CLOSER + 1 || !(event->source_time >= 1) ||
        event->source_time > 1e12 || event->publisher == 0 || event->flags)
        return SOAK_PRODUCERS;
    number = (uint64_t)event->source_time;
    recipe_event(recipe, event->type - 1u, number, ret_event);
    ret_event->place = (uint32_t)((event->source_time - (double)number) * 4096);
    return ret_event->producer;
}

void recipe_head(const struct soak_event *event, uint32_t topic_id, jb_event_head *ret_head)
{
    memset(ret_head, 0, sizeof *ret_head);
    ret_head->topic_id = topic_id;
    ret_head->type = (uint16_t)(event->producer + 1);
    ret_head->priority = event->priority;
    ret_head->key = event->about;
    ret_head->source_time = (double)event->number + event->place / 4096.0;
}

static uint64_t word_at(const struct soak_event *event, uint32_t offset)
{
    uint64_t x = event->key + offset * UINT64_C(0x9e3779b97f4a7c15);

    return (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
}

void recipe_fill(const struct soak_event *event, uint8_t *payload)
{
    for (uint32_t at = 0; at < event->len_bytes; at += 8) {
        uint64_t word = word_at(event, at);
        uint32_t left = event->len_bytes - at;

        memcpy(payload + at, &word, left < 8 ? left : 8);
    }
}

int64_t recipe_compare(const struct soak_event *event, const uint8_t *payload)
{
    for (uint32_t at = 0; at < event->len_bytes; at += 8) {
        uint64_t word = word_at(event, at);
        uint32_t left = event->len_bytes - at;

        if (memcmp(payload + at, &word, left < 8 ? left : 8) != 0)
            return at;
    }
    return -1;
}
