/*
 * books.c: see books.h. A step reads, decides, then writes; it ends with a commit, so that who dies
 * between two steps leaves consistent books, and who dies within one leaves its log.
 *
 * What is charged for fairness is the time a lease was held, times its part of the capacity. A
 * grant charges in advance what the component's last leases lasted, at most one quantum, so that
 * one that gets many leases at once is not taken for one that had nothing; the end corrects it to
 * what was measured. More than what a lease lasts would weigh as much as the weights where many run
 * side by side.
 */
#include "quota/books.h"

__extension__ typedef unsigned __int128 jbi_u128;

/* Tags count 64ths of a nanosecond at weight 1. */
#define TAG_SCALE UINT64_C(64)

uint64_t jbi_books_now(const struct jbi_books *books, uint64_t clock_ns)
{
    if (clock_ns > books->head->now_ns)
        books->head->now_ns = clock_ns;
    return books->head->now_ns;
}

static uint64_t less(uint64_t from, uint64_t amount)
{
    return from > amount ? from - amount : 0;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
    return b < UINT64_MAX - a ? a + b : UINT64_MAX;
}

static uint64_t cut(jbi_u128 value)
{
    return value < UINT64_MAX ? (uint64_t)value : UINT64_MAX;
}

uint64_t jbi_books_limit(const struct jbi_quota_resource *resource)
{
    return resource->capacity > resource->headroom ? resource->capacity - resource->headroom : 0;
}

uint64_t jbi_books_part_ns(const struct jbi_quota_resource *resource, uint64_t amount,
                           uint64_t time_ns)
{
    uint64_t capacity = resource->capacity;
    uint64_t product;

    if (amount >= capacity)
        return time_ns;
    if (__builtin_mul_overflow(amount, time_ns, &product))
        return (uint64_t)((jbi_u128)amount * time_ns / capacity);
    return product / capacity;
}

static uint64_t weigh(const struct jbi_books *books, uint32_t component, uint64_t part_ns)
{
    uint64_t weight = books->components[component].weight;
    uint64_t scaled;

    if (weight == 0)
        weight = 1;
    if (__builtin_mul_overflow(part_ns, TAG_SCALE, &scaled))
        return cut((jbi_u128)part_ns * TAG_SCALE / weight);
    return scaled / weight;
}

static uint64_t advance_charge(const struct jbi_books *books, const struct jbi_want *want,
                               uint32_t idx, uint64_t advance_ns)
{
    const struct jbi_quota_resource *resource = &books->resources[want->resource[idx]];
    uint64_t time_ns = resource->quantum_ns;

    if (advance_ns < time_ns)
        time_ns = advance_ns;
    return weigh(books, want->component,
                 plus(jbi_books_part_ns(resource, want->amount[idx], time_ns), 1));
}

static uint64_t tag_of(const struct jbi_books *books, const struct jbi_want *want, uint32_t idx)
{
    const struct jbi_quota_share *share =
        jbi_share_get(books, want->component, want->resource[idx]);
    uint64_t vtime = books->resources[want->resource[idx]].vtime[want->class_idx];
    uint64_t finish = share->finish[want->class_idx];

    return finish > vtime ? finish : vtime;
}

uint64_t jbi_books_start_tag(const struct jbi_books *books, const struct jbi_want *want)
{
    uint64_t latest = 0;

    for (uint32_t i = 0; i < want->n; i++) {
        uint64_t tag = tag_of(books, want, i);

        if (tag > latest)
            latest = tag;
    }
    return latest;
}

bool jbi_books_is_possible(const struct jbi_books *books, const struct jbi_want *want)
{
    for (uint32_t i = 0; i < want->n; i++) {
        const struct jbi_quota_resource *resource = &books->resources[want->resource[i]];

        if (want->amount[i] > jbi_books_limit(resource) ||
            want->amount[i] > jbi_share_get(books, want->component, want->resource[i])->ceiling)
            return false;
    }
    return true;
}

