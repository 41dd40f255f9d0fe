/*
 * encode.h: from Python values to the bytes of an event.
 *
 * Invariant: after jbpy_encode() or jbpy_envelope_end() the bytes lie still until
 * jbpy_encoding_fini(), which every encoding gets that was made.
 */
#ifndef JBPY_ENCODE_H
#define JBPY_ENCODE_H

#include "core.h"

/* One encoded event: where it lies, and what to give back when done. */
typedef struct jbpy_encoding {
    jb_encoded encoded;
    jb_encoder *encoder; /* NULL when the bytes are the caller's */
    Py_buffer view;      /* the caller's bytes; view.obj NULL when not used */
    uint32_t dialect;    /* enum jb_dialect of the encoder */
} jbpy_encoding;

/* Envelope members that may stand beside a payload; each a Python object or NULL. */
typedef struct jbpy_envelope {
    PyObject *subtype, *event_id, *source, *timestamp, *priority;
    uint32_t dialect; /* enum jb_dialect that everything is spelled in */
} jbpy_envelope;

int jbpy_encode(jbpy_state *st, PyObject *type, PyObject *data, const jbpy_envelope *env,
                jbpy_encoding *ret);
int jbpy_encoding_init(jbpy_state *st, jbpy_encoding *ret);
int jbpy_envelope_begin(jbpy_state *st, PyObject *type, const jbpy_envelope *env, jbpy_encoding *e);
int jbpy_envelope_end(jbpy_state *st, jbpy_encoding *e);
void jbpy_encoding_fini(jbpy_state *st, jbpy_encoding *e);

/* value.c */
int jbpy_value(jbpy_state *st, jb_encoder *enc, const char *key, PyObject *value);
int jbpy_members(jbpy_state *st, jb_encoder *enc, PyObject *dict, bool has_subtype);

#endif
