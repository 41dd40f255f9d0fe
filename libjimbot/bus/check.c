/*
 * check.c: a bus looked at from outside.
 *
 * Invariant: the segment is never mapped. Its parts are read through the file into memory of our
 * own and only that is examined, so nothing can change or vanish under the examination. The parts
 * are read in an order in which a bus in use shows nothing that a bus at rest could not: see
 * copy_words().
 */
#include "bus/check.h"
#include "base/alloc.h"
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FAULTS_REPORTED = 64, LOG_CHUNK_BYTES = 1 << 20 };

void jbi_look_report(struct jbi_look *look, jb_check_item *item)
{
    item->size = sizeof *item;
    if (look->fn)
        look->fn(item, look->userdata);
}

void jbi_look_fault(struct jbi_look *look, uint64_t offset, uint64_t position, const char *format,
                    ...)
{
    jb_check_item item = {.kind = JB_CHECK_FAULT, .offset = offset, .position = position};
    va_list args;

    if (look->check->n_faults++ >= FAULTS_REPORTED)
        return;
    va_start(args, format);
    vsnprintf(item.text, sizeof item.text, format, args);
    va_end(args);
    jbi_look_report(look, &item);
}

int jbi_look_copy(struct jbi_look *look, uint64_t from, uint64_t to, jb_error *err)
{
    struct jbi_segment *segment = &look->bus.segment;
    size_t len = 0;
    int rc =
        jbi_os_file_read_at(segment->fd, from, segment->base + from, (size_t)(to - from), &len);

    if (rc)
        return jbi_error_os(err, JB_ESYS, rc, "cannot read %s", segment->path);
    if (len != to - from)
        return jbi_error_set(err, JB_ELAYOUT, "%s was cut short while it was read", segment->path);
    return 0;
}

static uint64_t head_now(struct jbi_look *look)
{
    uint64_t head = 0;
    size_t len = 0;

    (void)jbi_os_file_read_at(look->bus.segment.fd,
                              jbi_look_offset(look, (const void *)&look->bus.ring.control->head),
                              &head, sizeof head, &len);
    return len == sizeof head ? jbi_head_position(head) : UINT64_MAX;
}

/* Everything but the log. Cursors and tail first, then groups, then the marks, then the head: so no
 * cursor stands behind the end of the chain that the marks tell of, and the head is in it. */
static int copy_words(struct jbi_look *look, jb_error *err)
{
    struct jbi_ring *ring = &look->bus.ring;
    uint64_t head_at = jbi_look_offset(look, (const void *)&ring->control->head);
    uint64_t marks = jbi_look_offset(look, (const void *)ring->marks);
    int rc = jbi_look_copy(look, 0, marks, err);

    if (!rc)
        rc = jbi_look_copy_groups(look, err);
    if (!rc)
        rc = jbi_look_copy(look, marks, jbi_look_offset(look, ring->log), err);
    for (int i = 0; !rc && i < JBI_CHECK_LOOKS; i++) {
        uint64_t head, count;

        rc = jbi_look_copy(look, head_at, head_at + sizeof head, err);
        if (rc)
            break;
        head = jbi_head_position(atomic_load_explicit(&ring->control->head, memory_order_relaxed));
        count = jbi_look_offset(look, (const void *)&ring->counts[jbi_ring_block(ring, head)]);
        rc = jbi_look_copy(look, count, count + sizeof(uint64_t), err);
        if (head_now(look) == head)
            break;
    }
    return rc;
}

static void check_creator(struct jbi_look *look)
{
    const struct jbi_segment_header *header = &look->bus.segment.header;
    jb_check *check = look->check;
    uint64_t boot_id[2];

    jbi_os_boot_id(boot_id);
    check->layout_version = (uint32_t)header->layout_version;
    check->is_in_use = jbi_segment_is_in_use(&look->bus.segment);
    check->is_kept = (header->flags & JBI_SEGMENT_KEEP) != 0;
    check->is_this_boot = memcmp(boot_id, header->boot_id, sizeof boot_id) == 0;
    check->is_over = jbi_segment_is_over(&look->bus.segment);
    check->creator_pid = header->creator_pid;
    check->creator_start = header->creator_start;
    check->is_creator_alive = check->is_this_boot && header->creator_start != 0 &&
                              jbi_os_process_start(header->creator_pid) == header->creator_start;
    check->created_ns = header->created_ns;
    check->utc_offset_ns = header->utc_offset_ns;
    check->size_bytes = look->bus.segment.size_bytes;
    check->capacity_bytes = header->params[JBI_PARAM_CAPACITY];
    check->max_peers = (uint32_t)header->params[JBI_PARAM_PEERS];
    check->max_subs = (uint32_t)header->params[JBI_PARAM_SUBS];
    check->max_topics = (uint32_t)header->params[JBI_PARAM_TOPICS];
    check->max_groups = (uint32_t)header->params[JBI_PARAM_GROUPS];
}

