/*
 * gpus.c: one reading of one GPU, out of several calls of a driver that may answer any of them with
 * any code and any number.
 *
 * Invariant: a reading is sane whatever the driver says: used_bytes is 0 .. total_bytes or not
 * known, a process is in the list once, and what could not be told says so. Where numbers
 * contradict each other, the one counts that leaves less to promise.
 */
#include "jimbot/observe.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/os.h"
#include "quota/nvml.h"

#include <stdio.h>
#include <string.h>

enum { GPUS_MAX = 256, LIST_BYTES = JB_GPU_PROCESSES_MAX * JBI_NVML_PROCESS_BYTES_MAX };

struct gpu {
    jbi_nvml_device handle; /* NULL: it was not to be had */
    int handle_code;
    uint64_t last_sample_us;
    char uuid[JB_GPU_NAME_BYTES];
    char name[JB_GPU_NAME_BYTES];
};

/* A process while its lists are put together. One that computes and draws stands in both with the
 * same use; one on several instances of a GPU stands in one list several times. */
struct seen {
    uint32_t pid;
    uint32_t busy_percent;
    uint64_t sample_us;
    uint64_t used[2]; /* in the list of those that compute, of those that draw */
};

struct jb_gpus {
    jb_alloc alloc;
    uint32_t pid; /* who opened it: a driver does not survive fork() */
    bool is_pids_ours;
    uint32_t n_gpus;
    struct jbi_nvml nvml; /* library NULL: no driver */
    struct gpu *gpus;
    uint32_t n_seen;
    struct seen seen[JB_GPU_PROCESSES_MAX];
    uint8_t list[LIST_BYTES];
    char library[512];
    char why[256];
};

void jb_gpus_opts_init(jb_gpus_opts *opts, uint32_t size)
{
    const jb_gpus_opts defaults = {.size = sizeof defaults};

    if (size > sizeof defaults)
        size = sizeof defaults;
    memcpy(opts, &defaults, size);
    opts->size = size;
}

static int opts_take(const jb_gpus_opts *given, jb_gpus_opts *ret_opts, jb_error *err)
{
    jb_gpus_opts_init(ret_opts, sizeof *ret_opts);
    if (given) {
        if (given->size < sizeof(uint32_t) || given->size > sizeof *ret_opts)
            return jbi_error_set(err, JB_EINVAL,
                                 "jb_gpus_opts.size is %u: start from jb_gpus_opts_init()",
                                 given->size);
        memcpy(ret_opts, given, given->size);
    }
    if (!ret_opts->library)
        ret_opts->library = "libnvidia-ml.so.1";
    if (ret_opts->pids > JB_GPUS_PIDS_FOREIGN || !jbi_alloc_is_valid(ret_opts->alloc) ||
        strlen(ret_opts->library) >= sizeof((jb_gpus *)0)->library)
        return jbi_error_set(err, JB_EINVAL,
                             "jb_gpus_opts: pids, alloc or library is outside what it may be");
    return 0;
}

static void forget_gpus(jb_gpus *g)
{
    jbi_alloc_free(&g->alloc, g->gpus, g->n_gpus * sizeof *g->gpus);
    g->gpus = NULL;
    g->n_gpus = 0;
}

/* Text of the driver's, which may lack its end. */
static void ask_text(int (*fn)(jbi_nvml_device, char *, uint32_t), jbi_nvml_device handle,
                     char ret_text[JB_GPU_NAME_BYTES])
{
    if (!fn || fn(handle, ret_text, JB_GPU_NAME_BYTES) != JBI_NVML_SUCCESS)
        ret_text[0] = '\0';
    ret_text[JB_GPU_NAME_BYTES - 1] = '\0';
}

static void meet(const struct jbi_nvml *nvml, uint32_t idx, struct gpu *ret_gpu)
{
    memset(ret_gpu, 0, sizeof *ret_gpu);
    ret_gpu->handle_code = nvml->handle(idx, &ret_gpu->handle);
    if (ret_gpu->handle_code != JBI_NVML_SUCCESS)
        ret_gpu->handle = NULL;
    if (ret_gpu->handle) {
        ask_text(nvml->uuid, ret_gpu->handle, ret_gpu->uuid);
        ask_text(nvml->name, ret_gpu->handle, ret_gpu->name);
    }
}

