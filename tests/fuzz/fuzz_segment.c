/*
 * Any bytes in a segment: attach, subscribe in every way, join a group, read, publish, count,
 * close.
 *
 * The input says how a small, sound segment is damaged: its first byte holds flags, the rest is
 * patches (part, offset, length, bytes), or the whole file. What must hold: an error, or events
 * that lie within the segment and end; no call hangs; nothing is touched outside, which the pages
 * before and after the mapping see to.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bus/bus_internal.h"
#include "group_use.h"
#include "guarded_map.h"
#include "jimbot/check.h"

enum { N_PARTS = 11, CAPACITY = 65536, CPU_LIMIT_NS = 500000000 };
enum { MODE_LIVE_PEER = 1, MODE_SEAL = 2, MODE_WHOLE = 4, MODE_OPEN = 8, MODE_WAIT = 16 };

static char path[64];
static uint8_t *sound;
static size_t sound_bytes;
static size_t part_at[N_PARTS + 1];

static jb_bus_opts small_opts(void)
{
    jb_bus_opts opts;

    jb_bus_opts_init(&opts, sizeof opts);
    opts.capacity_bytes = CAPACITY;
    opts.max_topics = 64;
    opts.max_subs = 6;
    opts.max_peers = 4;
    opts.max_groups = 1;
    opts.flags = JB_BUS_KEEP;
    opts.stall_after_ns = 1000000;
    return opts;
}

static jb_sub *subscribe(jb_bus *bus, const char *pattern, uint32_t policy, uint32_t start)
{
    jb_sub_opts opts;
    jb_sub *sub = NULL;

    jb_sub_opts_init(&opts, sizeof opts);
    opts.policy = policy;
    opts.start = start;
    opts.evict_after_ns = 1000000;
    (void)jb_bus_subscribe(bus, pattern, strlen(pattern), &opts, &sub, NULL);
    return sub;
}

static void publish(jb_bus *bus, const char *topic, size_t len_bytes)
{
    static const uint8_t bytes[CAPACITY / 4];
    jb_event_head head = {.type = JB_EVENT_CUSTOM};

    if (jb_bus_topic(bus, topic, strlen(topic), &head.topic_id) == 0)
        (void)jb_bus_publish(bus, &head, bytes, len_bytes);
}

static void publish_batch(jb_bus *bus, uint32_t n_events)
{
    static const uint8_t bytes[256];
    jb_event_head heads[64];
    const void *payloads[64];
    uint32_t lens_bytes[64], topic_id;

    if (jb_bus_topic(bus, "a.b", 3, &topic_id))
        return;
    for (uint32_t i = 0; i < n_events; i++) {
        heads[i] = (jb_event_head){.topic_id = topic_id, .type = JB_EVENT_CUSTOM};
        payloads[i] = bytes;
        lens_bytes[i] = i * 37 % 100;
    }
    (void)jb_bus_publish_batch(bus, heads, payloads, lens_bytes, n_events);
}

/* Where the parts of a segment lie, as the library itself places them. */
static void find_parts(const jb_bus *bus)
{
    const void *const parts[N_PARTS] = {
        bus->segment.base, bus->peers.slots,  bus->topics.control, bus->topics.slots,
        bus->topics.heap,  bus->ring.control, bus->ring.readers,   bus->ring.marks,
        bus->ring.counts,  bus->ring.log,     bus->groups_control,
    };

    for (int i = 0; i < N_PARTS; i++)
        part_at[i] = (size_t)((const uint8_t *)parts[i] - bus->segment.base);
    part_at[N_PARTS] = bus->segment.size_bytes;
}

/* A claim that a living publisher forgot, taken back from it after a lap. */
static void make_revoked(jb_bus *forgetful, jb_bus *other)
{
    jb_event_head head = {.type = JB_EVENT_CUSTOM};
    jb_bus_stats stats = {.size = sizeof stats};
    jb_claim claim;

    require(jb_bus_topic(other, "a.b", 3, &head.topic_id) == 0);
    require(jb_bus_claim(forgetful, &head, 200, &claim) == 0);
    for (int i = 0; i < 2000 && stats.n_published < 700; i++) {
        publish(other, "a.b", 500);
        require(jb_bus_get_stats(other, &stats) == 0);
        if (i % 100 == 99)
            jbi_os_sleep_ns(5000000);
    }
    require(stats.n_published >= 700);
}

/* A worker with events it holds, one it gave back, one that is done with. */
static jb_worker *make_group(jb_bus *bus)
{
    jb_worker *worker = group_join(bus);
    jb_event events[5];

    require(worker && jb_worker_take(worker, events, 5) == 5);
    require(jb_worker_ack(worker, events[2].sequence) == 0);
    require(jb_worker_nack(worker, events[1].sequence) == 0);
    return worker;
}

/* A segment as a crash leaves it: several laps old, a lossless reader half way, a latest one, a
 * group, batches, an aborted claim, a revoked one and two open ones. */
