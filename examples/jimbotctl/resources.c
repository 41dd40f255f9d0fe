/*
 * resources.c: a coordinator as it moves: what is leased of each resource, by whom, and who waits.
 *
 * Invariant: it looks and makes nothing; what is drawn is one view, wherever that came from.
 */
#include "audit.h"
#include "ctl.h"
#include "screen.h"
#include "table.h"
#include "text.h"
#include "view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static label amount_of(const jb_resource_info *r, uint64_t amount)
{
    bool is_bytes = r->kind == JB_RESOURCE_MEMORY || r->kind == JB_RESOURCE_GPU_MEMORY;

    return is_bytes ? human_bytes((double)amount) : human_count((double)amount);
}

/* --- tables */

static int put_resources(FILE *out, const view *v)
{
    static const char *const titles[] = {"RESOURCE", "KIND",    ">LEASED",  ">OF",      ">FULL",
                                         ">FOREIGN", ">LEASES", ">WAITING", ">GRANTED", ">DENIED"};
    table t;

    if (table_begin(&t, titles, sizeof(titles) / sizeof(*titles)) < 0)
        return -1;
    for (uint32_t i = 0; i < v->n_resources; i++) {
        const jb_resource_info *r = &v->resources[i];
        uint64_t most = r->capacity - r->headroom;

        table_cell(&t, "%s", clean_text(r->name).text);
        table_cell(&t, "%s", view_kind(r->kind));
        table_cell(&t, "%s", amount_of(r, r->allocated).text);
        table_cell(&t, "%s", amount_of(r, most).text);
        table_cell(&t, "%s", human_percent(r->allocated, most).text);
        table_cell(&t, "%s", amount_of(r, r->foreign).text);
        table_cell(&t, "%" PRIu64, r->n_leases);
        table_cell(&t, "%" PRIu64, r->n_waiting);
        table_cell(&t, "%" PRIu64, r->n_granted);
        table_cell(&t, "%" PRIu64, r->n_denied);
    }
    table_end(&t, out, 1);
    return 0;
}

/* "ram 400.0 MiB, gpu 10" */
typedef struct amounts {
    char text[256];
    size_t n;
} amounts;

static void put_amount(amounts *a, const jb_resource_info *r, uint64_t amount)
{
    int len;

    if (a->n + 1 >= sizeof(a->text))
        return;
    len = snprintf(a->text + a->n, sizeof(a->text) - a->n, "%s%s %s", a->n ? ", " : "",
                   clean_text(r->name).text, amount_of(r, amount).text);
    a->n += len > 0 ? (size_t)len : 0;
}

/* "260.0 MiB of 200.0 MiB, shrink by 100.0 MiB" */
static void put_memory(table *t, const jb_component_memory *m)
{
    static const char *const words[] = {"", ", near its end", ", beyond it: shrink by "};

    if (m->n_processes)
        table_cell(t, "%s of %s%s%s", human_bytes((double)m->used_bytes).text,
                   human_bytes((double)m->granted_bytes).text, words[m->state],
                   m->state == JB_MEMORY_OVER ? human_bytes((double)m->shrink_bytes).text : "");
    else
        table_cell(t, "-");
}

static int put_components(FILE *out, const view *v)
{
    static const char *const titles[] = {"COMPONENT", ">WEIGHT", ">LEASES",  ">WAITING",
                                         ">GRANTED",  ">DENIED", ">EXPIRED", ">REVOKED",
                                         ">DIED",     "HAS",     "USES"};
    table t;

    if (table_begin(&t, titles, sizeof(titles) / sizeof(*titles) - !v->has_memory) < 0)
        return -1;
    for (uint32_t i = 0; i < v->n_components; i++) {
        const jb_component_info *c = &v->components[i];
        amounts has = {.n = 0};

        table_cell(&t, "%s", clean_text(c->name).text);
        table_cell(&t, "%" PRIu32, c->weight);
        table_cell(&t, "%" PRIu32, c->n_leases);
        table_cell(&t, "%" PRIu32, c->n_waiting);
        table_cell(&t, "%" PRIu64, c->n_granted);
        table_cell(&t, "%" PRIu64, c->n_denied);
        table_cell(&t, "%" PRIu64, c->n_ended[JB_LEASE_EXPIRED]);
        table_cell(&t, "%" PRIu64, c->n_ended[JB_LEASE_REVOKED]);
        table_cell(&t, "%" PRIu64, c->n_ended[JB_LEASE_HOLDER_DIED]);
        for (uint32_t k = 0; k < v->n_resources; k++) {
            if (v->allocated[i][k])
                put_amount(&has, &v->resources[k], v->allocated[i][k]);
        }
        table_cell(&t, "%s", has.text);
        if (v->has_memory)
            put_memory(&t, &v->memory[i]);
    }
    table_end(&t, out, 1);
    return 0;
}