enum jbi_fit jbi_books_fit(const struct jbi_books *books, const struct jbi_want *want,
                           const uint64_t *kept)
{
    enum jbi_fit fit = JBI_FITS;

    for (uint32_t i = 0; i < want->n; i++) {
        uint32_t idx = want->resource[i];
        const struct jbi_quota_resource *resource = &books->resources[idx];
        const struct jbi_quota_share *share = jbi_share_get(books, want->component, idx);
        uint64_t limit = jbi_books_limit(resource);
        uint64_t left;

        if (share->ready_ns > books->head->now_ns)
            return JBI_FIT_LATER;
        /* What it has itself of all there is, is no ceiling. */
        if (share->ceiling < limit && want->amount[i] > less(share->ceiling, share->allocated))
            return JBI_FIT_OWN;
        left = less(limit, resource->allocated);
        left = less(left, resource->foreign);
        if (want->amount[i] > less(left, kept ? kept[idx] : 0))
            fit = JBI_FIT_FULL;
    }
    return fit;
}

/* A free slot, taken off the list; -1 when there is none. */
static int64_t slot_take(const struct jbi_books *books)
{
    struct jbi_quota_head *head = books->head;
    uint64_t slot = head->free_lease;

    if (slot >= 1 && slot <= books->n_leases && books->leases[slot - 1].token == 0) {
        jbi_undo_set(&books->undo, &head->free_lease, books->leases[slot - 1].next);
    } else {
        slot = head->top_lease + 1;
        if (slot < 1 || slot > books->n_leases || books->leases[slot - 1].token != 0)
            return -1;
        jbi_undo_set(&books->undo, &head->top_lease, slot);
    }
    return (int64_t)slot - 1;
}

static void allocate(const struct jbi_books *books, const struct jbi_want *want,
                     uint64_t advance_ns)
{
    const struct jbi_undo *undo = &books->undo;
    uint32_t class_idx = want->class_idx;

    for (uint32_t i = 0; i < want->n; i++) {
        struct jbi_quota_resource *resource = &books->resources[want->resource[i]];
        struct jbi_quota_share *share = jbi_share_get(books, want->component, want->resource[i]);
        uint64_t start = tag_of(books, want, i);

        jbi_undo_add(undo, &resource->allocated, want->amount[i]);
        jbi_undo_add(undo, &resource->n_leases, 1);
        jbi_undo_add(undo, &share->allocated, want->amount[i]);
        jbi_undo_set(undo, &share->finish[class_idx],
                     plus(start, advance_charge(books, want, i, advance_ns)));
        jbi_undo_set(undo, &resource->vtime[class_idx], start);
        if (resource->linger_for)
            jbi_undo_set(undo, &resource->linger_for, 0);
        resource->n_granted++;
        resource->wait_buckets[jbi_bucket_of(books->head->now_ns - want->since_ns)]++;
    }
}

/* As long as its last ones lasted, which is the best guess. */
static uint64_t advance_of(const struct jbi_books *books, const struct jbi_want *want)
{
    uint64_t most_ns = 0;

    for (uint32_t i = 0; i < want->n; i++) {
        uint64_t lasted_ns = jbi_share_get(books, want->component, want->resource[i])->lasted_ns;

        if (lasted_ns == 0)
            return UINT64_MAX;
        if (lasted_ns > most_ns)
            most_ns = lasted_ns;
    }
    return most_ns;
}

