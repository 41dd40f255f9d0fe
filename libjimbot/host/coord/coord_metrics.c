/*
 * coord_metrics: the coordinator's figures for the host's metrics page; see coord_service.h.
 *
 * Invariant: how many lines there are is bounded by the resources and components that are
 * configured, never by who asks for them.
 */
#include "host/coord/coord_service.h"

#include "host/coord/shapes.h"

static void head(jbi_htext *out, const char *name, const char *type, const char *help)
{
    jbi_htext_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* name="…" of a configured name: what would end the text is replaced. */
static void put_label(jbi_htext *out, const char *key, const char *name)
{
    jbi_htext_printf(out, "%s=\"", key);
    for (; *name; name++)
        jbi_htext_add(out, *name < 0x20 || *name == '"' || *name == '\\' ? "?" : name, 1);
    jbi_htext_str(out, "\"");
}

static double value_of(const jb_resource_info *r, int which)
{
    uint64_t most = r->capacity - r->headroom;

    switch (which) {
    case 0:
        return (double)r->capacity;
    case 1:
        return (double)r->allocated;
    case 2:
        return most ? (double)r->allocated / (double)most : 0;
    case 3:
        return (double)r->foreign;
    case 4:
        return (double)r->n_leases;
    default:
        return (double)r->n_waiting;
    }
}

static void gauges(jb_coord_service *s, jbi_htext *out)
{
    static const char *const names[][2] = {
        {"jimbot_resource_capacity", "What there is of a resource, in its unit."},
        {"jimbot_resource_allocated", "What of it is leased."},
        {"jimbot_resource_utilisation_ratio", "What is leased of what can be."},
        {"jimbot_resource_foreign", "What of it is in use without a lease."},
        {"jimbot_resource_leases", "Leases on it."},
        {"jimbot_resource_waiting", "Requests that wait for it."}};
    jb_resource_info r;

    for (int which = 0; which < 6; which++) {
        head(out, names[which][0], "gauge", names[which][1]);
        for (uint32_t i = 0; jb_coord_resource_at(s->coord, i, &r) == 0; i++) {
            jbi_htext_printf(out, "%s{", names[which][0]);
            put_label(out, "resource", r.name);
            jbi_htext_printf(out, "} %.17g\n", value_of(&r, which));
        }
    }
}

static void shares(jb_coord_service *s, jbi_htext *out)
{
    const char *name = "jimbot_component_allocated";
    char resource[JB_QUOTA_NAME_BYTES];
    jb_component_info c;
    jb_share_info share;

    head(out, name, "gauge", "What a component has of a resource.");
    for (uint32_t i = 0; jb_coord_component_at(s->coord, i, &c) == 0; i++) {
        for (uint32_t k = 0; jb_coord_share_at(s->coord, i, k, &share) == 0; k++) {
            jbi_htext_printf(out, "%s{", name);
            put_label(out, "component", c.name);
            put_label(out, ",resource", jbi_coord_resource_name(s, k, resource));
            jbi_htext_printf(out, "} %llu\n", (unsigned long long)share.allocated);
        }
    }
}

/* One counter by resource and reason. */
static void reasons(jb_coord_service *s, jbi_htext *out, bool are_denials)
{
    static const char *const denied[JBI_COORD_DENIED] = {"", "BUSY", "TIMEOUT", "RATE"};
    const char *name = are_denials ? "jimbot_resource_denied_total" : "jimbot_resource_ended_total";
    char resource[JB_QUOTA_NAME_BYTES];

    head(out, name, "counter",
         are_denials ? "Requests that got nothing, by reason." : "Leases that ended, by how.");
    for (uint32_t i = 0; i < JB_QUOTA_RESOURCES_MAX; i++) {
        const jbi_coord_figures *f = &s->figures[i];

        if (!*jbi_coord_resource_name(s, i, resource))
            break;
        for (uint32_t k = 1; k < (are_denials ? JBI_COORD_DENIED : JBI_COORD_ENDS); k++) {
            jbi_htext_printf(out, "%s{", name);
            put_label(out, "resource", resource);
            put_label(out, ",reason",
                      are_denials ? denied[k] : jbi_shape_word(&jbi_words_lease_end, k));
            jbi_htext_printf(out, "} %llu\n",
                             (unsigned long long)(are_denials ? f->n_denied[k] : f->n_ended[k]));
        }
    }
}

static void times(jb_coord_service *s, jbi_htext *out, bool are_waits)
{
    const char *name = are_waits ? "jimbot_resource_wait_seconds" : "jimbot_resource_hold_seconds";
    char resource[JB_QUOTA_NAME_BYTES];
    char labels[64];

    head(out, name, "histogram",
         are_waits ? "How long those waited that got a lease." : "How long leases were held.");
    for (uint32_t i = 0; i < JB_QUOTA_RESOURCES_MAX; i++) {
        if (!*jbi_coord_resource_name(s, i, resource))
            break;
        for (char *c = resource; *c; c++)
            *c = *c < 0x20 || *c == '"' || *c == '\\' ? '?' : *c;
        snprintf(labels, sizeof(labels), "resource=\"%s\"", resource);
        jbi_histogram_write(are_waits ? &s->figures[i].waits : &s->figures[i].holds, name, labels,
                            out);
    }
}

static uint64_t limit_value(const jb_limit_info *l, int which)
{
    return which == 0   ? (l->blocked_ns ? 0 : l->remaining)
           : which == 1 ? l->in_force
           : which == 2 ? l->n_taken
                        : l->n_denied;
}

static void limits(jb_coord_service *s, jbi_htext *out)
{
    static const char *const names[][3] = {
        {"jimbot_limit_remaining", "gauge", "What can be taken of a rate now."},
        {"jimbot_limit_in_force", "gauge", "What a limit allows in its period."},
        {"jimbot_limit_taken_total", "counter", "What was taken, as committed."},
        {"jimbot_limit_denied_total", "counter", "Takes that a limit was the reason to deny."}};
    char name[JB_QUOTA_NAME_BYTES];
    jb_limit_info l;

    for (int which = 0; which < 4; which++) {
        head(out, names[which][0], names[which][1], names[which][2]);
        for (uint32_t i = 0; jb_coord_limit_at(s->coord, i, &l) == 0; i++) {
            jbi_htext_printf(out, "%s{limit=\"%u\",period_seconds=\"%g\"", names[which][0], i,
                             (double)l.period_ns / 1e9);
            put_label(out, ",resource", jbi_coord_resource_name(s, l.resource, name));
            put_label(out, ",component",
                      l.component == JB_LIMIT_ALL ? ""
                                                  : jbi_coord_component_name(s, l.component, name));
            jbi_htext_printf(out, "} %llu\n", (unsigned long long)limit_value(&l, which));
        }
    }
}

static uint64_t memory_value(const jb_component_memory *m, int which)
{
    return which == 0   ? m->granted_bytes
           : which == 1 ? m->used_bytes
           : which == 2 ? m->shrink_bytes
                        : m->state;
}

/* What is really used, of those that an observer knows. */
static void uses(jb_coord_service *s, jbi_htext *out)
{
    static const char *const names[][2] = {
        {"jimbot_component_memory_granted_bytes", "Main memory that a component was granted."},
        {"jimbot_component_memory_used_bytes", "What its processes use, as the kernel says."},
        {"jimbot_component_memory_shrink_bytes", "By how much it is asked to shrink."},
        {"jimbot_component_memory_state",
         "0: below four fifths of it, 1: near its end, 2: beyond."}};
    char name[JB_QUOTA_NAME_BYTES];
    jb_component_info c;

    for (int which = 0; s->uses.is_known && which < 4; which++) {
        head(out, names[which][0], "gauge", names[which][1]);
        for (uint32_t i = 0; jb_coord_component_at(s->coord, i, &c) == 0; i++) {
            if (!s->uses.memory[i].n_processes)
                continue;
            jbi_htext_printf(out, "%s{", names[which][0]);
            put_label(out, "component", c.name);
            jbi_htext_printf(out, "} %llu\n",
                             (unsigned long long)memory_value(&s->uses.memory[i], which));
        }
    }
    for (int which = 0; s->uses.is_known && which < 2; which++) {
        const char *family = which ? "jimbot_resource_overuse" : "jimbot_resource_observed";

        head(out, family, "gauge",
             which ? "GPU memory that holders use beyond their leases."
                   : "GPU memory in use, as the driver says.");
        for (uint32_t i = 0; i < JB_QUOTA_RESOURCES_MAX; i++) {
            const jb_vram_books *b = &s->uses.vram[i];

            if (!b->size)
                continue;
            jbi_htext_printf(out, "%s{", family);
            put_label(out, "resource", jbi_coord_resource_name(s, i, name));
            jbi_htext_printf(out, "} %llu\n",
                             (unsigned long long)(which ? b->overuse_bytes : b->observed_bytes));
        }
    }
}

void jbi_coord_metrics(jb_page *page, void *userdata)
{
    jb_coord_service *s = userdata;
    jbi_htext *out = (jbi_htext *)page;

    jbi_coord_read_records(s);
    gauges(s, out);
    shares(s, out);
    reasons(s, out, true);
    reasons(s, out, false);
    times(s, out, true);
    times(s, out, false);
    limits(s, out);
    uses(s, out);
    head(out, "jimbot_coordinator_records_lost_total", "counter",
         "Records that were overwritten before they were read.");
    jbi_htext_printf(out, "jimbot_coordinator_records_lost_total %llu\n",
                     (unsigned long long)s->n_lost);
    head(out, "jimbot_coordinator_events_lost_total", "counter",
         "Records that the bus had no room for.");
    jbi_htext_printf(out, "jimbot_coordinator_events_lost_total %llu\n",
                     (unsigned long long)s->n_unpublished);
    head(out, "jimbot_coordinator_audit_errors_total", "counter",
         "Times that the audit log could not be written.");
    jbi_htext_printf(out, "jimbot_coordinator_audit_errors_total %llu\n",
                     (unsigned long long)s->n_unwritten);
}