static void put_want(table *t, const view *v, const jb_lease_info *l)
{
    uint64_t now_ns = v->now_ns;
    amounts has = {.n = 0};

    for (uint32_t i = 0; i < l->n_amounts && i < JB_QUOTA_AMOUNTS_MAX; i++) {
        if (l->amounts[i].resource < v->n_resources)
            put_amount(&has, &v->resources[l->amounts[i].resource], l->amounts[i].amount);
    }
    table_cell(t, "%s",
               l->component < v->n_components ? clean_text(v->components[l->component].name).text
                                              : "?");
    table_cell(t, "%s", view_class(l->lease_class));
    table_cell(t, "%s", human_age(now_ns > l->granted_ns ? now_ns - l->granted_ns : 0).text);
    table_cell(t, "%s",
               l->deadline_ns == UINT64_MAX ? "-"
               : l->deadline_ns > now_ns    ? human_age(l->deadline_ns - now_ns).text
                                            : "over");
    table_cell(t, "%s", has.text);
}

/* Leases, or those in line, and how many more there are. */
static int put_list(FILE *out, const view *v, const view_list *list, const char *heading)
{
    const char *titles[] = {heading, "CLASS", ">FOR", ">LEFT", "AMOUNTS"};
    table t;

    if (table_begin(&t, titles, sizeof(titles) / sizeof(*titles)) < 0)
        return -1;
    for (uint32_t i = 0; i < list->n; i++)
        put_want(&t, v, &list->items[i]);
    table_end(&t, out, 1);
    if (list->n_more)
        fprintf(out, "and %u more\n", list->n_more);
    return 0;
}

/* --- JSON */

static void print_json(const view *v)
{
    printf("{\"n_leases\":%u,\"n_waiting\":%u,", v->n_leases, v->n_waiting);
    if (!v->is_far)
        printf("\"n_records\":%" PRIu64 ",", v->n_records);
    fputs("\"resources\":[", stdout);
    for (uint32_t i = 0; i < v->n_resources; i++) {
        const jb_resource_info *r = &v->resources[i];

        fputs(i ? ",{\"name\":" : "{\"name\":", stdout);
        put_json_string(stdout, r->name);
        printf(",\"kind\":\"%s\",\"capacity\":%" PRIu64 ",\"headroom\":%" PRIu64
               ",\"allocated\":%" PRIu64 ",\"foreign\":%" PRIu64 ",\"n_leases\":%" PRIu64
               ",\"n_waiting\":%" PRIu64 ",\"n_granted\":%" PRIu64 ",\"n_denied\":%" PRIu64 "}",
               view_kind(r->kind), r->capacity, r->headroom, r->allocated, r->foreign, r->n_leases,
               r->n_waiting, r->n_granted, r->n_denied);
    }
    fputs("],\"components\":[", stdout);
    for (uint32_t i = 0; i < v->n_components; i++) {
        const jb_component_info *c = &v->components[i];

        fputs(i ? ",{\"name\":" : "{\"name\":", stdout);
        put_json_string(stdout, c->name);
        printf(",\"weight\":%u,\"n_leases\":%u,\"n_waiting\":%u,\"n_granted\":%" PRIu64
               ",\"n_denied\":%" PRIu64 "}",
               c->weight, c->n_leases, c->n_waiting, c->n_granted, c->n_denied);
    }
    puts("]}");
}

