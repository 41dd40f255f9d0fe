/*
 * sets.c: see sets.h.
 *
 * Events are cut out of their bodies byte for byte, so that members stand in the order in which the
 * client sent them. Invariant: every text of a set encodes, and events[] is what it encodes to.
 */
#include "sets.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jimbot/event.h"
#include "jimbot/schema.h"

enum { BODIES, STATES, SMALL, TEXTS_MAX = 1 << 16, FILE_MAX = 4 << 20 };

struct set sets[N_SETS] = {{.name = "bodies"}, {.name = "states"}, {.name = "small"}};

static jb_encoder *encoder;

static void append(struct text **list, size_t *n, const void *data, size_t len_bytes)
{
    struct text *texts = *list;

    if (texts == NULL)
        texts = *list = calloc(TEXTS_MAX, sizeof *texts);
    if (texts == NULL || *n == TEXTS_MAX)
        die("too many texts");
    texts[*n].data = calloc(1, len_bytes + BENCH_PADDING);
    if (texts[*n].data == NULL)
        die("no memory");
    memcpy(texts[*n].data, data, len_bytes);
    texts[(*n)++].len_bytes = len_bytes;
}

static void add_event(struct set *set, const jb_encoded *event)
{
    append(&set->events, &set->n_events, event->data, event->len_bytes);
    set->event_bytes += event->len_bytes;
}

static void add_text(struct set *set, const char *text, size_t len_bytes)
{
    append(&set->bodies, &set->n_bodies, text, len_bytes);
    set->body_bytes += len_bytes;
}

/* The end of the object at `at`, whose strings have no brackets that matter. */
static const char *object_end(const char *at, const char *end)
{
    unsigned depth = 0;
    bool in_string = false;

    for (; at != end; at++) {
        if (in_string && *at == '\\')
            at++;
        else if (*at == '"')
            in_string = !in_string;
        else if (!in_string && *at == '{')
            depth++;
        else if (!in_string && *at == '}' && --depth == 0)
            return at + 1;
    }
    die("a body has no end");
}

static void add_single(const char *text, size_t len_bytes)
{
    jb_encoded event;
    struct set *set;

    if (jb_encoder_json(encoder, text, len_bytes, &event, NULL) < 0)
        die("an event does not encode");
    set = &sets[event.type == JB_EVENT_GAME_STATE ? STATES : SMALL];
    add_text(set, text, len_bytes);
    add_event(set, &event);
}

/* The list of events of a batch, element by element. */
static void add_elements(const char *at, const char *end)
{
    while (at != end && *at == '{') {
        const char *after = object_end(at, end);

        add_single(at, (size_t)(after - at));
        at = after;
        if (at != end && *at == ',')
            at++;
    }
}

static void add_body(const char *text, size_t len_bytes)
{
    static const char key[] = "\"events\":[";
    const char *list = memmem(text, len_bytes, key, sizeof key - 1);
    jb_encoded event;
    int rc;

    add_text(&sets[BODIES], text, len_bytes);
    jb_encoder_batch_begin(encoder, text, len_bytes, NULL);
    while ((rc = jb_encoder_batch_next(encoder, &event, NULL)) == 1)
        add_event(&sets[BODIES], &event);
    if (rc < 0)
        die("a body does not encode");
    if (list != NULL)
        add_elements(list + sizeof key - 1, text + len_bytes);
    else
        add_single(text, len_bytes);
}

static void read_file(const char *folder, const char *name)
{
    static char text[FILE_MAX];
    char path[4096];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "rb");
    if (file == NULL)
        die(path);
    add_body(text, fread(text, 1, sizeof text, file));
    fclose(file);
}

static void read_folder(const char *folder)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, NULL, alphasort);

    if (n < 0)
        die(folder);
    for (int i = 0; i < n; i++) {
        if (strstr(entries[i]->d_name, ".json") != NULL)
            read_file(folder, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
}

/* A state of the size a game has in its first rounds, as the mod spells it. */
static size_t state_text(char *text, int n_cards)
{
    static const char *const suits[] = {"Hearts", "Diamonds", "Clubs", "Spades"};
    static const char *const ranks[] = {"2", "3",  "4",    "5",     "6",    "7",  "8",
                                        "9", "10", "Jack", "Queen", "King", "Ace"};
    int n =
        sprintf(text,
                "{\"payload\":{\"timestamp\":1795244494,\"in_game\":true,\"ante\":2,\"money\":13,"
                "\"chips\":16376,\"jokers\":{},\"shop_items\":{\"joker_1\":{\"name\":\"Zany "
                "Joker\",\"cost\":4,\"rarity\":1}},\"deck\":{\"remaining_count\":%d,"
                "\"full_deck\":[",
                n_cards);

    for (int i = 0; i < n_cards; i++)
        n += sprintf(text + n,
                     "%s{\"enhancement\":\"none\",\"rank\":\"%s\",\"id\":%d,\"seal\":\"none\","
                     "\"edition\":\"none\",\"suit\":\"%s\"}",
                     i != 0 ? "," : "", ranks[i % 13], i, suits[i / 13 % 4]);
    return (size_t)(n + sprintf(text + n, "]},\"game_state\":\"SHOP\"},\"version\":1,\"type\":"
                                          "\"GAME_STATE\",\"source\":\"BalatroMCP\","
                                          "\"timestamp\":1000016.6666667}"));
}

static void make_bodies(void)
{
    static const char money[] =
        "{\"payload\":{\"old_value\":4,\"new_value\":12,\"difference\":8},\"version\":1,\"type\":"
        "\"MONEY_CHANGED\",\"source\":\"BalatroMCP\",\"timestamp\":1005183.3333333,\"event_id\":"
        "\"d3fb68b5-937d-4088-80d7-df0b76167794\"}";
    static const char custom[] =
        "{\"type\":\"MY_OWN\",\"payload\":{\"a\":[1,2.5,\"x\",null,true],\"b\":{\"c\":\"text\"}}}";
    static char text[1 << 16];

    for (int i = 0; i < 32; i++) {
        add_body(text, state_text(text, 8 + i));
        add_body(money, sizeof money - 1);
        add_body(custom, sizeof custom - 1);
    }
}

void sets_make(void)
{
    const char *folder = getenv("JIMBOT_CORPUS");

    if (jb_encoder_create(NULL, &encoder, NULL) < 0)
        die("no encoder");
    if (folder != NULL && *folder != '\0')
        read_folder(folder);
    else
        make_bodies();
    jb_encoder_destroy(encoder);
}

static void free_texts(struct text *texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(texts[i].data);
    free(texts);
}

void sets_free(void)
{
    for (int i = 0; i < N_SETS; i++) {
        free_texts(sets[i].bodies, sets[i].n_bodies);
        free_texts(sets[i].events, sets[i].n_events);
    }
}