static int scan(jb_gpus *g)
{
    uint32_t n = 0;
    int code;

    if (!g->nvml.library && !jbi_nvml_start(&g->nvml, g->library, g->why, sizeof g->why))
        return 0;
    code = g->nvml.count(&n);
    if (code == JBI_NVML_UNINITIALIZED && jbi_nvml_restart(&g->nvml) == JBI_NVML_SUCCESS)
        code = g->nvml.count(&n);
    if (code != JBI_NVML_SUCCESS || n == 0) {
        snprintf(g->why, sizeof g->why, "the driver has no GPU: %s (%d)",
                 jbi_nvml_text(&g->nvml, code), code);
        jbi_nvml_stop(&g->nvml);
        return 0;
    }
    if (n > GPUS_MAX)
        n = GPUS_MAX;
    g->gpus = jbi_alloc_zeroed(&g->alloc, n * sizeof *g->gpus);
    if (!g->gpus)
        return JB_ENOMEM;
    g->n_gpus = n;
    for (uint32_t i = 0; i < n; i++)
        meet(&g->nvml, i, &g->gpus[i]);
    g->why[0] = '\0';
    return (int)n;
}

int jb_gpus_open(const jb_gpus_opts *opts, jb_gpus **ret_gpus, jb_error *err)
{
    jb_gpus_opts taken;
    jb_alloc alloc;
    jb_gpus *g;
    int rc = opts_take(opts, &taken, err);

    if (rc < 0)
        return rc;
    if (!ret_gpus)
        return jbi_error_set(err, JB_EINVAL, "jb_gpus_open: ret_gpus is NULL");
    alloc = jbi_alloc_or_default(taken.alloc);
    g = jbi_alloc_zeroed(&alloc, sizeof *g);
    if (!g)
        return jbi_error_set(err, JB_ENOMEM, "no memory for what a driver says");
    g->alloc = alloc;
    g->pid = jbi_os_pid();
    g->is_pids_ours = taken.pids == JB_GPUS_PIDS_OURS ||
                      (taken.pids == JB_GPUS_PIDS_DETECT && jbi_os_pids_are_machines());
    snprintf(g->library, sizeof g->library, "%s", taken.library);
    rc = scan(g);
    if (rc < 0) {
        jb_gpus_close(g);
        return jbi_error_set(err, rc, "no memory for the GPUs of a driver");
    }
    *ret_gpus = g;
    return 0;
}

uint32_t jb_gpus_count(const jb_gpus *gpus)
{
    return gpus ? gpus->n_gpus : 0;
}

const char *jb_gpus_why(const jb_gpus *gpus)
{
    return gpus ? gpus->why : "not opened";
}

int jb_gpus_rescan(jb_gpus *gpus)
{
    if (!gpus)
        return JB_EINVAL;
    if (gpus->pid != jbi_os_pid())
        return JB_ESTATE;
    forget_gpus(gpus);
    return scan(gpus);
}

void jb_gpus_close(jb_gpus *gpus)
{
    jb_alloc alloc;

    if (!gpus)
        return;
    /* The driver in a child is a copy that nobody may call; its parent goes on with the
     * original. */
    if (gpus->pid == jbi_os_pid())
        jbi_nvml_stop(&gpus->nvml);
    forget_gpus(gpus);
    alloc = gpus->alloc;
    jbi_alloc_free(&alloc, gpus, sizeof *gpus);
}

/* Of numbers that contradict each other, those that leave less free. */
static void memory_judge(uint64_t total, uint64_t used, uint64_t left, jb_gpu_reading *r)
{
    uint64_t from_left = left <= total ? total - left : 0;
    bool is_used_known = used != UINT64_MAX;

    if (total == 0 || total == UINT64_MAX) {
        r->state = JB_GPU_SILENT;
        return;
    }
    r->total_bytes = total;
    if (!is_used_known && left > total) {
        r->state = JB_GPU_SILENT;
        return;
    }
    r->used_bytes = is_used_known && used > from_left ? used : from_left;
    if (r->used_bytes > total)
        r->used_bytes = total;
}

