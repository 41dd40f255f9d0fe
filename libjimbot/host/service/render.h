/*
 * render: one event of the bus as the bytes that go to a client: IncomingEvent in protobuf or JSON,
 * or the event alone in JSON.
 *
 * JSON is made once for all clients that want it in the same dialect: the texts of the last events
 * are kept, as long as more than one client reads. Protobuf is the bytes of the ring with a few
 * fields around them and is copied straight.
 *
 * Invariant: what is kept is bounded (JBI_RENDER_KEPT texts, JBI_RENDER_BYTES together), and is
 * forgotten when what it was made of may have been torn. n_missed and n_deliveries are the reader's
 * own and never part of it.
 */
#ifndef JBI_HOST_RENDER_H
#define JBI_HOST_RENDER_H

#include "host/text/htext.h"
#include "jimbot/event.h"

struct jbi_service;

enum {
    JBI_RENDER_KEPT = 256,              /* texts; a power of two */
    JBI_RENDER_BYTES = 8 * 1024 * 1024, /* all kept texts together */
    JBI_RENDER_MAX_BYTES = 1024 * 1024  /* a longer text is not kept */
};

typedef struct jbi_render jbi_render;

/* Append the fields of an IncomingEvent; its tag and length are the caller's (jbi_msg_open()). */
void jbi_render_incoming(struct jbi_service *s, const jb_event *e, jbi_htext *out);

/* Append an IncomingEvent as a JSON object. An event that the dialect (enum jb_dialect) cannot
 * express is null, with the reason in `error`. */
void jbi_render_incoming_json(struct jbi_service *s, const jb_event *e, uint32_t dialect,
                              jbi_htext *out);

/* Append the event alone; `null` when the dialect cannot express it. One line. */
void jbi_render_event_json(struct jbi_service *s, const jb_event *e, uint32_t dialect,
                           jbi_htext *out);

/* Nothing that was kept is used again: after JB_EEVICTED. */
void jbi_render_forget(struct jbi_service *s);

/* Free what is kept. */
void jbi_render_fini(struct jbi_service *s);

#endif