static void name_copy(char *to, size_t cap_bytes, const char *from)
{
    memcpy(to, from, cap_bytes - 1);
    to[cap_bytes - 1] = '\0';
}

static void check_peers(struct jbi_look *look)
{
    for (uint32_t peer = 1; peer <= look->bus.peers.n_slots; peer++) {
        const struct jbi_peer_slot *slot = jbi_peer_slot_get(&look->bus.peers, peer);
        uint32_t state = atomic_load_explicit(&slot->state, memory_order_relaxed);
        jb_check_item item = {.kind = JB_CHECK_PEER, .idx = peer, .peer = peer};

        if (state > 1)
            jbi_look_fault(look, jbi_look_offset(look, slot), 0,
                           "peer %u: its state is %u, not 0 or 1", peer, state);
        if (state == 0)
            continue;
        item.pid = slot->pid;
        item.is_alive = jbi_peer_is_alive(&look->bus.peers, peer, 0);
        item.offset = jbi_look_offset(look, slot);
        item.since_ns = slot->attached_ns;
        item.start = slot->pid_start;
        name_copy(item.name, sizeof item.name, slot->name);
        look->check->n_peers += item.is_alive;
        look->check->n_peers_dead += !item.is_alive;
        jbi_look_report(look, &item);
    }
}

void jbi_look_owner(struct jbi_look *look, uint32_t peer, jb_check_item *item)
{
    const struct jbi_peer_slot *slot = jbi_peer_slot_get(&look->bus.peers, peer);

    item->peer = peer;
    if (slot) {
        item->pid = slot->pid;
        item->is_alive = jbi_peer_is_alive(&look->bus.peers, peer, 0);
    }
}

static void check_sub(struct jbi_look *look, uint32_t idx)
{
    const struct jbi_reader_slot *slot = &look->bus.ring.readers[idx];
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);
    uint32_t state = (uint32_t)jbi_reader_state(word);
    jb_check_item item = {.kind = JB_CHECK_SUB, .idx = idx, .offset = jbi_look_offset(look, slot)};
    jb_check *check = look->check;

    if (state == JBI_READER_FREE)
        return;
    jbi_look_owner(look, jbi_reader_peer(word), &item);
    /* One of no peer is a consumer group's. */
    if (item.peer == 0)
        item.group = atomic_load_explicit(&slot->group, memory_order_relaxed);
    if (!jbi_peer_slot_get(&look->bus.peers, item.peer) &&
        (item.peer != 0 || item.group < 1 || item.group > look->bus.n_groups))
        jbi_look_fault(look, item.offset, 0, "subscription %u: its owner is peer %u of %u", idx,
                       item.peer, check->max_peers);
    if (state == JBI_READER_SETUP)
        return;
    if (state > JBI_READER_EVICTED)
        jbi_look_fault(look, item.offset, 0, "subscription %u: it has a state of %u", idx, state);
    item.position = atomic_load_explicit(&slot->cursor, memory_order_relaxed);
    item.is_holding = state == JBI_READER_LOSSLESS;
    item.policy = slot->policy;
    item.len_bytes = check->end > item.position ? check->end - item.position : 0;
    name_copy(item.name, sizeof item.name, slot->name);
    name_copy(item.text, sizeof item.text, slot->pattern);
    check->n_subs++;
    jbi_look_report(look, &item);
    /* Before the head it may stand: of one who died, or still is, in the middle of registering. */
    if (check->is_walk_complete && item.position > check->end)
        jbi_look_fault(look, item.offset, item.position,
                       "subscription %u: it stands at %llu, behind the end at %llu", idx,
                       (unsigned long long)item.position, (unsigned long long)check->end);
}

static void check_topics(struct jbi_look *look)
{
    struct jbi_topic_table *table = &look->bus.topics;
    char name[128];

    for (uint32_t id = 1; id <= table->n_slots; id++) {
        const _Atomic uint32_t *slot = &table->slots[id - 1];

        if (atomic_load_explicit(slot, memory_order_relaxed) == 0)
            continue;
        look->check->n_topics++;
        if (jbi_topic_name(table, id, name) < 0)
            jbi_look_fault(look, jbi_look_offset(look, (const void *)slot), 0,
                           "topic %u: its slot does not lead to a name", id);
    }
}

/* Makes the log's bytes of an extent ours. Extents never wrap. */
static int copy_log(struct jbi_look *look, uint64_t position, uint64_t bytes, jb_error *err)
{
    const struct jbi_ring *ring = &look->bus.ring;
    uint64_t at = position & (ring->capacity_bytes - 1);
    uint64_t log = jbi_look_offset(look, ring->log);
    uint64_t len = ring->capacity_bytes - at;
    int rc;

    if (position + bytes <= look->log_read)
        return 0;
    if (len > LOG_CHUNK_BYTES + bytes)
        len = LOG_CHUNK_BYTES + bytes;
    rc = jbi_look_copy(look, log + at, log + at + len, err);
    look->log_read = position + len;
    return rc;
}