static int read_memory(const struct jbi_nvml *nvml, jbi_nvml_device handle, jb_gpu_reading *r)
{
    struct jbi_nvml_memory_v2 v2 = {.version = JBI_NVML_MEMORY_V2};
    struct jbi_nvml_memory v1 = {0};
    int code = JBI_NVML_FUNCTION_NOT_FOUND;

    if (nvml->memory_v2)
        code = nvml->memory_v2(handle, &v2);
    if (code == JBI_NVML_SUCCESS) {
        uint64_t used = v2.used + v2.reserved;

        memory_judge(v2.total, used < v2.used || v2.used == UINT64_MAX ? v2.used : used, v2.free,
                     r);
        return code;
    }
    /* A driver may have the name and refuse the struct; whatever it is, the old call decides. */
    if (nvml->memory)
        code = nvml->memory(handle, &v1);
    if (code == JBI_NVML_SUCCESS)
        memory_judge(v1.total, v1.used, v1.free, r);
    return code;
}

static struct seen *seen_of(jb_gpus *g, uint32_t pid)
{
    for (uint32_t i = 0; i < g->n_seen; i++) {
        if (g->seen[i].pid == pid)
            return &g->seen[i];
    }
    if (g->n_seen == JB_GPU_PROCESSES_MAX)
        return NULL;
    g->seen[g->n_seen] = (struct seen){.pid = pid, .busy_percent = UINT32_MAX};
    return &g->seen[g->n_seen++];
}

static uint64_t add_known(uint64_t a, uint64_t b)
{
    if (a == UINT64_MAX || b == UINT64_MAX)
        return UINT64_MAX;
    return a > UINT64_MAX - 1 - b ? UINT64_MAX - 1 : a + b;
}

/* False when processes were left out. `kind` 0: those that compute, 1: those that draw. */
static bool read_list(jb_gpus *g, jbi_nvml_device handle, int kind, jb_gpu_reading *r)
{
    jbi_nvml_list_fn fn = kind == 0 ? g->nvml.compute : g->nvml.graphics;
    uint32_t n = JB_GPU_PROCESSES_MAX;
    size_t stride;
    int code;

    if (!fn)
        return kind == 1;
    memset(g->list, JBI_NVML_FILL, sizeof g->list);
    code = fn(handle, &n, g->list);
    if (code != JBI_NVML_SUCCESS) {
        r->driver_code = code;
        if (code == JBI_NVML_INSUFFICIENT_SIZE && n > r->n_processes)
            r->n_processes = n;
        return code == JBI_NVML_NOT_FOUND || (kind == 1 && code == JBI_NVML_NOT_SUPPORTED);
    }
    if (n > JB_GPU_PROCESSES_MAX)
        n = JB_GPU_PROCESSES_MAX;
    stride = jbi_nvml_process_bytes(g->list, sizeof g->list, n);
    for (uint32_t i = 0; i < n; i++) {
        struct jbi_nvml_process p;
        struct seen *seen;

        memcpy(&p, g->list + i * stride, sizeof p);
        seen = seen_of(g, p.pid);
        if (!seen)
            return false;
        seen->used[kind] = add_known(seen->used[kind], p.used);
    }
    return true;
}

static void read_samples(jb_gpus *g, struct gpu *gpu, jb_gpu_reading *r)
{
    uint32_t n = JB_GPU_PROCESSES_MAX;
    uint64_t newest = gpu->last_sample_us;
    int code;

    if (!g->nvml.samples)
        return;
    memset(g->list, 0, sizeof g->list);
    code = g->nvml.samples(gpu->handle, (struct jbi_nvml_sample *)(void *)g->list, &n,
                           gpu->last_sample_us);
    if (code != JBI_NVML_SUCCESS) {
        /* NOT_FOUND: nobody has run since the last time, which is no trouble. */
        if (code != JBI_NVML_NOT_FOUND)
            r->driver_code = code;
        return;
    }
    for (uint32_t i = 0; i < n && i < JB_GPU_PROCESSES_MAX; i++) {
        struct jbi_nvml_sample s;

        memcpy(&s, g->list + i * sizeof s, sizeof s);
        /* A sample of a process that has gone makes no process. */
        for (uint32_t k = 0; k < g->n_seen; k++) {
            if (g->seen[k].pid == s.pid && s.sm_percent <= 100 &&
                s.time_us >= g->seen[k].sample_us) {
                g->seen[k].busy_percent = s.sm_percent;
                g->seen[k].sample_us = s.time_us;
            }
        }
        if (s.time_us > newest && s.time_us != UINT64_MAX)
            newest = s.time_us;
    }
    gpu->last_sample_us = newest;
}

