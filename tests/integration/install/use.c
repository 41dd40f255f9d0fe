/*
 * What a stranger's program does with an installed libjimbot: only what pkg-config and the public
 * headers give it. Compiled as C and as C++. An event goes in as JSON and has to come out again.
 */
#include <jimbot/jimbot.h>

#include <stdio.h>
#include <string.h>

static const char text[] = "{\"type\":\"MONEY_CHANGED\",\"source\":\"install\",\"payload\":"
                           "{\"old_value\":4,\"new_value\":7,\"difference\":3}}";

static int roundtrip(jb_bus *bus, jb_sub *sub, jb_encoder *encoder)
{
    jb_event event;
    char json[512];
    int64_t len;

    if (jb_bus_publish_json(bus, encoder, text, sizeof text - 1, NULL) < 0)
        return puts("nothing was published"), 1;
    if (jb_sub_wait(sub, 1000000000) != 1 || jb_sub_peek(sub, &event, 1) != 1)
        return puts("nothing arrived"), 1;
    len = jb_event_to_json(event.payload, event.len_bytes, json, sizeof json, NULL);
    if (len < 0 || len >= (int64_t)sizeof json)
        return puts("the event has no text"), 1;
    json[len] = '\0';
    return strstr(json, "\"difference\":3") ? 0 : (puts(json), 1);
}

int main(void)
{
    jb_bus *bus = NULL;
    jb_sub *sub = NULL;
    jb_encoder *encoder = NULL;
    int rc = 1;

    if (jb_version() >> 8 != (JB_VERSION_MAJOR << 8 | JB_VERSION_MINOR))
        return puts("headers and library are of two versions"), 1;
    if (!jb_bus_open(NULL, NULL, &bus, NULL) && !jb_encoder_create(NULL, &encoder, NULL) &&
        !jb_bus_subscribe(bus, "game.>", 6, NULL, &sub, NULL))
        rc = roundtrip(bus, sub, encoder);
    jb_sub_close(sub);
    jb_encoder_destroy(encoder);
    jb_bus_close(bus);
    return rc;
}
