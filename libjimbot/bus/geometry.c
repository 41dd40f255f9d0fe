/*
 * geometry.c: where in a segment the parts of a bus lie.
 *
 * Invariant: the place of every part follows from a few numbers of the header by the arithmetic
 * below, the same in the process that creates and in those that attach.
 */
#include "bus/bus_internal.h"
#include "bus/group.h"

enum { GROUPS_MAX = 64 };

enum part {
    PART_PEERS,
    PART_TOPIC_CONTROL,
    PART_TOPIC_SLOTS,
    PART_TOPIC_HEAP,
    PART_RING_CONTROL,
    PART_READERS,
    PART_MARKS,
    PART_COUNTS,
    PART_LOG,
    PART_GROUPS,
    N_PARTS
};

static bool is_power_of_two(uint64_t value)
{
    return value && !(value & (value - 1));
}

static bool params_are_legal(const uint64_t params[JBI_SEGMENT_PARAMS])
{
    uint64_t capacity = params[JBI_PARAM_CAPACITY];
    uint64_t topics = params[JBI_PARAM_TOPICS];

    return is_power_of_two(capacity) && capacity >= 65536 && capacity <= UINT64_C(1) << 36 &&
           is_power_of_two(topics) && topics >= 64 && topics <= 65536 &&
           params[JBI_PARAM_SUBS] >= 1 && params[JBI_PARAM_SUBS] <= 64 * JBI_SLEEPER_WORDS &&
           params[JBI_PARAM_PEERS] >= 1 && params[JBI_PARAM_PEERS] <= JBI_PEERS_MAX &&
           params[JBI_PARAM_GROUPS] <= GROUPS_MAX;
}

static uint64_t heap_bytes(uint64_t max_topics)
{
    return (max_topics + 1) * JBI_TOPIC_ENTRY_BYTES;
}

/* Offsets of all parts; returns the end. */
static uint64_t lay_out(const uint64_t params[JBI_SEGMENT_PARAMS], uint64_t off[N_PARTS])
{
    uint64_t capacity = params[JBI_PARAM_CAPACITY];
    uint64_t bytes[N_PARTS] = {
        [PART_PEERS] = params[JBI_PARAM_PEERS] * sizeof(struct jbi_peer_slot),
        [PART_TOPIC_CONTROL] = sizeof(struct jbi_topic_control),
        [PART_TOPIC_SLOTS] = params[JBI_PARAM_TOPICS] * sizeof(uint32_t),
        [PART_TOPIC_HEAP] = heap_bytes(params[JBI_PARAM_TOPICS]),
        [PART_RING_CONTROL] = sizeof(struct jbi_ring_control),
        [PART_READERS] = params[JBI_PARAM_SUBS] * sizeof(struct jbi_reader_slot),
        [PART_MARKS] = jbi_ring_marks_bytes(capacity),
        [PART_COUNTS] = jbi_ring_marks_bytes(capacity),
        [PART_LOG] = capacity,
        [PART_GROUPS] = sizeof(struct jbi_groups_control) +
                        params[JBI_PARAM_GROUPS] * sizeof(struct jbi_group_slot),
    };
    uint64_t end = JBI_SEGMENT_HEADER_BYTES;

    for (int part = 0; part < N_PARTS; part++) {
        /* Parts begin on a page, so that a later version can map some of them read-only. */
        end = (end + 4095) & ~UINT64_C(4095);
        off[part] = end;
        end += bytes[part];
    }
    return end;
}

uint64_t jbi_geometry_bytes(const uint64_t params[JBI_SEGMENT_PARAMS])
{
    uint64_t off[N_PARTS];

    return params_are_legal(params) ? lay_out(params, off) : 0;
}

