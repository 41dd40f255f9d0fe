/* reader.c: a C program that reads what Lua published: `reader BUS N`. It takes the typed fields of
 * N MONEY_CHANGED events out of the ring in place, checks them, and prints what it saw as JSON.
 *
 * Invariant: it ends by itself, with 1 when the events stop coming for 20 seconds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jimbot/jimbot.h"

static int fits(const jb_field *old_value, const jb_field *new_value, const jb_event *ev, int64_t n)
{
    int64_t before = 0, after = 0;

    return ev->type == JB_EVENT_MONEY_CHANGED &&
           jb_field_get_int(old_value, ev->payload, ev->len_bytes, &before) == 1 &&
           jb_field_get_int(new_value, ev->payload, ev->len_bytes, &after) == 1 && before == n &&
           after == n + 1;
}

static int parse(const char *path, jb_field *ret_field)
{
    return jb_field_parse(path, strlen(path), ret_field, NULL);
}

int main(int argc, char **argv)
{
    jb_field old_value, new_value;
    jb_bus *bus = NULL;
    jb_sub *sub = NULL;
    jb_event events[64];
    int64_t n_read = 0, n_wanted = argc == 3 ? atoll(argv[2]) : 0;
    uint64_t n_missed = 0;
    int in_order = 1;

    if (n_wanted == 0 || parse("money_changed.old_value", &old_value) < 0 ||
        parse("money_changed.new_value", &new_value) < 0 ||
        jb_bus_attach(argv[1], NULL, &bus, NULL) < 0 ||
        jb_bus_subscribe(bus, "game.money.*", 12, NULL, &sub, NULL) < 0)
        return 2;
    while (n_read < n_wanted && jb_sub_wait(sub, 20000000000) > 0) {
        int n = jb_sub_peek(sub, events, 64);

        for (int i = 0; i < n; i++) {
            in_order &= fits(&old_value, &new_value, &events[i], ++n_read);
            n_missed += events[i].n_missed;
        }
        jb_sub_advance(sub);
    }
    printf("{\"read\":%lld,\"in_order\":%s,\"missed\":%llu}\n", (long long)n_read,
           in_order ? "true" : "false", (unsigned long long)n_missed);
    jb_sub_close(sub);
    jb_bus_close(bus);
    return n_read == n_wanted ? 0 : 1;
}
