/*
 * reflection_call: see reflection_call.h. The descriptors are walked where they lie; nobody asks
 * often.
 */
#include "host/grpc/reflection_call.h"

#include "host/host.h"
#include "host/text/msgfield.h"

/* A FileDescriptorSet. */
extern const unsigned char jbi_descriptors[];
extern const unsigned jbi_descriptors_bytes;

/* Field numbers of descriptor.proto. */
enum {
    FILE_NAME = 1,
    FILE_PACKAGE = 2,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    ANY_NAME = 1,   /* of a message, enum, service, method, field or value */
    ENUM_VALUE = 2, /* values stand beside their enum */
    SERVICE_METHOD = 2,
    MESSAGE_FIELD = 2,
    MESSAGE_MESSAGE = 3,
    MESSAGE_ENUM = 4,
    MESSAGE_ONEOF = 8,
    NESTED_MAX = 16
};

/* Of requests and responses. */
enum {
    BY_FILENAME = 3,
    BY_SYMBOL = 4,
    BY_EXTENSION = 5,
    EXTENSIONS_OF = 6,
    LIST_SERVICES = 7,
    ORIGINAL_REQUEST = 2,
    FILE_RESPONSE = 4,
    LIST_RESPONSE = 6,
    ERROR_RESPONSE = 7
};

static jbi_wire all_files(void)
{
    return jbi_wire_of(jbi_descriptors, jbi_descriptors_bytes);
}

static bool is_equal(jbi_slice a, jbi_slice b)
{
    return a.len == b.len && (!a.len || memcmp(a.data, b.data, a.len) == 0);
}

/* Take a name and the dot after it off the front of a symbol. False: it does not begin so. */
static bool take_name(jbi_slice *symbol, jbi_slice name)
{
    if (symbol->len < name.len || memcmp(symbol->data, name.data, name.len) != 0 ||
        (symbol->len > name.len && symbol->data[name.len] != '.'))
        return false;
    if (name.len == symbol->len) {
        symbol->len = 0;
    } else {
        symbol->data += name.len + 1;
        symbol->len -= name.len + 1;
    }
    return true;
}

/* Whether something named `symbol` stands in an element of a file: the element itself, or what is
 * in it. */
static bool is_in_element(jbi_slice element, jbi_slice symbol, bool is_message, int depth)
{
    jbi_wire in = jbi_wire_of(element.data, element.len);
    jbi_msg_field f;

    jbi_slice name = jbi_msg_bytes(element, ANY_NAME);

    if (!name.len || !take_name(&symbol, name) || depth == NESTED_MAX)
        return false;
    while (symbol.len && jbi_msg_next(&in, &f) > 0) {
        bool is_leaf = f.number == SERVICE_METHOD || (is_message && f.number == MESSAGE_ONEOF);
        bool is_inner = is_message && (f.number == MESSAGE_MESSAGE || f.number == MESSAGE_ENUM);

        if (f.type != JBI_WIRE_BYTES)
            continue;
        if (is_leaf && is_equal(jbi_msg_bytes(f.bytes, ANY_NAME), symbol))
            return true;
        if (is_inner && is_in_element(f.bytes, symbol, f.number == MESSAGE_MESSAGE, depth + 1))
            return true;
    }
    return symbol.len == 0;
}

static bool is_in_file(jbi_slice file, jbi_slice symbol)
{
    jbi_wire in = jbi_wire_of(file.data, file.len);
    jbi_slice package = jbi_msg_bytes(file, FILE_PACKAGE);
    jbi_msg_field f;

    if ((package.len && !take_name(&symbol, package)) || symbol.len == 0)
        return false;
    while (jbi_msg_next(&in, &f) > 0) {
        bool is_element =
            f.number == FILE_MESSAGE || f.number == FILE_ENUM || f.number == FILE_SERVICE;

        if (is_element && f.type == JBI_WIRE_BYTES &&
            is_in_element(f.bytes, symbol, f.number == FILE_MESSAGE, 0))
            return true;
    }
    return false;
}