/* The records of a committed extent. False when one of them is no record. */
static bool check_records(struct jbi_look *look, uint64_t position, uint64_t bytes)
{
    const struct jbi_ring *ring = &look->bus.ring;
    struct jbi_cursor cursor = {.position = position};

    while (cursor.position < position + bytes) {
        const uint8_t *payload = NULL;
        struct jbi_record record;

        if (jbi_cursor_step(ring, &cursor, &record, &payload) != JBI_STEP_EVENT ||
            record.topic_id < 1 || record.topic_id > look->bus.max_topics)
            return false;
        look->check->n_events++;
    }
    return true;
}

static void check_claim(struct jbi_look *look, uint64_t position, uint64_t mark, uint64_t bytes)
{
    const struct jbi_ring *ring = &look->bus.ring;
    jb_check_item item = {.kind = JB_CHECK_CLAIM, .position = position, .len_bytes = bytes};

    item.offset = jbi_look_offset(look, (const void *)&ring->marks[jbi_ring_block(ring, position)]);
    item.is_holding = jbi_mark_state(mark) == JBI_CLAIMED;
    jbi_look_owner(look, jbi_mark_owner(mark), &item);
    look->check->n_claims += item.is_holding;
    look->check->n_revoked += !item.is_holding;
    jbi_look_report(look, &item);
}

enum walk { WALK_ON, WALK_END, WALK_FAULT, WALK_OVERTAKEN };

/* One extent of the chain, whose mark is sound as far as the mark alone can tell. */
static enum walk check_extent(struct jbi_look *look, uint64_t position, uint64_t mark,
                              uint64_t bytes)
{
    switch (jbi_mark_state(mark)) {
    case JBI_CLAIMED:
        check_claim(look, position, mark, bytes);
        return WALK_ON;
    case JBI_COMMITTED:
        if (copy_log(look, position, bytes, NULL) || !check_records(look, position, bytes))
            return WALK_FAULT;
        return WALK_ON;
    default:
        if (jbi_mark_is_revoked(mark))
            check_claim(look, position, mark, bytes);
        else
            look->check->n_aborted++;
        return WALK_ON;
    }
}

/* From the head to the end of the chain. */
static enum walk check_chain(struct jbi_look *look)
{
    const struct jbi_ring *ring = &look->bus.ring;
    jb_check *check = look->check;
    struct jbi_cursor at;
    enum walk walk = WALK_ON;

    jbi_cursor_oldest(ring, &at);
    check->head = check->end = at.position;
    check->n_before = at.n_before;
    while (walk == WALK_ON) {
        uint64_t mark = jbi_ring_mark_load(ring, check->end);
        int age = jbi_mark_age(ring, mark, check->end);
        uint64_t bytes = age == 0 ? jbi_mark_bytes(ring, mark, check->end) : 0;

        if (age < 0)
            return WALK_END;
        /* A lap has as many blocks as there are marks, so this ends. */
        walk = bytes && check->end + bytes - check->head <= ring->capacity_bytes
                   ? check_extent(look, check->end, mark, bytes)
                   : WALK_FAULT;
        if (walk == WALK_FAULT && head_now(look) > check->end)
            walk = WALK_OVERTAKEN;
        if (walk == WALK_ON)
            check->end += bytes;
        if (walk == WALK_FAULT)
            jbi_look_fault(
                look,
                jbi_look_offset(look, (const void *)&ring->marks[jbi_ring_block(ring, check->end)]),
                check->end, "the chain breaks at %llu: mark 0x%016llx%s",
                (unsigned long long)check->end, (unsigned long long)mark,
                bytes ? ", whose records are none" : " does not follow");
    }
    return walk;
}

static void check_ring(struct jbi_look *look, enum walk walk)
{
    jb_check *check = look->check;
    uint64_t tail = jbi_ring_tail(&look->bus.ring);

    check->is_walk_complete = walk == WALK_END;
    check->used_bytes = check->end - check->head;
    check->free_bytes = check->capacity_bytes - check->used_bytes;
    if (check->is_walk_complete && tail > check->end)
        jbi_look_fault(look, jbi_look_offset(look, (const void *)&look->bus.ring.control->tail),
                       tail, "the tail is said to be at %llu, behind the end at %llu",
                       (unsigned long long)tail, (unsigned long long)check->end);
}

