/*
 * python.c: headers of events as Python sees them: headers.py measures, in an interpreter of its
 * own, and prints nanoseconds an event.
 *
 * The build says where the interpreter, the script and our extension are (BENCH_PYTHON and so on),
 * or nothing when there is no extension.
 */
#include "peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifndef BENCH_PYTHON
#define BENCH_PYTHON     ""
#define BENCH_PYTHONPATH ""
#define BENCH_HEADERS    ""
#endif

static const char *start(void)
{
    if (access(BENCH_PYTHON, X_OK) == 0)
        return NULL;
    return "skipped: no .venv or no extension (./dev bench makes both)";
}

static void write_python(struct flow *flow, unsigned idx)
{
    char command[1024], answer[64] = "";
    FILE *output;

    snprintf(command, sizeof command, "PYTHONPATH='%s' exec '%s' '%s' %s %llu", BENCH_PYTHONPATH,
             BENCH_PYTHON, BENCH_HEADERS, flow->peer == &ours_python ? "ours" : "struct",
             (unsigned long long)flow->shape.n_events);
    output = popen(command, "r");
    if (!output || !fgets(answer, sizeof answer, output) || pclose(output))
        flow_fail(flow, "headers.py failed");
    flow_figure(flow, strtod(answer, NULL));
}

const struct peer ours_python = {
    .name = "jimbot.Batch: four columns of headers",
    .start = start,
    .write = write_python,
};

const struct peer struct_python = {
    .name = "pure Python, struct, over the same ring",
    .start = start,
    .write = write_python,
};
