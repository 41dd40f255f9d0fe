/*
 * pack.c: events that gather until they are published as one batch.
 *
 * Invariant: a batch is in the ring as a whole or not at all, and batches go in order. n_published
 * counts the events of those that are there, so whoever is interrupted knows where to go on.
 */
#include "publish.h"

#include <string.h>

enum { RECORD_HEAD_BYTES = 32, FIRST_EVENTS = 64, FIRST_BYTES = 16384 };

static size_t aligned(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

/* The largest batch: see jb_bus_publish_batch(). */
static size_t max_bytes(jb_bus *bus)
{
    jb_bus_stats stats = {.size = sizeof stats};
    size_t most = JB_EVENT_MAX_BYTES + RECORD_HEAD_BYTES;

    if (jb_bus_get_stats(bus, &stats) < 0 || stats.capacity_bytes / 4 > most)
        return most;
    return (size_t)(stats.capacity_bytes / 4);
}

/* -1 with an exception set. Owe jbpy_pack_fini() either way. */
int jbpy_pack_init(jbpy_pack *pack, jbpy_bus *bus, uint64_t deadline_ns)
{
    memset(pack, 0, sizeof *pack);
    pack->bus = bus;
    pack->deadline_ns = deadline_ns;
    if (jbpy_bus_handle(bus) == NULL)
        return -1;
    pack->max_bytes = max_bytes(bus->bus);
    return 0;
}

void jbpy_pack_fini(jbpy_pack *pack)
{
    PyMem_Free(pack->heads);
    PyMem_Free(pack->lens_bytes);
    PyMem_Free(pack->payloads);
    PyMem_Free(pack->bytes);
}

static int grow(void *array, size_t n, size_t item_bytes)
{
    void *grown = PyMem_Realloc(*(void **)array, n * item_bytes);

    if (grown == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    *(void **)array = grown;
    return 0;
}

static int reserve(jbpy_pack *pack, size_t more_bytes)
{
    size_t need = pack->n_bytes + more_bytes;

    if (pack->n == pack->n_room) {
        uint32_t n = pack->n_room > 0 ? pack->n_room * 2 : FIRST_EVENTS;

        if (grow(&pack->heads, n, sizeof *pack->heads) < 0 ||
            grow(&pack->lens_bytes, n, sizeof *pack->lens_bytes) < 0 ||
            grow(&pack->payloads, n, sizeof *pack->payloads) < 0)
            return -1;
        pack->n_room = n;
    }
    if (need > pack->room_bytes) {
        size_t room = pack->room_bytes > 0 ? pack->room_bytes : FIRST_BYTES;

        while (room < need)
            room *= 2;
        if (grow(&pack->bytes, room, 1) < 0)
            return -1;
        pack->room_bytes = room;
    }
    return 0;
}

static int attempt_batch(jb_bus *bus, const void *what)
{
    const jbpy_pack *pack = what;

    return jb_bus_publish_batch(bus, pack->heads, pack->payloads, pack->lens_bytes, pack->n);
}

/* Publish what has gathered. */
int jbpy_pack_flush(jbpy_pack *pack)
{
    const uint8_t *at = pack->bytes;

    if (pack->n == 0)
        return 0;
    for (uint32_t i = 0; i < pack->n; i++) {
        pack->payloads[i] = at;
        at += aligned(pack->lens_bytes[i]);
    }
    if (jbpy_publish(pack->bus, attempt_batch, pack,
                     pack->n_bytes + (pack->n - 1) * RECORD_HEAD_BYTES, pack->deadline_ns) < 0)
        return -1;
    pack->n_published += pack->n;
    pack->n = 0;
    pack->n_bytes = 0;
    return 0;
}

/* Events that follow one another are mostly of one topic. */
static int topic_id(jbpy_pack *pack, const char *name, size_t len, uint32_t *ret_id)
{
    int rc;

    if (pack->topic_id == 0 || len != pack->topic_bytes || memcmp(name, pack->topic, len) != 0) {
        rc = jb_bus_topic(pack->bus->bus, name, len, &pack->topic_id);
        if (rc < 0) {
            pack->topic_id = 0;
            jbpy_raise(jbpy_state_of((PyObject *)pack->bus), rc, NULL, "topic");
            return -1;
        }
        memcpy(pack->topic, name, len);
        pack->topic_bytes = len;
    }
    *ret_id = pack->topic_id;
    return 0;
}

/* Add one event; publish those before it first if it does not fit beside them. `topic` NULL: the
 * one of its type. */
int jbpy_pack_add(jbpy_pack *pack, const jb_encoded *enc, const char *topic, size_t topic_bytes,
                  uint32_t key)
{
    size_t bytes = aligned(enc->len_bytes);
    size_t total = pack->n_bytes + bytes + ((size_t)pack->n + 1) * RECORD_HEAD_BYTES;
    jb_event_head *head;

    if (pack->n == JB_BATCH_MAX || (pack->n > 0 && total > pack->max_bytes)) {
        if (jbpy_pack_flush(pack) < 0)
            return -1;
    }
    if (jbpy_bus_handle(pack->bus) == NULL || reserve(pack, bytes) < 0)
        return -1;
    head = &pack->heads[pack->n];
    memset(head, 0, sizeof *head);
    if (topic_id(pack, topic != NULL ? topic : enc->topic,
                 topic != NULL ? topic_bytes : enc->topic_bytes, &head->topic_id) < 0)
        return -1;
    head->type = enc->type;
    head->priority = enc->priority;
    head->source_time = enc->source_time;
    head->key = key;
    memcpy(pack->bytes + pack->n_bytes, enc->data, enc->len_bytes);
    pack->lens_bytes[pack->n++] = enc->len_bytes;
    pack->n_bytes += bytes;
    return 0;
}

/* Tell with the exception that is set where it happened and how many events are in the ring. */
static void explain(const jbpy_pack *pack, const char *what)
{
    PyObject *type, *value, *traceback, *n, *note;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    n = PyLong_FromUnsignedLongLong(pack->n_published);
    if (n == NULL || PyObject_SetAttrString(value, "n_published", n) < 0)
        PyErr_Clear();
    note = PyObject_CallMethod(value, "add_note", "N",
                               PyUnicode_FromFormat("%s %zu; the first %llu events are published",
                                                    what, pack->n_seen,
                                                    (unsigned long long)pack->n_published));
    if (note == NULL)
        PyErr_Clear();
    Py_XDECREF(note);
    Py_XDECREF(n);
    PyErr_Restore(type, value, traceback);
}

/* Publish the rest and free everything. `rc` < 0: an exception is set. Returns how many events are
 * published. */
PyObject *jbpy_pack_end(jbpy_pack *pack, int rc, const char *what)
{
    PyObject *result = NULL;

    if (rc == 0)
        rc = jbpy_pack_flush(pack);
    if (rc < 0)
        explain(pack, what);
    else
        result = PyLong_FromUnsignedLongLong(pack->n_published);
    jbpy_pack_fini(pack);
    return result;
}