int64_t jbi_books_grant(const struct jbi_books *books, const struct jbi_want *want)
{
    struct jbi_quota_head *head = books->head;
    struct jbi_quota_component *component = &books->components[want->component];
    uint64_t now = head->now_ns;
    uint64_t waited = now - want->since_ns;
    int64_t slot = slot_take(books);
    struct jbi_quota_lease *lease;
    struct jbi_happening what = {.kind = JB_RECORD_GRANTED, .value_ns = waited};

    if (slot < 0)
        return JB_ELIMIT;
    lease = &books->leases[slot];
    lease->who = jbi_who_pack(want);
    lease->resources = 0;
    lease->granted_ns = now;
    lease->hold_ns = want->hold_ns;
    lease->deadline_ns = want->hold_ns < UINT64_MAX - now ? now + want->hold_ns : UINT64_MAX;
    lease->heap_at = 0;
    lease->tag = want->tag;
    lease->has_notice = 0;
    lease->advance_ns = advance_of(books, want);
    for (uint32_t i = 0; i < want->n; i++) {
        lease->resources |= (uint64_t)want->resource[i] << (8 * i);
        lease->amounts[i] = want->amount[i];
    }
    what.token = head->next_token;
    what.slot = (uint32_t)slot;
    allocate(books, want, lease->advance_ns);
    jbi_undo_add(&books->undo, &head->next_token, 1);
    jbi_undo_add(&books->undo, &head->n_leases, 1);
    jbi_undo_add(&books->undo, &component->n_leases, 1);
    jbi_undo_set(&books->undo, &lease->token, what.token);
    if (lease->deadline_ns != UINT64_MAX)
        jbi_heap_insert(books, (uint32_t)slot);
    jbi_record_want(books, &what, want);
    component->n_granted++;
    component->waited_ns += waited;
    return slot;
}

void jbi_lease_unpack(const struct jbi_books *books, const struct jbi_quota_lease *lease,
                      struct jbi_want *ret_want)
{
    uint64_t who = lease->who;
    uint32_t component = (uint32_t)who & 0xffff;
    uint32_t n = (uint32_t)(who >> 24) & 0xff;

    /* All of it: who comes with a place from an earlier look finds a resource that there is. */
    *ret_want = (struct jbi_want){
        .component = component < books->n_components ? component : 0,
        .class_idx = jbi_who_class(who),
        .peer = jbi_who_peer(who),
        .n = n < JB_QUOTA_AMOUNTS_MAX ? n : JB_QUOTA_AMOUNTS_MAX,
        .hold_ns = lease->hold_ns,
        .tag = lease->tag,
        .since_ns = lease->granted_ns,
        .advance_ns = lease->advance_ns,
        .is_noticed = lease->has_notice == JBI_NOTICE_COUNTED,
    };
    for (uint32_t i = 0; i < ret_want->n; i++) {
        uint32_t resource = (uint32_t)(lease->resources >> (8 * i)) & 0xff;

        ret_want->resource[i] = resource < books->n_resources ? resource : 0;
        ret_want->amount[i] = lease->amounts[i];
        ret_want->mask |= UINT64_C(1) << ret_want->resource[i];
    }
}

/* Time on a device is paced: who used a part of it with a ceiling of a fourth is next after four
 * times as long. What it could have had and did not is kept for it, up to one quantum. */
static void pace(const struct jbi_books *books, const struct jbi_want *held, uint32_t idx,
                 uint64_t part_ns)
{
    const struct jbi_quota_resource *resource = &books->resources[held->resource[idx]];
    struct jbi_quota_share *share = jbi_share_get(books, held->component, held->resource[idx]);
    uint64_t part = share->pace;
    uint64_t kept, from;

    if (part == 0)
        return;
    kept = cut(((jbi_u128)resource->quantum_ns << 32) / part);
    from = less(held->since_ns, kept);
    if (share->ready_ns > from)
        from = share->ready_ns;
    jbi_undo_set(&books->undo, &share->ready_ns, plus(from, cut(((jbi_u128)part_ns << 32) / part)));
}

/* When it is still its turn, the resource stays for its component for a moment. */
static void linger(const struct jbi_books *books, const struct jbi_want *held, uint32_t idx)
{
    struct jbi_quota_resource *resource = &books->resources[held->resource[idx]];

    if (resource->linger_ns == 0)
        return;
    jbi_undo_set(&books->undo, &resource->linger_for,
                 (held->component + UINT64_C(1)) | (uint64_t)held->class_idx << 16);
    jbi_undo_set(&books->undo, &resource->linger_until_ns,
                 plus(books->head->now_ns, resource->linger_ns));
}

