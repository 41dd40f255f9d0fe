/*
 * orders: commands that come in as JSON, and the poll that hands them to the game as text.
 *
 * A command is first published on the bus; it reaches the queue of this host, and of every other
 * host on the bus, by the subscription of service.c, so it makes no difference which way it came.
 *
 * Invariant: a queued command is given to exactly one GET; a HEAD takes none.
 */
#include "host/service/orders.h"

#include "host/http/unpack.h"
#include "host/service/service.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A command is a name and eight short parameters; a tree of JSON is many times its text. */
enum { POLL_MAX_BYTES = 64 * 1024, COMMAND_MAX_BYTES = 64 * 1024 };

/* A parameter's text; NULL when it has one, else what is wrong with it. */
static const char *write_param(const json_t *value, char to[48])
{
    int n = 0;

    if (json_is_string(value)) {
        if (json_string_length(value) > 47)
            return "a parameter is longer than 47 bytes";
        n = snprintf(to, 48, "%s", json_string_value(value));
    } else if (json_is_integer(value)) {
        n = snprintf(to, 48, "%lld", (long long)json_integer_value(value));
    } else if (json_is_real(value)) {
        double v = json_real_value(value);

        n = snprintf(to, 48, fabs(v) < 1e15 && v == floor(v) ? "%.0f" : "%.17g", v);
    } else if (json_is_boolean(value)) {
        n = snprintf(to, 48, "%s", json_is_true(value) ? "true" : "false");
    } else {
        return "a parameter is a string, a number or a boolean";
    }
    return n > 0 ? NULL : "a parameter is empty";
}

/* Append one value, or each of a list. */
static const char *add_params(jb_command *command, const json_t *value)
{
    size_t n = json_is_array(value) ? json_array_size(value) : 1;

    for (size_t i = 0; i < n; i++) {
        const char *problem;

        if (command->n_params == 8)
            return "a command has at most 8 parameters";
        problem = write_param(json_is_array(value) ? json_array_get(value, i) : value,
                              command->params[command->n_params]);
        if (problem)
            return problem;
        command->n_params++;
    }
    return NULL;
}

static const char *copy_text(const json_t *value, char *to, size_t cap, const char *problem)
{
    if (!json_is_string(value) || json_string_length(value) >= cap)
        return problem;
    memcpy(to, json_string_value(value), json_string_length(value) + 1);
    return NULL;
}

/* `position` or `index` of the payload, then every `params`. */
static const char *read_params(const json_t *root, jb_command *command)
{
    const json_t *payload = json_object_get(root, "payload");
    const json_t *place = json_object_get(payload, "position");
    const json_t *lists[3];
    const char *problem = NULL;

    lists[0] = place ? place : json_object_get(payload, "index");
    lists[1] = json_object_get(payload, "params");
    lists[2] = json_object_get(root, "params");
    for (int i = 0; i < 3 && !problem; i++) {
        if (lists[i] && !json_is_null(lists[i]))
            problem = add_params(command, lists[i]);
    }
    return problem;
}

const char *jbi_orders_read(const json_t *root, jb_command *command)
{
    const json_t *id = json_object_get(root, "id");
    const char *problem;

    *command = (jb_command){.n_params = 0};
    if (!json_is_object(root))
        return "a command is an object with a type";
    problem = copy_text(json_object_get(root, "type"), command->name, sizeof(command->name),
                        "type is the command's name, a string of at most 47 bytes");
    if (!problem && id)
        problem =
            copy_text(id, command->id, sizeof(command->id), "id is a string of at most 63 bytes");
    return problem ? problem : read_params(root, command);
}

/* The id as the window of ids keeps it: no event_id begins with a byte that UTF-8 does not have. */
static void window_id(const jbi_dedupe *d, const jb_command *command, jbi_dedupe_entry *ret_id)
{
    size_t n = strnlen(command->id, sizeof(command->id));
    char id[1 + sizeof(command->id)] = {'\xff'};

    memcpy(id + 1, command->id, n);
    jbi_dedupe_read(d, id, n ? 1 + n : 0, ret_id);
}

static int publish(jbi_service *s, const jb_command *command)
{
    jb_event_head head = {
        .topic_id = s->command_overflow_topic, .type = JB_EVENT_COMMAND, .source_time = NAN};
    uint8_t bytes[1024];
    int64_t n;
    int rc = jb_bus_send_command(s->bus, command);

    if (rc != JB_ELIMIT)
        return rc;
    n = jb_command_encode(command, bytes, sizeof(bytes));
    return n < 0 ? (int)n : jb_bus_publish(s->bus, &head, bytes, (size_t)n);
}

int jbi_orders_send(jbi_service *s, const jb_command *command)
{
    jbi_dedupe_entry id;
    int rc;

    window_id(&s->dedupe, command, &id);
    if (jbi_dedupe_has(&s->dedupe, &id)) {
        s->counters.n_duplicates++;
        return 1;
    }
    rc = publish(s, command);
    if (rc == 0)
        jbi_dedupe_add(&s->dedupe, &id);
    return rc;
}

const char *const jbi_orders_rule =
    "a command's name is letters, digits and _; its parameters are printable text without comma or "
    "colon";

static void answer_sent(jbi_service *s, int rc, jbi_answer *answer)
{
    if (rc >= 0) {
        s->counters.n_commands += rc == 0;
        jbi_htext_str(answer->body, "{\"status\":\"ok\"}\n");
    } else if (rc == JB_EINVAL) {
        jbi_answer_error(answer, 400, jbi_orders_rule);
    } else if (rc == JB_EAGAIN) {
        jbi_answer_error(answer, 503, "the bus is full, send the command again");
        answer->retry_after_s = 1;
    } else {
        jbi_answer_error(answer, 500, jb_strerror(rc));
    }
}

void jbi_service_command(jbi_service *s, const jbi_call *call, jbi_answer *answer)
{
    size_t max_bytes = s->opts->max_body_bytes;
    json_error_t err;
    jb_command command;
    const char *problem;
    jbi_call plain;
    json_t *root;

    if (max_bytes > COMMAND_MAX_BYTES)
        max_bytes = COMMAND_MAX_BYTES;
    if (!jbi_unpack(call, max_bytes, &s->unpacked, &plain, answer))
        return;
    if (plain.body_bytes > max_bytes) {
        jbi_answer_error(answer, 413, "a command has at most 65536 bytes");
        return;
    }
    root = json_loadb(plain.body ? plain.body : "", plain.body_bytes, 0, &err);
    if (!root) {
        jbi_answer_error_at(answer, 400, err.text, err.position > 0 ? (uint64_t)err.position : 0);
        return;
    }
    problem = jbi_orders_read(root, &command);
    json_decref(root);
    if (problem)
        jbi_answer_error_at(answer, 400, problem, 0);
    else
        answer_sent(s, jbi_orders_send(s, &command), answer);
}

void jbi_service_poll(jbi_service *s, const jbi_call *call, jbi_answer *answer)
{
    uint32_t n;

    jbi_service_drain_commands(s);
    answer->content_type = "text/plain";
    n = jbi_cmdq_peek(&s->queue, answer->body, POLL_MAX_BYTES);
    if (!call->is_head && !answer->body->is_broken)
        jbi_cmdq_pop(&s->queue, n);
}
