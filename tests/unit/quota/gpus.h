/*
 * gpus.h: GPUs of a driver by script.
 *
 * Invariant: what a reading left unwritten is seen, for it is written over before.
 */
#ifndef TEST_QUOTA_GPUS_H
#define TEST_QUOTA_GPUS_H

#include "support/suite.h"

#include <stdio.h>

enum { ROOM = 64 };

static jb_gpu_process processes[ROOM];
static jb_gpu_reading gpu;

static inline const char *library(int level)
{
    static char path[512];

    snprintf(path, sizeof path, "%s/libfake-nvml-%d.so", getenv("FAKE_NVML_DIR"), level);
    return path;
}

static inline jb_gpus *open_gpus(int level, const char *script)
{
    jb_gpus_opts opts;
    jb_gpus *gpus = NULL;

    setenv("FAKE_NVML", script, 1);
    jb_gpus_opts_init(&opts, sizeof opts);
    opts.library = library(level);
    opts.pids = JB_GPUS_PIDS_OURS;
    ck_assert_int_eq(jb_gpus_open(&opts, &gpus, NULL), 0);
    return gpus;
}

static inline int read_gpu(jb_gpus *gpus, const char *script)
{
    setenv("FAKE_NVML", script, 1);
    memset(&gpu, 0x77, sizeof gpu);
    memset(processes, 0x77, sizeof processes);
    gpu.size = sizeof gpu;
    return jb_gpus_read(gpus, 0, &gpu, processes, ROOM);
}

/* What a driver may answer. */
static const int codes[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                            16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 99, 999};
enum { N_CODES = sizeof codes / sizeof codes[0] };

#endif
