/*
 * The kernel's texts about memory: any bytes are read or refused by each reader, a path that comes
 * out leads nowhere but down, and shared memory is not more than there can be.
 */
#include "quota/proc_text.h"
#include "target.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct jbi_proc_status status;
    char path[64];
    uint64_t amount;

    if (jbi_proc_status_parse(text, size, &status) && status.rss_bytes % 1024 != 0)
        abort();
    if (jbi_proc_cgroup_parse(text, size, path, sizeof path)) {
        size_t len = strlen(path);

        if (len >= sizeof path || (len > 0 && path[0] != '/') || strstr(path, "/../") ||
            (len >= 3 && strcmp(path + len - 3, "/..") == 0))
            abort();
    }
    if (jbi_cgroup_amount_parse(text, size, &amount) && memchr(data, ' ', size))
        abort();
    return 0;
}
