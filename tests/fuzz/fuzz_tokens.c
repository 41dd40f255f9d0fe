/*
 * The file of tokens: any bytes give a table or a message, never both, and every line of a table
 * can be found again.
 */
#include "host/access/tokens.h"
#include "host/text/hmem.h"
#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    jb_error err = {.code = 0};
    jbi_tokens tokens;
    int rc = jbi_tokens_parse(&tokens, (const char *)data, size, &jbi_hmem_libc, &err);

    if (rc < 0 && (tokens.items || tokens.n || !err.msg[0]))
        abort();
    for (uint32_t i = 0; i < tokens.n; i++) {
        const jbi_token *t = &tokens.items[i];

        if (t->scopes == 0 || !t->name[0])
            abort();
        if (t->is_cert ? jbi_tokens_find_cert(&tokens, t->name) != t
                       : jbi_tokens_find(&tokens, t->hash) != t)
            abort();
    }
    jbi_tokens_fini(&tokens);
    return 0;
}
