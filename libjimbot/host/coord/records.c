/*
 * records: what happened, read from the coordinator, counted, told to watches, and written to the
 * audit log; see coord_service.h.
 *
 * The log is a line of JSON for each record. It begins with the capacities and with what is held
 * then, so that the books can be recomputed from it by adding what was granted and taking off what
 * was given back and ended; now and then, and at the end, a line has the coordinator's own sums.
 *
 * Invariant: what was lost stands in the log as a line of its own; sums are only written when every
 * record up to that moment is.
 */
#include "host/coord/coord_service.h"

#include "host/coord/shapes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { BATCH = 65536 };

#define BOOKS_NS UINT64_C(1000000000)

static const char *kind_name(uint32_t kind)
{
    static const char *const names[] = {"",       "waiting", "granted", "denied", "left",
                                        "shrunk", "notice",  "ended",   "taken",  "used"};

    return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "";
}

static const char *reason_name(const jb_record *r)
{
    static const char *const denied[] = {"", "BUSY", "TIMEOUT", "RATE"};

    if (r->kind == JB_RECORD_ENDED)
        return jbi_shape_word(&jbi_words_lease_end, r->reason);
    return r->kind == JB_RECORD_DENIED && r->reason < JBI_COORD_DENIED ? denied[r->reason] : "";
}

/* --- lines */

static void put_name(FILE *to, const char *key, const char *name)
{
    fprintf(to, ",\"%s\":\"", key);
    for (; *name; name++) {
        if (*name == '"' || *name == '\\' || (unsigned char)*name < 0x20)
            fprintf(to, "\\u%04x", (unsigned char)*name);
        else
            fputc(*name, to);
    }
    fputc('"', to);
}

/* Capacities: what there is to give out. */
static void write_open(jb_coord_service *s)
{
    jb_resource_info r;

    fprintf(s->audit, "{\"kind\":\"open\",\"time_utc_ns\":\"%llu\",\"sequence\":\"%llu\"}\n",
            (unsigned long long)jb_clock_utc_ns(), (unsigned long long)s->record);
    for (uint32_t i = 0; jb_coord_resource_at(s->coord, i, &r) == 0; i++) {
        fprintf(s->audit, "{\"kind\":\"resource\"");
        put_name(s->audit, "resource", r.name);
        fprintf(s->audit, ",\"amount\":\"%llu\"}\n", (unsigned long long)(r.capacity - r.headroom));
    }
}

static void write_held(jb_coord_service *s)
{
    char name[JB_QUOTA_NAME_BYTES];
    jb_lease_info info;
    uint32_t cursor = 0;

    while (jb_coord_next_lease(s->coord, &cursor, &info) > 0) {
        for (uint32_t i = 0; i < info.n_amounts && i < JB_QUOTA_AMOUNTS_MAX; i++) {
            fprintf(s->audit, "{\"kind\":\"held\",\"token\":\"%llu\"",
                    (unsigned long long)info.token);
            put_name(s->audit, "resource",
                     jbi_coord_resource_name(s, info.amounts[i].resource, name));
            put_name(s->audit, "component", jbi_coord_component_name(s, info.component, name));
            fprintf(s->audit, ",\"amount\":\"%llu\"}\n",
                    (unsigned long long)info.amounts[i].amount);
        }
    }
}

/* A record as a line of JSON, in s->json. */
static void make_line(jb_coord_service *s, const jb_record *r)
{
    const char *reason = reason_name(r);
    char name[JB_QUOTA_NAME_BYTES];
    const unsigned long long utc_ns = r->time_ns + s->utc_offset_ns;
    jbi_htext *to = &s->json;

    jbi_htext_reset(to, 1 << 16);
    jbi_htext_printf(
        to, "{\"kind\":\"%s\",\"sequence\":\"%llu\",\"time_utc_ns\":\"%llu\",\"token\":\"%llu\"",
        kind_name(r->kind), (unsigned long long)r->sequence, utc_ns, (unsigned long long)r->token);
    jbi_htext_str(to, ",\"resource\":");
    jbi_htext_ascii(to, jbi_coord_resource_name(s, r->resource, name));
    jbi_htext_str(to, ",\"component\":");
    jbi_htext_ascii(to, jbi_coord_component_name(s, r->component, name));
    jbi_htext_printf(to, ",\"class\":\"%s\",\"amount\":\"%llu\",\"value_ns\":\"%llu\"",
                     jbi_shape_word(&jbi_words_lease_class, r->lease_class),
                     (unsigned long long)r->amount, (unsigned long long)r->value_ns);
    if (*reason)
        jbi_htext_printf(to, ",\"reason\":\"%s\"", reason);
    jbi_htext_str(to, "}");
}

void jbi_coord_tell_line(jb_coord_service *s, uint32_t topic)
{
    if (s->json.is_broken) {
        s->n_unwritten++;
        return;
    }
    if (s->audit) {
        fwrite(s->json.data, 1, s->json.len, s->audit);
        fputc('\n', s->audit);
    }
    jbi_coord_publish(s, topic, &s->json);
}

/* Tell the log and the bus. */
static void tell(jb_coord_service *s, const jb_record *r)
{
    if (!s->audit && !s->opts.bus)
        return;
    make_line(s, r);
    jbi_coord_tell_line(s, r->kind);
}

