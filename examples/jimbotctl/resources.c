/*
 * resources.c: a coordinator as it moves: what is leased of each resource, by whom, and who waits.
 *
 * Invariant: it attaches and makes nothing; a rate is the difference of two looks by the time
 * between them.
 */
#include "audit.h"
#include "ctl.h"
#include "screen.h"
#include "table.h"
#include "text.h"

#include "jimbot/quota.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *kind_name(uint32_t kind)
{
    static const char *const names[] = {"?",   "memory", "gpu_memory", "gpu_time",
                                        "cpu", "calls",  "tokens"};

    return names[kind < sizeof(names) / sizeof(*names) ? kind : 0];
}

static const char *class_name(uint32_t lease_class)
{
    static const char *const names[] = {"?", "low", "normal", "high", "critical"};

    return names[lease_class < sizeof(names) / sizeof(*names) ? lease_class : 0];
}

static label amount_of(const jb_resource_info *r, uint64_t amount)
{
    bool is_bytes = r->kind == JB_RESOURCE_MEMORY || r->kind == JB_RESOURCE_GPU_MEMORY;

    return is_bytes ? human_bytes((double)amount) : human_count((double)amount);
}

/* --- tables */

static int put_resources(FILE *out, jb_coord *coord)
{
    static const char *const titles[] = {"RESOURCE", "KIND",    ">LEASED",  ">OF",      ">FULL",
                                         ">FOREIGN", ">LEASES", ">WAITING", ">GRANTED", ">DENIED"};
    jb_resource_info r;
    table t;

    if (table_begin(&t, titles, sizeof(titles) / sizeof(*titles)) < 0)
        return -1;
    for (uint32_t i = 0; jb_coord_resource_at(coord, i, &r) == 0; i++) {
        uint64_t most = r.capacity - r.headroom;

        table_cell(&t, "%s", clean_text(r.name).text);
        table_cell(&t, "%s", kind_name(r.kind));
        table_cell(&t, "%s", amount_of(&r, r.allocated).text);
        table_cell(&t, "%s", amount_of(&r, most).text);
        table_cell(&t, "%s", human_percent(r.allocated, most).text);
        table_cell(&t, "%s", amount_of(&r, r.foreign).text);
        table_cell(&t, "%" PRIu64, r.n_leases);
        table_cell(&t, "%" PRIu64, r.n_waiting);
        table_cell(&t, "%" PRIu64, r.n_granted);
        table_cell(&t, "%" PRIu64, r.n_denied);
    }
    table_end(&t, out, 1);
    return 0;
}

/* "ram 400.0 MiB, gpu 10" */
static void put_shares(table *t, jb_coord *coord, uint32_t component)
{
    char text[256] = "";
    size_t n = 0;
    jb_resource_info r;
    jb_share_info s;

    for (uint32_t i = 0; jb_coord_resource_at(coord, i, &r) == 0 && n + 1 < sizeof(text); i++) {
        int len;

        if (jb_coord_share_at(coord, component, i, &s) < 0 || !s.allocated)
            continue;
        len = snprintf(text + n, sizeof(text) - n, "%s%s %s", n ? ", " : "",
                       clean_text(r.name).text, amount_of(&r, s.allocated).text);
        n = len > 0 ? n + (size_t)len : n;
    }
    table_cell(t, "%s", text);
}