/* --- screens */

/* What is looked at: a handle, or the address in the options. */
typedef struct source {
    const ctl_opts *opts;
    jb_coord *coord;
    const char *name;
    view v;
} source;

static int look(source *from, uint32_t n_max)
{
    return from->coord ? view_take(&from->v, from->coord, n_max)
                       : view_fetch(&from->v, from->opts, n_max);
}

static int draw(screen *s, const source *from)
{
    const view *v = &from->v;
    char *text = NULL;
    size_t len_bytes = 0;
    FILE *out = open_memstream(&text, &len_bytes);
    int rc = out ? 0 : -1;

    if (rc == 0) {
        fprintf(out, "%c%.8s  coordinator %s  %u of %u leases  %u waiting  (q quits)\n", TABLE_MARK,
                clock_time(jb_clock_utc_ns()).text, clean_text(from->name).text, v->n_leases,
                v->max_leases, v->n_waiting);
        rc = put_resources(out, v);
        putc('\n', out);
        rc = rc == 0 ? put_components(out, v) : rc;
        putc('\n', out);
        if (!v->is_far) {
            rc = rc == 0 ? put_list(out, v, &v->waiting, "WAITING") : rc;
            putc('\n', out);
        }
        rc = rc == 0 ? put_list(out, v, &v->leases, "LEASE OF") : rc;
        fclose(out);
    }
    rc = rc == 0 ? screen_draw(s, text, len_bytes) : rc;
    free(text);
    return rc;
}

static int run_screens(source *from)
{
    uint64_t next_ns = jb_clock_now_ns();
    uint64_t n_left = from->opts->n_max;
    enum screen_why why;
    screen s;
    int rc = 0, looked = 0, saved = 0;

    screen_begin(&s);
    while (n_left > 0 && (why = screen_wait(&s, next_ns)) != SCREEN_QUIT) {
        if (why == SCREEN_TIME) {
            next_ns = jb_clock_now_ns() + from->opts->interval_ns;
            n_left -= n_left != UINT64_MAX;
        }
        looked = look(from, s.is_live ? s.n_rows / 3 : UINT32_MAX);
        rc = looked == 0 ? draw(&s, from) : 0;
        saved = errno;
        if (rc < 0 || looked < 0)
            break;
    }
    screen_end(&s);
    if (looked < 0) {
        complain("%s", from->v.problem);
        return from->v.exit_code;
    }
    return rc < 0 && saved != EPIPE ? complain("cannot write: %s", strerror(saved)) : 0;
}

static int show(source *from)
{
    int rc;

    if (!from->opts->is_json)
        return run_screens(from);
    rc = look(from, 0);
    if (rc < 0) {
        complain("%s", from->v.problem);
        return from->v.exit_code;
    }
    print_json(&from->v);
    return 0;
}

int run_resources(const ctl_opts *opts, jb_bus *bus)
{
    static source from;
    int rc = 0;
    jb_error err;

    if (opts->n_args == 2 && !strcmp(opts->args[0], "audit") && !opts->url)
        return audit_check(opts->args[1]);
    if (opts->n_args > (opts->url ? 0 : 1)) {
        complain("resources: what is \"%s\"?", opts->args[opts->url ? 0 : 1]);
        return EXIT_WRONG_USAGE;
    }
    from = (source){.opts = opts, .name = opts->url};
    if (!opts->url) {
        from.name = opts->n_args ? opts->args[0] : "jimbot";
        jb_error_init(&err);
        rc = jb_coord_open(from.name, NULL, &from.coord, &err);
    }
    if (rc < 0) {
        complain("coordinator %s: %s", from.name, err.msg[0] ? err.msg : jb_strerror(rc));
        return rc == JB_ENOENT ? EXIT_NO_BUS : EXIT_FAILURE;
    }
    rc = show(&from);
    jb_coord_close(from.coord);
    view_fini(&from.v);
    return rc;
}