static void read_busy(const struct jbi_nvml *nvml, jbi_nvml_device handle, jb_gpu_reading *r)
{
    struct jbi_nvml_utilization busy = {0};
    int code = nvml->utilization ? nvml->utilization(handle, &busy) : JBI_NVML_FUNCTION_NOT_FOUND;

    if (code == JBI_NVML_SUCCESS && busy.gpu <= 100)
        r->busy_percent = busy.gpu;
    if (code != JBI_NVML_SUCCESS && nvml->utilization)
        r->driver_code = code;
}

/* A code from which a GPU does not come back by itself: its handle is dead, too. */
static bool is_gone(int code)
{
    return jbi_nvml_is_lost(code) || code == JBI_NVML_INVALID_ARGUMENT ||
           code == JBI_NVML_NOT_FOUND;
}

static void read_gpu(jb_gpus *g, uint32_t idx, jb_gpu_reading *r)
{
    struct gpu *gpu = &g->gpus[idx];
    int code = gpu->handle_code;
    bool is_compute_seen;

    if (gpu->handle)
        code = read_memory(&g->nvml, gpu->handle, r);
    if (code == JBI_NVML_UNINITIALIZED && jbi_nvml_restart(&g->nvml) == JBI_NVML_SUCCESS) {
        /* Somebody else in this process shut the driver down; our handles died with it. */
        for (uint32_t i = 0; i < g->n_gpus; i++)
            meet(&g->nvml, i, &g->gpus[i]);
        code = gpu->handle ? read_memory(&g->nvml, gpu->handle, r) : gpu->handle_code;
    }
    memcpy(r->uuid, gpu->uuid, sizeof r->uuid);
    memcpy(r->name, gpu->name, sizeof r->name);
    if (code != JBI_NVML_SUCCESS) {
        r->driver_code = code;
        r->state = is_gone(code) ? JB_GPU_LOST : JB_GPU_SILENT;
        return;
    }
    read_busy(&g->nvml, gpu->handle, r);
    is_compute_seen = read_list(g, gpu->handle, 0, r);
    r->is_complete = read_list(g, gpu->handle, 1, r) && is_compute_seen && g->is_pids_ours;
    read_samples(g, gpu, r);
    /* It was lost between the first call and the last: the first one's numbers are history. */
    if (jbi_nvml_is_lost(r->driver_code))
        r->state = JB_GPU_LOST;
}

int jb_gpus_read(jb_gpus *gpus, uint32_t idx, jb_gpu_reading *ret_reading,
                 jb_gpu_process *ret_processes, uint32_t n_max)
{
    jb_gpu_reading r = {.size = sizeof r, .used_bytes = UINT64_MAX, .busy_percent = UINT32_MAX};
    uint32_t n;

    if (!gpus || !ret_reading || ret_reading->size < sizeof(uint32_t) ||
        ret_reading->size > sizeof r || (n_max > 0 && !ret_processes))
        return JB_EINVAL;
    if (gpus->pid != jbi_os_pid())
        return JB_ESTATE;
    if (idx >= gpus->n_gpus)
        return JB_ENOENT;
    gpus->n_seen = 0;
    r.time_ns = jbi_os_monotonic_ns();
    read_gpu(gpus, idx, &r);
    if (r.n_processes < gpus->n_seen)
        r.n_processes = gpus->n_seen;
    n = gpus->n_seen < n_max ? gpus->n_seen : n_max;
    for (uint32_t i = 0; i < n; i++) {
        const struct seen *s = &gpus->seen[i];

        ret_processes[i].pid = s->pid;
        ret_processes[i].busy_percent = s->busy_percent;
        ret_processes[i].used_bytes = s->used[0] > s->used[1] ? s->used[0] : s->used[1];
    }
    r.size = ret_reading->size;
    memcpy(ret_reading, &r, r.size);
    return (int)n;
}
