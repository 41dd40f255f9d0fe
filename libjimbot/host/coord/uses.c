/*
 * uses: what is really used, as an observer tells it from a thread of its own, and who is asked to
 * shrink; see coord_service.h.
 *
 * Invariant: what the observer tells lies in `told`, under the lock, until the host's thread takes
 * it to `uses`, which nobody else touches. A component's state is told when it changes, once.
 */
#include "host/coord/coord_service.h"

#include "host/coord/shapes.h"
#include "host/text/msgfield.h"

#include <string.h>

/* How often it is looked whether an observer has told something. */
#define LOOK_NS UINT64_C(500000000)

int jbi_coord_open_uses(jb_coord_service *s)
{
    jb_resource_info r;

    if (uv_mutex_init(&s->told_lock) < 0)
        return JB_ENOMEM;
    s->has_told_lock = true;
    for (uint32_t i = 0; jb_coord_resource_at(s->coord, i, &r) == 0; i++) {
        s->is_looking |= r.kind == JB_RESOURCE_MEMORY || r.kind == JB_RESOURCE_GPU_MEMORY;
        if (r.kind != JB_RESOURCE_MEMORY)
            continue;
        memcpy(s->memory_name, r.name, sizeof(s->memory_name));
        if (s->n_memories++)
            s->memory_name[0] = '\0';
    }
    return 0;
}

void jbi_coord_close_uses(jb_coord_service *s)
{
    if (s->has_told_lock)
        uv_mutex_destroy(&s->told_lock);
}

int jb_coord_service_observe(jb_coord_service *service, const jb_observer *observer)
{
    jbi_coord_uses *to;

    if (!service || !observer)
        return JB_EINVAL;
    to = &service->told;
    uv_mutex_lock(&service->told_lock);
    for (uint32_t i = 0; i < JB_QUOTA_COMPONENTS_MAX; i++) {
        to->memory[i].size = sizeof(to->memory[i]);
        if (jb_observer_memory(observer, i, &to->memory[i]) < 0)
            break;
    }
    for (uint32_t i = 0; i < JB_QUOTA_RESOURCES_MAX; i++) {
        to->vram[i].size = sizeof(to->vram[i]);
        if (jb_observer_vram(observer, i, &to->vram[i]) < 0 || to->vram[i].is_blind)
            to->vram[i].size = 0;
    }
    to->is_known = true;
    uv_mutex_unlock(&service->told_lock);
    return 0;
}

/* --- what has changed */

static void make_line(jb_coord_service *s, uint32_t component, const jb_component_memory *m)
{
    char name[JB_QUOTA_NAME_BYTES];
    jbi_htext *to = &s->json;

    jbi_htext_reset(to, 1 << 16);
    jbi_htext_printf(to, "{\"kind\":\"memory\",\"time_utc_ns\":\"%llu\",\"resource\":",
                     (unsigned long long)jb_clock_utc_ns());
    jbi_htext_ascii(to, s->memory_name);
    jbi_htext_str(to, ",\"component\":");
    jbi_htext_ascii(to, jbi_coord_component_name(s, component, name));
    jbi_htext_printf(to,
                     ",\"state\":\"%s\",\"granted_bytes\":\"%llu\",\"used_bytes\":\"%llu\","
                     "\"shrink_bytes\":\"%llu\",\"n_processes\":%u}",
                     jbi_shape_word(&jbi_words_memory_state, m->state + 1),
                     (unsigned long long)m->granted_bytes, (unsigned long long)m->used_bytes,
                     (unsigned long long)m->shrink_bytes, m->n_processes);
}

uint64_t jbi_coord_tell_uses(jb_coord_service *s)
{
    uint32_t before[JB_QUOTA_COMPONENTS_MAX];

    if (!s->is_looking)
        return UINT64_MAX;
    for (uint32_t i = 0; i < JB_QUOTA_COMPONENTS_MAX; i++)
        before[i] = s->uses.memory[i].state;
    uv_mutex_lock(&s->told_lock);
    s->uses = s->told;
    uv_mutex_unlock(&s->told_lock);
    for (uint32_t i = 0; i < JB_QUOTA_COMPONENTS_MAX; i++) {
        const jb_component_memory *m = &s->uses.memory[i];

        if (m->state == before[i] || m->state > JB_MEMORY_OVER)
            continue;
        make_line(s, i, m);
        jbi_coord_tell_line(s, JBI_COORD_MEMORY + m->state);
        if (s->audit && fflush(s->audit) != 0)
            s->n_unwritten++;
    }
    return LOOK_NS;
}

/* --- who asks */

void jbi_coord_put_component_use(jb_coord_service *s, uint32_t number, uint32_t component)
{
    const jb_component_memory *m = &s->uses.memory[component % JB_QUOTA_COMPONENTS_MAX];
    size_t mark;

    if (!s->uses.is_known || (!m->granted_bytes && !m->n_processes))
        return;
    mark = jbi_msg_open(&s->out, number);
    jbi_msg_put_value(&s->out, 1, m->n_processes ? m->state + 1 : 0);
    jbi_msg_put_value(&s->out, 2, m->granted_bytes);
    jbi_msg_put_value(&s->out, 3, m->used_bytes);
    jbi_msg_put_value(&s->out, 4, m->shrink_bytes);
    jbi_msg_put_value(&s->out, 5, m->n_processes);
    jbi_msg_close(&s->out, mark);
}

void jbi_coord_put_resource_use(jb_coord_service *s, uint32_t number, uint32_t resource)
{
    const jb_vram_books *b = &s->uses.vram[resource % JB_QUOTA_RESOURCES_MAX];

    if (!b->size)
        return;
    jbi_msg_put_value(&s->out, number, b->observed_bytes);
    jbi_msg_put_value(&s->out, number + 1, b->overuse_bytes);
}