static void make_sound(void)
{
    jb_bus_opts opts = small_opts();
    jb_bus *first, *second;
    jb_event_head head = {.type = JB_EVENT_CUSTOM};
    jb_claim claim;
    jb_check found = {.size = sizeof found};
    jb_sub *slow, *fast;
    jb_worker *worker;

    snprintf(path, sizeof path, "/dev/shm/jimbot-fuzz-%d", (int)getpid());
    require(jb_bus_create(path, &opts, &first, NULL) == 0);
    require(jb_bus_attach(path, NULL, &second, NULL) == 0);
    for (size_t i = 0; i < 400; i++)
        publish(i % 3 ? first : second, i % 2 ? "a.b" : "game.money.changed", i * 7 % 900);
    make_revoked(second, first);
    slow = subscribe(second, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    fast = subscribe(second, "a.*", JB_SUB_LATEST, JB_SUB_FROM_OLDEST);
    require(slow && fast);
    for (size_t i = 0; i < 30; i++)
        publish(first, i % 2 ? "a.b" : "system.bus.x", 100 + i);
    publish_batch(first, 64);
    publish_batch(second, 3);
    require(jb_bus_topic(first, "a.b", 3, &head.topic_id) == 0);
    require(jb_bus_claim(first, &head, 500, &claim) == 0 && jb_bus_abort(first, &claim) == 0);
    require(jb_bus_claim(second, &head, 300, &claim) == 0);
    publish(first, "a.b", 50);
    require(jb_bus_claim(first, &head, 30, &claim) == 0);
    worker = make_group(first);
    require(jb_bus_check(path, NULL, NULL, &found, NULL) == 0);
    require(found.n_claims == 2 && found.n_revoked == 1 && found.n_events > 60);
    find_parts(first);
    sound_bytes = first->segment.size_bytes;
    sound = malloc(sound_bytes);
    require(sound != NULL);
    memcpy(sound, first->segment.base, sound_bytes);
    jb_sub_close(slow);
    jb_sub_close(fast);
    jb_worker_leave(worker);
    jb_bus_close(second);
    jb_bus_close(first);
}

static void remove_file(void)
{
    unlink(path);
}

static void patch(uint8_t *file, const uint8_t *data, size_t size)
{
    while (size >= 5) {
        size_t part = data[0] % N_PARTS;
        size_t room = part_at[part + 1] - part_at[part];
        size_t at = (data[1] | (size_t)data[2] << 8) * (data[0] & 128 ? 8 : 1) % room;
        size_t len = data[3] % 64 + 1u;

        data += 4;
        size -= 4;
        if (len > size)
            len = size;
        if (len > room - at)
            len = room - at;
        memcpy(file + part_at[part] + at, data, len);
        data += len;
        size -= len;
    }
}

/* What a hostile writer would do too: the seal is a hash, not a secret. */
static void seal(struct jbi_segment_header *header)
{
    uint64_t hash = jbi_geometry_fingerprint();
    uint64_t word;

    header->fingerprint = 0;
    for (size_t at = 0; at < offsetof(struct jbi_segment_header, ready); at += sizeof word) {
        memcpy(&word, (const uint8_t *)header + at, sizeof word);
        hash = (hash ^ word) * UINT64_C(1099511628211);
    }
    header->fingerprint = hash;
}

static int write_file(uint8_t mode, const uint8_t *data, size_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    uint8_t *file = malloc(sound_bytes);

    require(fd >= 0 && file);
    memcpy(file, sound, sound_bytes);
    if (!(mode & MODE_WHOLE))
        patch(file, data, size);
    if (mode & MODE_SEAL)
        seal((struct jbi_segment_header *)(void *)file);
    if (mode & MODE_WHOLE)
        require(write(fd, data, size) == (ssize_t)size);
    else
        require(write(fd, file, sound_bytes) == (ssize_t)sound_bytes);
    free(file);
    return fd;
}

static void look_at(const jb_event *event)
{
    volatile uint8_t sum = 0;

    require(event->len_bytes <= CAPACITY / 4);
    for (uint32_t i = 0; i < event->len_bytes; i++)
        sum = (uint8_t)(sum + event->payload[i]);
}

static void look_in_place(const jb_event *event)
{
    require(event->payload >= map_at && event->payload + event->len_bytes <= map_at + map_bytes);
    look_at(event);
}

/* A ring of n blocks has n events at most, and we publish few. */
static void drain(jb_sub *sub)
{
    jb_event events[64];
    jb_sub_stats stats = {.size = sizeof stats};
    uint32_t n_seen = 0;
    int n = 1;

    if (!sub)
        return;
    for (uint32_t turn = 0; n > 0; turn++) {
        n = jb_sub_peek(sub, events, turn % 5 ? 64 : 3);
        require(n <= 64);
        for (int i = 0; i < n; i++)
            (sub->policy == JB_SUB_LOSSLESS ? look_in_place : look_at)(&events[i]);
        if (n > 0)
            require((turn % 3 ? jb_sub_advance(sub) : jb_sub_advance_n(sub, 1)) == 0);
        require(++n_seen < 2 * CAPACITY / JBI_BLOCK_BYTES);
    }
    (void)jb_sub_wait(sub, 0);
    (void)jb_sub_get_stats(sub, &stats);
}

static void look_around(jb_bus *bus)
{
    jb_bus_stats stats = {.size = sizeof stats};
    const char *name;

    require(jb_bus_get_stats(bus, &stats) == 0 && group_figures_are_sound(bus));
    for (uint32_t id = 0; id <= 65; id++) {
        int len = jb_bus_topic_name(bus, id, &name);

        require(len < 0 || (len <= JB_TOPIC_MAX_BYTES && strlen(name) == (size_t)len));
    }
    for (uint32_t i = 0; i <= 6; i++) {
        jb_peer_stats peer = {.size = sizeof peer};
        jb_sub_stats sub = {.size = sizeof sub};

        require(jb_bus_peer_stats(bus, i, &peer) || strnlen(peer.name, 32) < 32);
        require(jb_bus_sub_stats(bus, i, &sub) || strnlen(sub.pattern, 128) < 128);
    }
}

static void use(jb_bus *bus, bool may_wait)
{
    jb_sub *subs[3];
    jb_event_head head = {.topic_id = 1, .type = JB_EVENT_CUSTOM};
    jb_claim claim;

    look_around(bus);
    subs[0] = subscribe(bus, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_OLDEST);
    subs[1] = subscribe(bus, "*.b", JB_SUB_LATEST, JB_SUB_FROM_OLDEST);
    subs[2] = subscribe(bus, "x.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    drain(subs[1]);
    for (size_t i = 0; i < 20; i++)
        publish(bus, i % 2 ? "a.b" : "x.new", i * 331);
    drain(subs[0]);
    publish_batch(bus, 20);
    group_use(bus, look_in_place);
    if (jb_bus_claim(bus, &head, 10000, &claim) == 0)
        (void)jb_bus_abort(bus, &claim);
    (void)jb_bus_wait_space(bus, CAPACITY / 8, 0);
    if (may_wait) {
        /* Long enough to look after whoever is in the way, twice. */
        (void)jb_bus_wait_space(bus, CAPACITY / 4 - 32, 25000000);
        if (subs[2])
            (void)jb_sub_wait(subs[2], 100000);
    }
    for (int i = 0; i < 3; i++)
        drain(subs[i]);
    publish(bus, "a.b", CAPACITY / 4 - 32);
    publish_batch(bus, 64);
    drain(subs[2]);
    for (int i = 0; i < 3; i++)
        jb_sub_close(subs[i]);
    look_around(bus);
}

static void item_is_sound(const jb_check_item *item, void *userdata)
{
    uint32_t *n_items = userdata;

    require(item->kind >= JB_CHECK_PEER && item->kind <= JB_CHECK_WORKER);
    require(item->offset < sound_bytes);
    require(strnlen(item->name, 32) < 32 && strnlen(item->text, 128) < 128);
    require((item->kind == JB_CHECK_FAULT) == (item->text[0] != '\0') ||
            item->kind == JB_CHECK_SUB || item->kind == JB_CHECK_GROUP);
    ++*n_items;
}

/* A report or an error, whatever the file holds. */
static void check(void)
{
    jb_check found = {.size = sizeof found};
    uint32_t n_items = 0;
    jb_error err;
    int rc;

    jb_error_init(&err);
    rc = jb_bus_check(path, item_is_sound, &n_items, &found, &err);
    require(rc >= 0 || (err.code == rc && err.msg[0]));
    if (rc < 0)
        return;
    require((uint32_t)rc == found.n_faults && found.size_bytes == sound_bytes);
    require(found.used_bytes <= CAPACITY && found.used_bytes + found.free_bytes == CAPACITY);
    require(n_items >= found.n_claims && (rc == 0 || n_items > 0));
}

static uint64_t cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t start = cpu_ns();
    jb_bus_opts opts = small_opts();
    uint8_t mode = size ? data[0] : 0;
    jb_bus *bus = NULL;
    jb_error err;
    int fd, rc;

    if (!sound) {
        make_sound();
        atexit(remove_file);
    }
    fd = write_file(mode, data + (size != 0), size - (size != 0));
    if (mode & MODE_LIVE_PEER)
        require(jbi_os_lock_try(fd, JBI_LOCK_PEERS + 2) == 0);
    check();
    jb_error_init(&err);
    rc = (mode & MODE_OPEN ? jb_bus_open : jb_bus_attach)(path, &opts, &bus, &err);
    require(rc == 0 || (rc < 0 && err.code == rc && err.msg[0]));
    if (rc == 0)
        use(bus, mode & MODE_WAIT);
    check();
    jb_bus_close(bus);
    close(fd);
    require(cpu_ns() - start < CPU_LIMIT_NS);
    return 0;
}
