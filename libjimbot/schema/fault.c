/*
 * See fault.h. Nothing is remembered while an event is checked, which is to cost little; so the way
 * to a fault is looked for when there is one. Invariant: nothing outside the event is read, however
 * broken it is, and no loop goes back.
 */
#include "schema/fault.h"

#include <stdio.h>

#include "schema/envelope.h"

/* A field of a message, and which of its name it is. */
struct step {
    const struct jbi_field_info *field; /* NULL: unknown, or not even a tag */
    uint32_t idx;
    jbi_wire content; /* pos is NULL when it has none, or when that is cut off */
};

/* The field that lies at a place. Broken or not, it is the last that is looked at. */
static struct step step_at(const struct jbi_message *message, jbi_wire in, const uint8_t *at)
{
    struct step found = {.field = NULL};
    uint32_t counts[JBI_FIELDS_MAX] = {0};

    while (!jbi_wire_done(&in)) {
        uint32_t number, wire;
        jbi_wire value;

        found = (struct step){.field = NULL};
        if (!jbi_wire_tag(&in, &number, &wire))
            break;
        found.field = jbi_field_by_number(message, number);
        if (found.field != NULL)
            found.idx = counts[found.field->idx]++;
        value = in;
        if (!jbi_wire_skip(&in, wire))
            break;
        if (wire == JBI_WIRE_BYTES)
            jbi_wire_bytes(&value, &found.content);
        if (in.pos > at)
            break;
    }
    return found;
}

/* The value of a map's entry, if the place lies in it. */
static jbi_wire entry_value(jbi_wire entry, const uint8_t *at)
{
    uint32_t number, wire;
    jbi_wire value;

    while (!jbi_wire_done(&entry) && jbi_wire_tag(&entry, &number, &wire)) {
        value = entry;
        if (!jbi_wire_skip(&entry, wire))
            break;
        if (entry.pos > at)
            return number == 2 && wire == JBI_WIRE_BYTES && jbi_wire_bytes(&value, &value)
                       ? value
                       : (jbi_wire){NULL, NULL};
    }
    return (jbi_wire){NULL, NULL};
}

const char *jbi_fault_path(jbi_wire event, size_t offset, char *buf, size_t cap_bytes)
{
    const struct jbi_message *message = &jbi_message_Event;
    const uint8_t *at = event.pos + offset;
    int n = 0;

    snprintf(buf, cap_bytes, "event");
    while (message != NULL && event.pos != NULL && event.pos <= at && (size_t)n + 16 < cap_bytes) {
        struct step step = step_at(message, event, at);

        if (step.field == NULL)
            break;
        n += snprintf(buf + n, cap_bytes - (size_t)n, "%s%s", n != 0 ? "." : "", step.field->name);
        if (step.field->label != JBI_LABEL_SINGLE && (size_t)n + 16 < cap_bytes)
            n += snprintf(buf + n, cap_bytes - (size_t)n, "[%u]", step.idx);
        message = step.field->kind == JBI_KIND_MESSAGE ? step.field->message : NULL;
        event = step.content;
        if (step.field->label == JBI_LABEL_MAP && event.pos != NULL)
            event = entry_value(event, at);
    }
    return buf;
}