/* The coordinator's own sums, if nothing has happened since the last record that was read. */
static void write_books(jb_coord_service *s)
{
    uint64_t allocated[JB_QUOTA_RESOURCES_MAX];
    char name[JB_QUOTA_NAME_BYTES];
    jb_coord_stats stats;
    jb_resource_info r;
    uint32_t n = 0;

    while (n < JB_QUOTA_RESOURCES_MAX && jb_coord_resource_at(s->coord, n, &r) == 0)
        allocated[n++] = r.allocated;
    if (jb_coord_get_stats(s->coord, &stats) < 0 || stats.n_records != s->record)
        return;
    for (uint32_t i = 0; i < n; i++) {
        fprintf(s->audit, "{\"kind\":\"books\",\"sequence\":\"%llu\"",
                (unsigned long long)s->record);
        put_name(s->audit, "resource", jbi_coord_resource_name(s, i, name));
        fprintf(s->audit, ",\"amount\":\"%llu\"}\n", (unsigned long long)allocated[i]);
    }
    s->is_booked = true;
    s->booked_ns = jb_clock_now_ns();
}

/* --- reading */

static void count(jb_coord_service *s, const jb_record *r)
{
    jbi_coord_figures *f = &s->figures[r->resource % JB_QUOTA_RESOURCES_MAX];

    if (r->kind == JB_RECORD_GRANTED) {
        f->n_granted++;
        jbi_slots_put(&s->slots, r->token, r->slot);
        jbi_histogram_add(&f->waits, r->value_ns);
    } else if (r->kind == JB_RECORD_DENIED && r->reason < JBI_COORD_DENIED) {
        f->n_denied[r->reason]++;
    } else if (r->kind == JB_RECORD_ENDED && r->reason < JBI_COORD_ENDS) {
        f->n_ended[r->reason]++;
        jbi_histogram_add(&f->holds, r->value_ns);
        jbi_coord_note_end(s, r->token, r->reason);
    }
}

bool jbi_coord_read_records(jb_coord_service *s)
{
    uint64_t n_lost;
    jb_record r;
    uint32_t n = 0;

    for (; n < BATCH && jb_coord_next_record(s->coord, &s->record, &r, &n_lost) > 0; n++) {
        s->n_lost += n_lost;
        s->slots.is_whole &= n_lost == 0;
        count(s, &r);
        if (s->audit && n_lost)
            fprintf(s->audit, "{\"kind\":\"lost\",\"amount\":\"%llu\"}\n",
                    (unsigned long long)n_lost);
        tell(s, &r);
    }
    if (!s->audit || (n == 0 && s->is_booked))
        return n == BATCH;
    s->is_booked = false;
    if (jb_clock_now_ns() - s->booked_ns >= BOOKS_NS)
        write_books(s);
    else
        jbi_coord_due_in(s, BOOKS_NS);
    if (fflush(s->audit) != 0)
        s->n_unwritten++;
    return n == BATCH;
}

/* Capacities and what is held, of one moment: again when something happened meanwhile. */
static void write_beginning(jb_coord_service *s)
{
    enum { TRIES = 100 };
    FILE *audit = s->audit;
    jb_coord_stats stats = {.n_records = s->record};
    char *text = NULL;
    size_t n = 0;

    for (int i = 0; i < TRIES; i++) {
        s->record = stats.n_records;
        free(text);
        text = NULL;
        s->audit = open_memstream(&text, &n);
        if (!s->audit)
            break;
        write_open(s);
        write_held(s);
        fclose(s->audit);
        if (jb_coord_get_stats(s->coord, &stats) == 0 && stats.n_records == s->record)
            break;
    }
    s->audit = audit;
    if (!text || fwrite(text, 1, n, audit) != n)
        s->n_unwritten++;
    free(text);
}

/* --- its life */

/* The one before us died while it wrote a line: ours begins on one of its own. */
static bool is_cut(const char *path)
{
    struct stat info;
    FILE *file;
    bool is_cut;

    if (stat(path, &info) < 0 || !S_ISREG(info.st_mode) || !info.st_size)
        return false;
    file = fopen(path, "re");
    is_cut = file && fseek(file, -1, SEEK_END) == 0 && fgetc(file) != '\n';
    if (file)
        fclose(file);
    return is_cut;
}

int jbi_coord_open_records(jb_coord_service *s, jb_error *err)
{
    jb_coord_stats stats;
    int rc = jb_coord_get_stats(s->coord, &stats);

    if (rc < 0)
        return rc;
    s->record = stats.n_records;
    s->utc_offset_ns = jb_clock_utc_ns() - stats.now_ns;
    if (!s->opts.audit_path)
        return 0;
    s->audit = fopen(s->opts.audit_path, "ae");
    if (!s->audit) {
        int saved = errno;

        if (err) {
            jb_error_init(err);
            err->code = JB_ESYS;
            err->os_errno = saved;
            snprintf(err->msg, sizeof(err->msg), "%.150s: %s", s->opts.audit_path, strerror(saved));
        }
        return JB_ESYS;
    }
    if (is_cut(s->opts.audit_path))
        fputc('\n', s->audit);
    write_beginning(s);
    write_books(s);
    fflush(s->audit);
    return 0;
}

void jbi_coord_close_records(jb_coord_service *s)
{
    if (!s->audit)
        return;
    s->booked_ns = 0;
    s->is_booked = false;
    jbi_coord_read_records(s);
    fclose(s->audit);
    s->audit = NULL;
}
