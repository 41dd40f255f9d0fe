/*
 * proc_text.c: reading lines of "Name:  123 kB", of "0::/path", and single amounts.
 */
#include "quota/proc_text.h"

#include <string.h>

struct text {
    const char *at;
    const char *end;
};

static bool next_line(struct text *text, struct text *ret_line)
{
    const char *end;

    if (text->at == text->end)
        return false;
    end = memchr(text->at, '\n', (size_t)(text->end - text->at));
    ret_line->at = text->at;
    ret_line->end = end ? end : text->end;
    text->at = end ? end + 1 : text->end;
    return true;
}

static bool skip_word(struct text *line, const char *word)
{
    size_t len = strlen(word);

    if ((size_t)(line->end - line->at) < len || memcmp(line->at, word, len) != 0)
        return false;
    line->at += len;
    return true;
}

static void skip_blanks(struct text *line)
{
    while (line->at < line->end && (*line->at == ' ' || *line->at == '\t'))
        line->at++;
}

static bool take_number(struct text *line, uint64_t *ret_number)
{
    uint64_t number = 0;
    const char *first = line->at;

    for (; line->at < line->end && *line->at >= '0' && *line->at <= '9'; line->at++) {
        uint64_t digit = (uint64_t)(*line->at - '0');

        if (number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *ret_number = number;
    return line->at != first;
}

static bool take_kilobytes(struct text *line, uint64_t *ret_bytes)
{
    uint64_t number;

    skip_blanks(line);
    if (!take_number(line, &number) || number > UINT64_MAX / 1024)
        return false;
    skip_blanks(line);
    *ret_bytes = number * 1024;
    return skip_word(line, "kB") && line->at == line->end;
}

bool jbi_proc_status_parse(const char *text, size_t len_bytes, struct jbi_proc_status *ret_status)
{
    struct jbi_proc_status status = {0};
    struct text rest = {text, text + len_bytes};
    struct text line;
    uint64_t parent = UINT64_MAX;
    uint64_t of_file = 0, of_shmem = 0;

    while (next_line(&rest, &line)) {
        bool is_good = true;

        if (skip_word(&line, "PPid:")) {
            skip_blanks(&line);
            is_good = take_number(&line, &parent) && parent <= UINT32_MAX && line.at == line.end;
        } else if (skip_word(&line, "VmRSS:")) {
            is_good = take_kilobytes(&line, &status.rss_bytes);
        } else if (skip_word(&line, "RssFile:")) {
            is_good = take_kilobytes(&line, &of_file);
        } else if (skip_word(&line, "RssShmem:")) {
            is_good = take_kilobytes(&line, &of_shmem);
        } else if (skip_word(&line, "VmSwap:")) {
            is_good = take_kilobytes(&line, &status.swap_bytes);
        }
        if (!is_good)
            return false;
    }
    if (parent == UINT64_MAX)
        return false;
    status.parent_pid = (uint32_t)parent;
    status.shared_bytes = of_file > UINT64_MAX - of_shmem ? UINT64_MAX : of_file + of_shmem;
    *ret_status = status;
    return true;
}

/* No "..", which leads out: the kernel shows groups above the root of our namespace that way. */
static bool is_below(const char *path, size_t len)
{
    for (size_t i = 0; i + 2 < len; i++) {
        if (memcmp(path + i, "/..", 3) == 0 && (i + 3 == len || path[i + 3] == '/'))
            return false;
    }
    return len == 0 || path[0] == '/';
}

bool jbi_proc_cgroup_parse(const char *text, size_t len_bytes, char *ret_path, size_t cap_bytes)
{
    struct text rest = {text, text + len_bytes};
    struct text line;

    while (next_line(&rest, &line)) {
        size_t len;

        if (!skip_word(&line, "0::"))
            continue;
        len = (size_t)(line.end - line.at);
        if (len == 1 && *line.at == '/')
            len = 0;
        if (len >= cap_bytes || memchr(line.at, '\0', len) || !is_below(line.at, len))
            return false;
        memcpy(ret_path, line.at, len);
        ret_path[len] = '\0';
        return true;
    }
    return false;
}

bool jbi_cgroup_amount_parse(const char *text, size_t len_bytes, uint64_t *ret_amount)
{
    struct text rest = {text, text + len_bytes};
    struct text line;
    uint64_t amount = UINT64_MAX;

    if (!next_line(&rest, &line) || rest.at != rest.end)
        return false;
    if (!skip_word(&line, "max") && !take_number(&line, &amount))
        return false;
    if (line.at != line.end)
        return false;
    *ret_amount = amount;
    return true;
}