uint64_t jbi_geometry_fingerprint(void)
{
    static const uint64_t facts[] = {
        sizeof(struct jbi_segment_header),
        sizeof(struct jbi_peer_slot),
        sizeof(struct jbi_topic_control),
        sizeof(struct jbi_ring_control),
        sizeof(struct jbi_reader_slot),
        sizeof(struct jbi_record),
        sizeof(struct jbi_group_slot),
        sizeof(struct jbi_group_place),
        JB_GROUP_PENDING_MAX,
        JB_GROUP_WORKERS_MAX,
        JBI_BLOCK_SHIFT,
        JBI_MARK_LEN_BITS,
        JBI_MARK_LAP_BITS,
        JBI_MARK_OWNER_BITS,
        JBI_HEAD_EPOCH_BITS,
        JBI_SLEEPER_WORDS,
        JBI_TOPIC_ENTRY_BYTES,
        sizeof(double),
        JB_EVENT_CUSTOM,
    };
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++)
        hash = (hash ^ facts[i]) * UINT64_C(1099511628211);
    return hash;
}

static bool peer_is_alive(uint32_t peer, void *userdata)
{
    const jb_bus *bus = userdata;

    return jbi_peer_slot_get(&bus->peers, peer) && jbi_peer_is_alive(&bus->peers, peer, bus->peer);
}

static void noticed(enum jbi_ring_notice what, uint32_t peer, uint32_t reader_idx, void *userdata)
{
    jb_bus *bus = userdata;
    struct jbi_peer_slot *slot = jbi_peer_slot_get(&bus->peers, peer);

    if (slot && (what == JBI_NOTICE_ORPHAN || what == JBI_NOTICE_REVOKED))
        atomic_fetch_add_explicit(&slot->n_aborted, 1, memory_order_relaxed);
    jbi_notice_note(bus, what, peer, reader_idx);
}

static uint32_t max_record_bytes(uint64_t capacity)
{
    uint64_t quarter = capacity / 4;
    uint64_t most = JB_EVENT_MAX_BYTES + sizeof(struct jbi_record);

    return (uint32_t)(quarter < most ? quarter : most);
}

void jbi_geometry_place(jb_bus *bus)
{
    const uint64_t *params = bus->segment.header.params;
    uint64_t off[N_PARTS];
    uint8_t *base = bus->segment.base;

    lay_out(params, off);
    bus->max_topics = (uint32_t)params[JBI_PARAM_TOPICS];
    bus->max_subs = (uint32_t)params[JBI_PARAM_SUBS];
    bus->peers.segment = &bus->segment;
    bus->peers.slots = (void *)(base + off[PART_PEERS]);
    bus->peers.n_slots = (uint32_t)params[JBI_PARAM_PEERS];
    bus->topics.control = (void *)(base + off[PART_TOPIC_CONTROL]);
    bus->topics.slots = (void *)(base + off[PART_TOPIC_SLOTS]);
    bus->topics.heap = base + off[PART_TOPIC_HEAP];
    bus->topics.n_slots = bus->max_topics;
    bus->topics.heap_bytes = (uint32_t)heap_bytes(bus->max_topics);
    bus->ring.control = (void *)(base + off[PART_RING_CONTROL]);
    bus->ring.readers = (void *)(base + off[PART_READERS]);
    bus->ring.marks = (void *)(base + off[PART_MARKS]);
    bus->ring.counts = (void *)(base + off[PART_COUNTS]);
    bus->ring.log = base + off[PART_LOG];
    bus->ring.capacity_bytes = params[JBI_PARAM_CAPACITY];
    bus->ring.capacity_shift = (uint32_t)__builtin_ctzll(params[JBI_PARAM_CAPACITY]);
    bus->ring.n_readers = bus->max_subs;
    bus->ring.max_record_bytes = max_record_bytes(params[JBI_PARAM_CAPACITY]);
    bus->ring.is_alive = peer_is_alive;
    bus->ring.is_group_alive = jbi_group_is_alive;
    bus->ring.on_notice = noticed;
    bus->ring.userdata = bus;
    bus->ring.stall_after_ns = params[JBI_PARAM_STALL_NS];
    bus->groups_control = (void *)(base + off[PART_GROUPS]);
    bus->groups = (void *)(bus->groups_control + 1);
    bus->n_groups = (uint32_t)params[JBI_PARAM_GROUPS];
}