static int put_components(FILE *out, jb_coord *coord)
{
    static const char *const titles[] = {"COMPONENT", ">WEIGHT", ">LEASES",  ">WAITING",
                                         ">GRANTED",  ">DENIED", ">EXPIRED", ">REVOKED",
                                         ">DIED",     "HAS"};
    jb_component_info c;
    table t;

    if (table_begin(&t, titles, sizeof(titles) / sizeof(*titles)) < 0)
        return -1;
    for (uint32_t i = 0; jb_coord_component_at(coord, i, &c) == 0; i++) {
        table_cell(&t, "%s", clean_text(c.name).text);
        table_cell(&t, "%" PRIu32, c.weight);
        table_cell(&t, "%" PRIu32, c.n_leases);
        table_cell(&t, "%" PRIu32, c.n_waiting);
        table_cell(&t, "%" PRIu64, c.n_granted);
        table_cell(&t, "%" PRIu64, c.n_denied);
        table_cell(&t, "%" PRIu64, c.n_ended[JB_LEASE_EXPIRED]);
        table_cell(&t, "%" PRIu64, c.n_ended[JB_LEASE_REVOKED]);
        table_cell(&t, "%" PRIu64, c.n_ended[JB_LEASE_HOLDER_DIED]);
        put_shares(&t, coord, i);
    }
    table_end(&t, out, 1);
    return 0;
}

static void put_want(table *t, jb_coord *coord, const jb_lease_info *l, uint64_t now_ns)
{
    char text[256] = "";
    size_t n = 0;
    jb_component_info c = {.name = "?"};
    jb_resource_info r;

    for (uint32_t i = 0; i < l->n_amounts && i < JB_QUOTA_AMOUNTS_MAX; i++) {
        int len;

        if (jb_coord_resource_at(coord, l->amounts[i].resource, &r) < 0 || n + 1 >= sizeof(text))
            continue;
        len = snprintf(text + n, sizeof(text) - n, "%s%s %s", n ? ", " : "",
                       clean_text(r.name).text, amount_of(&r, l->amounts[i].amount).text);
        n = len > 0 ? n + (size_t)len : n;
    }
    jb_coord_component_at(coord, l->component, &c);
    table_cell(t, "%s", clean_text(c.name).text);
    table_cell(t, "%s", class_name(l->lease_class));
    table_cell(t, "%s", human_age(now_ns > l->granted_ns ? now_ns - l->granted_ns : 0).text);
    table_cell(t, "%s",
               l->deadline_ns == UINT64_MAX ? "-"
               : l->deadline_ns > now_ns    ? human_age(l->deadline_ns - now_ns).text
                                            : "over");
    table_cell(t, "%s", text);
}

typedef int (*walk)(jb_coord *coord, uint32_t *cursor, jb_lease_info *ret_info);

/* Leases, or those in line: at most n_max of them, and how many more there are. */
static int put_list(FILE *out, jb_coord *coord, walk next, const char *heading, uint32_t n_max)
{
    const char *titles[] = {heading, "CLASS", ">FOR", ">LEFT", "AMOUNTS"};
    uint32_t cursor = 0;
    uint32_t n = 0;
    jb_coord_stats stats;
    jb_lease_info info;
    table t;

    if (jb_coord_get_stats(coord, &stats) < 0 ||
        table_begin(&t, titles, sizeof(titles) / sizeof(*titles)) < 0)
        return -1;
    while (next(coord, &cursor, &info) > 0) {
        if (n++ < n_max)
            put_want(&t, coord, &info, stats.now_ns);
    }
    table_end(&t, out, 1);
    if (n > n_max)
        fprintf(out, "and %u more\n", n - n_max);
    return 0;
}

/* --- JSON */

