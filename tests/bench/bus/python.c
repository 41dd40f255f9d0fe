/*
 * python.c: headers of events as Python sees them: headers.py measures, in an interpreter of its
 * own, and prints nanoseconds an event.
 *
 * JIMBOT_BENCH_PYTHON names the interpreter, JIMBOT_BENCH_HEADERS the script; `./dev bench` sets
 * both.
 */
#include "peers.h"

#include <stdio.h>
#include <stdlib.h>

static const char *start(void)
{
    return getenv("JIMBOT_BENCH_PYTHON") && getenv("JIMBOT_BENCH_HEADERS")
               ? NULL
               : "skipped: ./dev bench sets JIMBOT_BENCH_PYTHON and JIMBOT_BENCH_HEADERS";
}

static void write_python(struct flow *flow, unsigned idx)
{
    char command[1024], answer[64] = "";
    FILE *output;

    snprintf(command, sizeof command,
             "exec \"$JIMBOT_BENCH_PYTHON\" \"$JIMBOT_BENCH_HEADERS\" %s %llu",
             flow->peer == &ours_python ? "ours" : "struct",
             (unsigned long long)(flow->shape.n_events < 20000 ? 20000 : flow->shape.n_events));
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
    .name = "pure Python, struct, the same bytes",
    .start = start,
    .write = write_python,
};
