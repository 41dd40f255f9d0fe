/*
 * answer: see answer.h. Header fields are written by hand into the connection's buffer: an answer
 * to a single event is about 200 bytes and no formatting call.
 */
#include "host/http/answer.h"

#include <string.h>

const char *jbi_answer_reason(uint16_t status)
{
    switch (status) {
    case 101:
        return "Switching Protocols";
    case 200:
        return "OK";
    case 204:
        return "No Content";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 417:
        return "Expectation Failed";
    case 422:
        return "Unprocessable Content";
    case 426:
        return "Upgrade Required";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Internal Server Error";
    }
}

void jbi_answer_init(jbi_answer *a, jbi_htext *body)
{
    jbi_htext_reset(body, 64 * 1024);
    a->status = 200;
    a->retry_after_s = 0;
    a->content_type = "application/json";
    a->body = body;
    a->allow[0] = '\0';
    a->next = NULL;
    a->next_arg = NULL;
    a->later = NULL;
    a->origin = (jbi_slice){NULL, 0};
    a->fields = NULL;
}

static void begin_error(jbi_answer *a, uint16_t status, const char *message)
{
    a->status = status;
    a->content_type = "application/json";
    a->body->len = 0;
    jbi_htext_str(a->body, "{\"status\":\"error\",\"error\":");
    jbi_htext_json(a->body, message, strlen(message));
}

void jbi_answer_error(jbi_answer *a, uint16_t status, const char *message)
{
    begin_error(a, status, message);
    jbi_htext_str(a->body, "}\n");
}

void jbi_answer_error_at(jbi_answer *a, uint16_t status, const char *message, uint64_t offset)
{
    begin_error(a, status, message);
    jbi_htext_str(a->body, ",\"offset\":");
    jbi_htext_u64(a->body, offset);
    jbi_htext_str(a->body, "}\n");
}

static void write_status_line(uint16_t status, jbi_htext *out)
{
    jbi_htext_str(out, "HTTP/1.1 ");
    jbi_htext_u64(out, status);
    jbi_htext_str(out, " ");
    jbi_htext_str(out, jbi_answer_reason(status));
    jbi_htext_str(out, "\r\n");
}

static void write_field(jbi_htext *out, const char *name, const char *value)
{
    jbi_htext_str(out, name);
    jbi_htext_str(out, value);
    jbi_htext_str(out, "\r\n");
}

static void write_number(jbi_htext *out, const char *name, uint64_t value)
{
    jbi_htext_str(out, name);
    jbi_htext_u64(out, value);
    jbi_htext_str(out, "\r\n");
}

bool jbi_answer_is_preflight(const jbi_answer *a)
{
    return a->origin.data && a->status == 204 && a->allow[0];
}

/* The browser is told that this page may read the answer; in a 204 to OPTIONS also what it may ask
 * next. */
static void write_origin(const jbi_answer *a, jbi_htext *out)
{
    jbi_htext_str(out, "Access-Control-Allow-Origin: ");
    jbi_htext_add(out, a->origin.data, a->origin.len);
    jbi_htext_str(out, "\r\nVary: Origin\r\n");
    if (!jbi_answer_is_preflight(a))
        return;
    write_field(out, "Access-Control-Allow-Methods: ", a->allow);
    jbi_htext_str(out, "Access-Control-Allow-Headers: " JBI_ANSWER_PAGE_FIELDS "\r\n"
                       "Access-Control-Max-Age: 600\r\n");
}

void jbi_answer_write(const jbi_answer *a, const jbi_answer_form *form, jbi_htext *out)
{
    write_status_line(a->status, out);
    write_field(out, "Date: ", form->date);
    if (a->status != 204 && a->status != 101) {
        write_field(out, "Content-Type: ", a->content_type);
        if (!a->next)
            write_number(out, "Content-Length: ", a->body->len);
    }
    if (a->fields)
        jbi_htext_str(out, a->fields);
    if (a->origin.data)
        write_origin(a, out);
    if (a->allow[0])
        write_field(out, "Allow: ", a->allow);
    if (a->retry_after_s)
        write_number(out, "Retry-After: ", a->retry_after_s);
    if (a->status == 101)
        write_field(out, "Connection: ", "Upgrade");
    else if (!form->is_keep_alive || a->next)
        write_field(out, "Connection: ", "close");
    else if (form->is_http_1_0)
        write_field(out, "Connection: ", "keep-alive");
    jbi_htext_str(out, "\r\n");
    if (!form->is_head && a->status != 204 && !a->next)
        jbi_htext_add(out, a->body->data, a->body->len);
}