/* The file of that name, or with that symbol; data is NULL when there is none. */
static jbi_slice find_file_in(jbi_wire in, uint32_t by, jbi_slice what)
{
    jbi_msg_field f;

    while (jbi_msg_next(&in, &f) > 0) {
        if (by == BY_FILENAME ? is_equal(jbi_msg_bytes(f.bytes, FILE_NAME), what)
                              : is_in_file(f.bytes, what))
            return f.bytes;
    }
    return (jbi_slice){NULL, 0};
}

/* The same in all sets of files. */
static jbi_slice find_file(const jb_host *host, uint32_t by, jbi_slice what)
{
    jbi_slice file = find_file_in(all_files(), by, what);

    for (uint32_t i = 0; i < host->added.n && !file.data; i++) {
        const jb_service *s = &host->added.services[i].service;

        if (s->descriptors)
            file =
                find_file_in(jbi_wire_of(s->descriptors, (size_t)s->descriptors_bytes), by, what);
    }
    return file;
}

static void write_error(jbi_htext *out, uint32_t code, const char *problem)
{
    size_t mark = jbi_msg_open(out, ERROR_RESPONSE);

    jbi_msg_put_value(out, 1, code);
    jbi_msg_put_text(out, 2, problem);
    jbi_msg_close(out, mark);
}

static void write_file(const jb_host *host, jbi_htext *out, uint32_t by, jbi_slice what)
{
    jbi_slice file = find_file(host, by, what);
    size_t mark;

    if (!file.data) {
        write_error(out, JBI_GRPC_NOT_FOUND, "there is no such file or symbol");
        return;
    }
    mark = jbi_msg_open(out, FILE_RESPONSE);
    jbi_msg_put_bytes(out, 1, file);
    jbi_msg_close(out, mark);
}

static jbi_slice service_of(const jbi_grpc_method *m)
{
    return (jbi_slice){m->path + 1, (size_t)(strrchr(m->path, '/') - m->path - 1)};
}

/* Whether a method before this one is of the same service. */
static bool is_named(const jb_host *host, uint32_t idx, jbi_slice service)
{
    for (uint32_t i = 0; i < idx; i++) {
        if (is_equal(service_of(jbi_grpc_method_at(host, i)), service))
            return true;
    }
    return false;
}

static void write_services(const jb_host *host, jbi_htext *out)
{
    size_t mark = jbi_msg_open(out, LIST_RESPONSE);
    const jbi_grpc_method *m;

    for (uint32_t i = 0; (m = jbi_grpc_method_at(host, i)); i++) {
        jbi_slice name = service_of(m);
        size_t item;

        if (is_named(host, i, name))
            continue;
        item = jbi_msg_open(out, 1);
        jbi_msg_put_bytes(out, 1, name);
        jbi_msg_close(out, item);
    }
    jbi_msg_close(out, mark);
}

/* The request's one question: its number and its text. */
static uint32_t read_question(jbi_slice message, jbi_slice *ret)
{
    jbi_wire in = jbi_wire_of(message.data, message.len);
    uint32_t number = 0;
    jbi_msg_field f;
    int rc;

    while ((rc = jbi_msg_next(&in, &f)) > 0) {
        if (f.type == JBI_WIRE_BYTES && f.number >= BY_FILENAME && f.number <= LIST_SERVICES) {
            number = f.number;
            *ret = f.bytes;
        }
    }
    return rc < 0 ? 0 : number;
}

bool jbi_grpc_reflection(jbi_grpc_call *call, jbi_slice message)
{
    jbi_htext *out = &call->stream->out;
    jbi_slice what = {NULL, 0};
    uint32_t question = read_question(message, &what);
    size_t mark;

    if (!question) {
        jbi_grpc_finish(call, JBI_GRPC_INVALID_ARGUMENT, "the request asks nothing known");
        return true;
    }
    mark = jbi_grpc_begin(call);
    jbi_msg_put_bytes(out, ORIGINAL_REQUEST, message);
    if (question == BY_FILENAME || question == BY_SYMBOL)
        write_file(jbi_grpc_host(call), out, question, what);
    else if (question == LIST_SERVICES)
        write_services(jbi_grpc_host(call), out);
    else
        write_error(out, JBI_GRPC_NOT_FOUND, "there are no extensions");
    jbi_grpc_end(call, mark);
    return true;
}

void jbi_grpc_reflection_end(jbi_grpc_call *call)
{
    jbi_grpc_done(call);
}
