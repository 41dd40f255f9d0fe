/*
 * remains.c: see remains.h. A bus that ends in a crash leaves its memory behind; the next one that
 * is made in the same folder, under any name, gives it back, so that nobody has to.
 */
#include "shm/remains.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

static void bury_locked(const struct jbi_segment *found)
{
    if (jbi_segment_is_named(found) && jbi_segment_is_over(found) &&
        jbi_segment_remove(found->path, NULL) == 0)
        jbi_log(JB_LOG_INFO, "removed %s: all who had it open died", found->path);
}

void jbi_remains_bury(const char *path)
{
    struct jbi_segment found;

    if (jbi_segment_find(path, false, &found, NULL))
        return;
    if (found.id.is_own && jbi_segment_lock(&found, NULL) == 0)
        bury_locked(&found);
    jbi_segment_close(&found);
}

static bool sweep_one(const char *name, void *userdata)
{
    const char *folder = userdata;
    char path[JBI_PATH_BYTES];
    struct jbi_segment found;
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);

    if (n >= (int)sizeof path || jbi_segment_find(path, false, &found, NULL))
        return true;
    if (found.id.is_own && !(found.header.flags & JBI_SEGMENT_KEEP) &&
        !jbi_segment_is_in_use(&found) && jbi_segment_try_lock(&found))
        bury_locked(&found);
    jbi_segment_close(&found);
    return true;
}

void jbi_remains_sweep(const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[JBI_PATH_BYTES];
    char prefix[32];

    if (!slash)
        return;
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    snprintf(prefix, sizeof prefix, "jimbot-%u-", jbi_os_uid());
    (void)jbi_os_folder_each(folder, prefix, sweep_one, folder);
}