/* From what was charged in advance for so much of a resource to what was measured. */
static void charge(const struct jbi_books *books, const struct jbi_want *held, uint32_t idx,
                   uint64_t part_ns)
{
    struct jbi_quota_resource *resource = &books->resources[held->resource[idx]];
    struct jbi_quota_share *share = jbi_share_get(books, held->component, held->resource[idx]);
    uint64_t *finish = &share->finish[held->class_idx];

    resource->used_ns += part_ns;
    share->used_ns += part_ns;
    jbi_undo_set(&books->undo, finish,
                 less(plus(*finish, weigh(books, held->component, part_ns)),
                      advance_charge(books, held, idx, held->advance_ns)));
    /* Nobody waited: what was used meanwhile was nobody else's, and is not held against it. */
    if (resource->n_waiting == 0 && *finish > resource->vtime[held->class_idx])
        jbi_undo_set(&books->undo, &resource->vtime[held->class_idx], *finish);
}

static void give_back(const struct jbi_books *books, const struct jbi_want *held, uint32_t idx,
                      uint64_t held_ns)
{
    struct jbi_quota_resource *resource = &books->resources[held->resource[idx]];
    struct jbi_quota_share *share = jbi_share_get(books, held->component, held->resource[idx]);
    uint64_t part_ns = jbi_books_part_ns(resource, held->amount[idx], held_ns);

    jbi_books_unsettle(books);
    charge(books, held, idx, part_ns);
    pace(books, held, idx, part_ns);
    jbi_undo_set(&books->undo, &resource->allocated, resource->allocated - held->amount[idx]);
    jbi_undo_set(&books->undo, &share->allocated, share->allocated - held->amount[idx]);
    if (held->is_noticed)
        jbi_undo_set(&books->undo, &share->noticed, less(share->noticed, held->amount[idx]));
}

/* How long its leases last: the longest of late, forgotten by an eighth with each. One that is over
 * at once does not make the next ones cheap. */
static void remember_time(const struct jbi_books *books, const struct jbi_want *held, uint32_t idx,
                          uint64_t held_ns)
{
    uint64_t *lasted_ns = &jbi_share_get(books, held->component, held->resource[idx])->lasted_ns;
    uint64_t lately_ns = *lasted_ns - *lasted_ns / 8;

    if (held_ns > lately_ns)
        lately_ns = held_ns;
    jbi_undo_set(&books->undo, lasted_ns, lately_ns ? lately_ns : 1);
}

void jbi_books_end(const struct jbi_books *books, uint32_t slot, uint32_t how)
{
    struct jbi_quota_head *head = books->head;
    struct jbi_quota_lease *lease = &books->leases[slot];
    struct jbi_quota_component *component;
    struct jbi_want held;
    struct jbi_happening what = {.kind = JB_RECORD_ENDED, .reason = how, .slot = slot};

    jbi_lease_unpack(books, lease, &held);
    component = &books->components[held.component];
    what.token = lease->token;
    what.value_ns = head->now_ns - held.since_ns;
    for (uint32_t i = 0; i < held.n; i++) {
        struct jbi_quota_resource *resource = &books->resources[held.resource[i]];

        give_back(books, &held, i, what.value_ns);
        remember_time(books, &held, i, what.value_ns);
        jbi_undo_set(&books->undo, &resource->n_leases, resource->n_leases - 1);
        resource->hold_buckets[jbi_bucket_of(what.value_ns)]++;
        if (how == JB_LEASE_RELEASED)
            linger(books, &held, i);
    }
    jbi_heap_remove(books, slot);
    jbi_undo_set(&books->undo, &component->n_leases, component->n_leases - 1);
    jbi_undo_set(&books->undo, &head->n_leases, head->n_leases - 1);
    jbi_undo_set(&books->undo, &lease->next, head->free_lease);
    jbi_undo_set(&books->undo, &head->free_lease, slot + UINT64_C(1));
    jbi_undo_set(&books->undo, &lease->token, 0);
    jbi_record_want(books, &what, &held);
    component->n_ended[how]++;
    component->held_ns += what.value_ns;
    jbi_undo_commit(&books->undo);
}

