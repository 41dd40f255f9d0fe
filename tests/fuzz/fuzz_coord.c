/*
 * The calls of the coordinator's contract: the first byte says which entry is asked, the rest is
 * what came: a message of protobuf, or JSON. Whatever it is, the call is answered once or kept, the
 * answer over REST is JSON, and the books are right afterwards.
 */
#include "host/added/call.h"
#include "host/coord/coord_service.h"
#include "target.h"

#include <jansson.h>

static const jb_resource_spec resources[] = {
    {.name = "ram", .kind = JB_RESOURCE_MEMORY, .capacity = 1000},
    {.name = "calls", .kind = JB_RESOURCE_CALLS, .capacity = 10}};
static const jb_component_spec components[] = {{.name = "a", .weight = 2}, {.name = "b"}};
static const jb_limit_spec limits[] = {{.resource = 1,
                                        .component = JB_LIMIT_ALL,
                                        .kind = JB_LIMIT_WINDOW,
                                        .amount = 5,
                                        .period_ns = 1000000000}};
static jb_coord_service *service;
static unsigned n_answers;

static void on_answer(jb_call *call, uint32_t code, const void *bytes, size_t n,
                      const char *message)
{
    json_t *root;

    n_answers++;
    if (code != JB_CALL_OK) {
        if (!message || !*message)
            abort();
        return;
    }
    if (jb_call_is_grpc(call))
        return;
    root = json_loadb(bytes, n, 0, NULL);
    if (!json_is_object(root))
        abort();
    json_decref(root);
}

static int on_send(jb_call *call, const void *bytes, size_t n)
{
    return 0;
}

static const jbi_carrier grpc = {.answer = on_answer, .send = on_send, .is_grpc = true};
static const jbi_carrier rest = {.answer = on_answer};

static void set_up(void)
{
    jb_coord_service_opts opts;
    jb_coord_opts coord;

    jb_coord_opts_init(&coord, sizeof(coord));
    coord.resources = resources;
    coord.n_resources = 2;
    coord.components = components;
    coord.n_components = 2;
    coord.limits = limits;
    coord.n_limits = 1;
    jb_coord_service_opts_init(&opts, sizeof(opts));
    if (jb_coord_open(NULL, &coord, &opts.coord, NULL) < 0 ||
        jb_coord_service_create(&opts, &service, NULL) < 0)
        abort();
}

/* The next input finds nothing of this one, but what counts. */
static void clear(void)
{
    uint32_t cursor = 0;
    jb_lease_info info;

    while (jb_coord_next_lease(service->coord, &cursor, &info) > 0) {
        jb_lease lease = {.token = info.token, .slot = info.slot};

        jb_lease_release(service->coord, &lease);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    jb_call call = {.carrier = &grpc};

    if (!service)
        set_up();
    if (size == 0)
        return 0;
    call.entry = &service->entries[data[0] % service->n_entries];
    call.body = (jbi_slice){(const char *)data + 1, size - 1};
    if (call.entry->method)
        call.carrier = &rest;
    n_answers = 0;
    call.entry->handle(&call, service);
    if (n_answers > 1)
        abort();
    if (n_answers == 0 && !call.on_close)
        abort();
    if (n_answers == 0)
        call.on_close(&call, call.close_userdata);
    if (service->waiters || service->watches || service->streams || service->takers)
        abort();
    clear();
    if (jb_coord_audit(service->coord, NULL) < 0)
        abort();
    return 0;
}