/* One look at everything, without a word. WALK_OVERTAKEN: the bus was faster; look again. */
static int look_once(struct jbi_look *look, enum walk *ret_walk, jb_error *err)
{
    jb_check_fn fn = look->fn;
    int rc = copy_words(look, err);

    if (rc)
        return rc;
    look->fn = NULL;
    look->log_read = 0;
    *ret_walk = check_chain(look);
    look->fn = fn;
    return 0;
}

static int look_through(struct jbi_look *look, jb_error *err)
{
    jb_check *check = look->check;
    uint32_t size = check->size;
    uint64_t broken_at = UINT64_MAX;
    enum walk walk = WALK_OVERTAKEN;

    for (int i = 0; walk != WALK_END && i < JBI_CHECK_LOOKS; i++) {
        int rc = look_once(look, &walk, err);

        if (rc)
            return rc;
        /* Who writes while we copy could make one look see a chain that never was; two looks that
         * break at one place have found it. */
        if (walk == WALK_FAULT && check->end == broken_at)
            break;
        broken_at = check->end;
    }
    memset(check, 0, sizeof *check);
    check->size = size;
    check_creator(look);
    check_peers(look);
    check_ring(look, check_chain(look));
    check_topics(look);
    for (uint32_t i = 0; i < look->bus.max_subs; i++)
        check_sub(look, i);
    jbi_look_check_groups(look);
    return 0;
}

/* The segment is found and verified; make room for a copy of it and look. */
static int look_copy(struct jbi_look *look, jb_error *err)
{
    struct jbi_segment *segment = &look->bus.segment;
    void *base = NULL;
    int rc = jbi_os_reserve(segment->size_bytes, &base);

    if (rc)
        return jbi_error_os(err, JB_ENOMEM, rc, "no memory for a copy of %s", segment->path);
    segment->base = base;
    jbi_geometry_place(&look->bus);
    rc = look_through(look, err);
    jbi_os_unmap(segment->base, segment->size_bytes);
    segment->base = NULL;
    return rc;
}

int jb_bus_check(const char *name, jb_check_fn fn, void *userdata, jb_check *ret_check,
                 jb_error *err)
{
    char path[JBI_PATH_BYTES];
    jb_check check = {0};
    struct jbi_look *look;
    jb_alloc alloc = jbi_alloc_or_default(NULL);
    int rc;

    if (!name || !ret_check || ret_check->size < sizeof(uint32_t))
        return jbi_error_set(err, JB_EINVAL, "name or ret_check is NULL, or its size is not set");
    rc = jbi_segment_path(name, path, err);
    if (rc)
        return rc;
    look = jbi_alloc_zeroed(&alloc, sizeof *look);
    if (!look)
        return jbi_error_set(err, JB_ENOMEM, "no memory to look at a bus");
    look->check = &check;
    look->fn = fn;
    look->userdata = userdata;
    rc = jbi_segment_find(path, true, &look->bus.segment, err);
    if (!rc) {
        rc = jbi_segment_verify(&look->bus.segment, jbi_geometry_fingerprint(), jbi_geometry_bytes,
                                err);
        if (!rc)
            rc = look_copy(look, err);
        jbi_os_file_close(look->bus.segment.fd);
    }
    if (!rc) {
        check.size = ret_check->size;
        rc = (int)check.n_faults;
        memcpy(ret_check, &check, check.size < sizeof check ? check.size : sizeof check);
    }
    jbi_alloc_free(&alloc, look, sizeof *look);
    return rc;
}

struct listing {
    const char *folder;
    size_t prefix_bytes;
    jb_bus_list_fn fn;
    void *userdata;
    int n;
};

static bool list_one(const char *file, void *userdata)
{
    struct listing *listing = userdata;
    char path[JBI_PATH_BYTES];
    struct jbi_segment found;
    int n = snprintf(path, sizeof path, "%s/%s", listing->folder, file);

    if (n >= (int)sizeof path || jbi_segment_find(path, true, &found, NULL))
        return true;
    jbi_segment_close(&found);
    listing->n++;
    if (listing->fn)
        listing->fn(file + listing->prefix_bytes, listing->userdata);
    return true;
}

int jb_bus_list(jb_bus_list_fn fn, void *userdata, jb_error *err)
{
    char path[JBI_PATH_BYTES], folder[JBI_PATH_BYTES];
    struct listing listing = {.folder = folder, .fn = fn, .userdata = userdata};
    char *slash;
    int rc = jbi_segment_path("x", path, err);

    if (rc)
        return rc;
    path[strlen(path) - 1] = '\0';
    memcpy(folder, path, sizeof folder);
    slash = strrchr(folder, '/');
    *slash = '\0';
    listing.prefix_bytes = strlen(slash + 1);
    rc = jbi_os_folder_each(folder, slash + 1, list_one, &listing);
    if (rc)
        return jbi_error_os(err, rc == ENOENT || rc == ENOTDIR ? JB_ENOENT : JB_EPERM, rc,
                            "cannot list %s", folder);
    return listing.n;
}
