/*
 * notices: every record of a coordinator as an event on a bus, `resource.granted` and so on, and
 * who is to shrink; see coord_service.h.
 *
 * Invariant: publishing never waits. What a bus has no room for is counted, and stands in the audit
 * log all the same.
 */
#include "host/coord/coord_service.h"

#include "host/text/msgfield.h"

#include <math.h>

/* Fields of jimbot.v1.Event and jimbot.v1.Custom. */
enum { EVENT_TYPE = 1, EVENT_TYPE_NAME = 3, EVENT_SOURCE = 5, EVENT_CUSTOM = 63, CUSTOM_JSON = 1 };

static const char *const topics[JBI_COORD_TOPICS] = {"",
                                                     "resource.waiting",
                                                     "resource.granted",
                                                     "resource.denied",
                                                     "resource.left",
                                                     "resource.shrunk",
                                                     "resource.notice",
                                                     "resource.ended",
                                                     "resource.taken",
                                                     "resource.used",
                                                     "resource.memory.fine",
                                                     "resource.memory.warn",
                                                     "resource.memory.shrink"};

int jbi_coord_open_notices(jb_coord_service *s, jb_error *err)
{
    jb_bus *bus = s->opts.bus;

    for (uint32_t i = 1; bus && i < JBI_COORD_TOPICS; i++) {
        int rc = jb_bus_topic(bus, topics[i], strlen(topics[i]), &s->topics[i]);

        if (rc < 0) {
            if (err) {
                jb_error_init(err);
                err->code = rc;
                snprintf(err->msg, sizeof(err->msg), "%s: %s", topics[i], jb_strerror(rc));
            }
            return rc;
        }
    }
    return 0;
}

void jbi_coord_publish(jb_coord_service *s, uint32_t topic, const jbi_htext *json)
{
    jb_event_head head = {.type = JB_EVENT_CUSTOM, .source_time = NAN};
    jbi_htext *out = &s->notice;
    size_t mark;

    if (!s->opts.bus || topic >= JBI_COORD_TOPICS || !s->topics[topic])
        return;
    head.topic_id = s->topics[topic];
    jbi_htext_reset(out, 1 << 16);
    jbi_msg_put_value(out, EVENT_TYPE, JB_EVENT_CUSTOM);
    jbi_msg_put_text(out, EVENT_TYPE_NAME, topics[topic]);
    jbi_msg_put_text(out, EVENT_SOURCE, "coordinator");
    mark = jbi_msg_open(out, EVENT_CUSTOM);
    jbi_msg_put_bytes(out, CUSTOM_JSON, (jbi_slice){json->data, json->len});
    jbi_msg_close(out, mark);
    if (out->is_broken || jb_bus_publish(s->opts.bus, &head, out->data, out->len) < 0)
        s->n_unpublished++;
}
