/*
 * cmdq: see cmdq.h. Fixed slots: a queue of 1024 commands costs 436 KiB, whatever is sent.
 */
#include "host/service/cmdq.h"

#include "host/text/hmem.h"

#include <assert.h>
#include <stdio.h>

int jbi_cmdq_init(jbi_cmdq *q, uint32_t n_max, const jb_alloc *alloc)
{
    *q = (jbi_cmdq){.alloc = alloc, .n_max = n_max};
    q->lines = jbi_hmem_alloc(alloc, n_max * sizeof(*q->lines));
    return q->lines ? 0 : JB_ENOMEM;
}

void jbi_cmdq_fini(jbi_cmdq *q)
{
    jbi_hmem_free(q->alloc, q->lines, q->n_max * sizeof(*q->lines));
    q->lines = NULL;
}

static void add_text(jbi_cmdq_line *line, char before, const char *text)
{
    size_t n = strnlen(text, 47);

    assert(line->len_bytes + n + 2 <= sizeof(line->text));
    if (before)
        line->text[line->len_bytes++] = before;
    memcpy(line->text + line->len_bytes, text, n);
    line->len_bytes += (uint32_t)n;
}

bool jbi_cmdq_push(jbi_cmdq *q, const jb_command *command)
{
    bool is_full = q->n == q->n_max;
    jbi_cmdq_line *line;

    if (is_full) {
        q->at = (q->at + 1) % q->n_max;
        q->n--;
        q->n_dropped++;
    }
    line = &q->lines[(q->at + q->n) % q->n_max];
    line->len_bytes = 0;
    add_text(line, 0, command->name);
    for (uint32_t i = 0; i < command->n_params && i < 8; i++)
        add_text(line, i == 0 ? ':' : ',', command->params[i]);
    line->text[line->len_bytes++] = '\n';
    q->n++;
    q->n_pushed++;
    return is_full;
}

uint32_t jbi_cmdq_peek(const jbi_cmdq *q, jbi_htext *text, size_t max_bytes)
{
    uint32_t n = 0;

    for (; n < q->n; n++) {
        const jbi_cmdq_line *line = &q->lines[(q->at + n) % q->n_max];

        if (line->len_bytes > max_bytes)
            break;
        jbi_htext_add(text, line->text, line->len_bytes);
        max_bytes -= line->len_bytes;
    }
    return n;
}

void jbi_cmdq_pop(jbi_cmdq *q, uint32_t n)
{
    assert(n <= q->n);
    q->at = (q->at + n) % q->n_max;
    q->n -= n;
    q->n_popped += n;
}
