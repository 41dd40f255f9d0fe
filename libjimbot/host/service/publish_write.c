/*
 * publish_write: what became of each event, as a client reads it.
 *
 * Invariant: one result for each event that has an outcome, in the order of the request.
 */
#include "host/service/publish.h"
#include "host/service/service.h"

const char *jbi_publish_note(const jbi_service *s, const jbi_pending *e)
{
    return e->note && !s->publish.notes.is_broken ? s->publish.notes.data + e->note : "";
}

void jbi_publish_write(const jbi_service *s, uint32_t number, jbi_htext *out)
{
    for (uint32_t i = 0; i < s->publish.n; i++) {
        const jbi_pending *e = &s->publish.events[i];
        size_t mark = jbi_msg_open(out, number);

        jbi_msg_put_value(out, 1, e->outcome);
        if (e->note)
            jbi_msg_put_text(out, 3, jbi_publish_note(s, e));
        jbi_msg_close(out, mark);
    }
}

void jbi_publish_write_json(const jbi_service *s, jbi_htext *out)
{
    static const char *const names[JBI_OUTCOME_N] = {"UNSPECIFIED", "ACCEPTED",    "DUPLICATE",
                                                     "FULL",        "OVER_BUDGET", "TOO_BIG",
                                                     "INVALID",     "NOT_TRIED"};

    for (uint32_t i = 0; i < s->publish.n; i++) {
        const jbi_pending *e = &s->publish.events[i];

        jbi_htext_str(out,
                      i ? ",{\"outcome\":\"PUBLISH_OUTCOME_" : "{\"outcome\":\"PUBLISH_OUTCOME_");
        jbi_htext_str(out, names[e->outcome]);
        jbi_htext_str(out, "\"");
        if (e->note) {
            jbi_htext_str(out, ",\"message\":");
            jbi_htext_ascii(out, jbi_publish_note(s, e));
        }
        jbi_htext_str(out, "}");
    }
}