struct jbi_quota_lease *jbi_books_find(const struct jbi_books *books, uint64_t token, uint32_t slot)
{
    struct jbi_quota_lease *lease;

    if (slot >= books->n_leases || token == 0)
        return NULL;
    lease = &books->leases[slot];
    return lease->token == token && lease->deadline_ns > books->head->now_ns ? lease : NULL;
}

void jbi_books_shrink(const struct jbi_books *books, uint32_t slot, uint32_t idx, uint64_t amount)
{
    struct jbi_quota_lease *lease = &books->leases[slot];
    struct jbi_happening what = {.kind = JB_RECORD_SHRUNK, .slot = slot, .token = lease->token};
    struct jbi_want part;

    jbi_lease_unpack(books, lease, &part);
    part.amount[idx] -= amount;
    what.value_ns = books->head->now_ns - part.since_ns;
    give_back(books, &part, idx, what.value_ns);
    jbi_undo_set(&books->undo, &lease->amounts[idx], amount);
    jbi_record_one(books, &what, &part, idx, 0);
    jbi_undo_commit(&books->undo);
}

void jbi_books_set_deadline(const struct jbi_books *books, uint32_t slot, uint64_t deadline_ns)
{
    jbi_heap_remove(books, slot);
    jbi_undo_set(&books->undo, &books->leases[slot].deadline_ns, deadline_ns);
    if (deadline_ns != UINT64_MAX)
        jbi_heap_insert(books, slot);
}

void jbi_books_notice(const struct jbi_books *books, uint32_t slot, uint64_t notice_ns)
{
    struct jbi_quota_lease *lease = &books->leases[slot];
    struct jbi_happening what = {.kind = JB_RECORD_NOTICE, .slot = slot, .token = lease->token};
    uint64_t now = books->head->now_ns;
    uint64_t end_ns = notice_ns < UINT64_MAX - now ? now + notice_ns : UINT64_MAX - 1;
    struct jbi_want held;
    bool is_new;

    jbi_lease_unpack(books, lease, &held);
    what.value_ns = notice_ns;
    if (end_ns > lease->deadline_ns)
        end_ns = lease->deadline_ns;
    is_new = !held.is_noticed && end_ns - now <= books->head->notice_ns;
    for (uint32_t i = 0; i < (is_new ? held.n : 0); i++)
        jbi_undo_add(&books->undo, &jbi_share_get(books, held.component, held.resource[i])->noticed,
                     held.amount[i]);
    if (!held.is_noticed)
        jbi_undo_set(&books->undo, &lease->has_notice,
                     is_new ? JBI_NOTICE_COUNTED : JBI_NOTICE_GIVEN);
    if (end_ns < lease->deadline_ns)
        jbi_books_set_deadline(books, slot, end_ns);
    jbi_record_one(books, &what, &held, 0, 0);
    jbi_undo_commit(&books->undo);
}

uint32_t jbi_books_expire(const struct jbi_books *books)
{
    uint32_t n = 0;

    while (books->head->n_deadlines > 0 && books->heap[0].at_ns <= books->head->now_ns &&
           n < books->n_leases) {
        uint64_t slot = books->heap[0].lease - 1;

        if (slot >= books->n_leases || books->leases[slot].heap_at != 1)
            break;
        jbi_books_end(books, (uint32_t)slot,
                      books->leases[slot].has_notice ? JB_LEASE_REVOKED : JB_LEASE_EXPIRED);
        n++;
    }
    return n;
}