static int print_json(jb_coord *coord)
{
    jb_component_info c;
    jb_resource_info r;
    jb_coord_stats s;

    if (jb_coord_get_stats(coord, &s) < 0)
        return complain("the coordinator cannot be read");
    printf("{\"n_leases\":%u,\"n_waiting\":%u,\"n_records\":%" PRIu64 ",\"resources\":[",
           s.n_leases, s.n_waiting, s.n_records);
    for (uint32_t i = 0; jb_coord_resource_at(coord, i, &r) == 0; i++) {
        fputs(i ? ",{\"name\":" : "{\"name\":", stdout);
        put_json_string(stdout, r.name);
        printf(",\"kind\":\"%s\",\"capacity\":%" PRIu64 ",\"headroom\":%" PRIu64
               ",\"allocated\":%" PRIu64 ",\"foreign\":%" PRIu64 ",\"n_leases\":%" PRIu64
               ",\"n_waiting\":%" PRIu64 ",\"n_granted\":%" PRIu64 ",\"n_denied\":%" PRIu64 "}",
               kind_name(r.kind), r.capacity, r.headroom, r.allocated, r.foreign, r.n_leases,
               r.n_waiting, r.n_granted, r.n_denied);
    }
    fputs("],\"components\":[", stdout);
    for (uint32_t i = 0; jb_coord_component_at(coord, i, &c) == 0; i++) {
        fputs(i ? ",{\"name\":" : "{\"name\":", stdout);
        put_json_string(stdout, c.name);
        printf(",\"weight\":%u,\"n_leases\":%u,\"n_waiting\":%u,\"n_granted\":%" PRIu64
               ",\"n_denied\":%" PRIu64 "}",
               c.weight, c.n_leases, c.n_waiting, c.n_granted, c.n_denied);
    }
    puts("]}");
    return 0;
}

/* --- screens */

static int draw(screen *s, jb_coord *coord, const char *name)
{
    char *text = NULL;
    size_t len_bytes = 0;
    FILE *out = open_memstream(&text, &len_bytes);
    uint32_t n_max = s->is_live ? s->n_rows / 3 : UINT32_MAX;
    jb_coord_stats stats;
    int rc = out ? jb_coord_get_stats(coord, &stats) : -1;

    if (rc == 0) {
        fprintf(out, "%c%.8s  coordinator %s  %u of %u leases  %u waiting  (q quits)\n", TABLE_MARK,
                clock_time(jb_clock_utc_ns()).text, clean_text(name).text, stats.n_leases,
                stats.max_leases, stats.n_waiting);
        rc = put_resources(out, coord);
        putc('\n', out);
        rc = rc == 0 ? put_components(out, coord) : rc;
        putc('\n', out);
        rc = rc == 0 ? put_list(out, coord, jb_coord_next_waiter, "WAITING", n_max) : rc;
        putc('\n', out);
        rc = rc == 0 ? put_list(out, coord, jb_coord_next_lease, "LEASE OF", n_max) : rc;
    }
    if (out)
        fclose(out);
    rc = rc == 0 ? screen_draw(s, text, len_bytes) : rc;
    free(text);
    return rc;
}

static int run_screens(const ctl_opts *opts, jb_coord *coord, const char *name)
{
    uint64_t next_ns = jb_clock_now_ns();
    uint64_t n_left = opts->n_max;
    enum screen_why why;
    screen s;
    int rc = 0;

    screen_begin(&s);
    while ((why = screen_wait(&s, next_ns)) != SCREEN_QUIT) {
        if (why == SCREEN_TIME) {
            next_ns = jb_clock_now_ns() + opts->interval_ns;
            n_left -= n_left != UINT64_MAX;
        }
        rc = draw(&s, coord, name);
        if (rc < 0 || n_left == 0)
            break;
    }
    screen_end(&s);
    if (rc < 0 && errno != EPIPE)
        return complain("cannot write: %s", strerror(errno));
    return 0;
}

int run_resources(const ctl_opts *opts, jb_bus *bus)
{
    const char *name = opts->n_args ? opts->args[0] : "jimbot";
    jb_coord *coord;
    jb_error err;
    int rc;

    if (opts->n_args == 2 && !strcmp(name, "audit"))
        return audit_check(opts->args[1]);
    if (opts->n_args == 2) {
        complain("resources: what is \"%s\"?", opts->args[1]);
        return EXIT_WRONG_USAGE;
    }
    jb_error_init(&err);
    rc = jb_coord_open(name, NULL, &coord, &err);
    if (rc < 0) {
        complain("coordinator %s: %s", name, err.msg[0] ? err.msg : jb_strerror(rc));
        return rc == JB_ENOENT ? EXIT_NO_BUS : EXIT_FAILURE;
    }
    rc = opts->is_json ? print_json(coord) : run_screens(opts, coord, name);
    jb_coord_close(coord);
    return rc;
}
