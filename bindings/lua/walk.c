/* walk.c: the walk of encode.lua in C, for a game that runs without the JIT.
 *
 * Why: interpreted, LuaJIT pays about 100 ns for each call into the library, and a game state has
 * some 500 members. This walk crosses the border once. It is optional: without it, or at a value
 * that only Lua can read (cdata), encode.lua does the same by itself; the tests hold both to the
 * same results.
 *
 * Invariant: the Lua stack is as it was when a function returns; no metamethod is called, no key
 * is converted in place (lua_next would lose its way); depth, tables and path are bounded. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "walk.h"

enum { MAX_DEPTH = 60, MAX_TABLES = 100000, TYPE_CDATA = 10 };
enum { N_ITEMS = 192, NUMBER_BYTES = 32, N_KEYS = 16 };

/* What add_* return. */
enum { DONE = 0, REFUSED = 1, NEEDS_LUA = 2 };

/* Values wait in `items` and go to the encoder together. The texts they point to are strings of the
 * table that is walked, which stays as it is, or keys made of numbers in `keys`. */
struct walker {
    lua_State *lua;
    jb_lua_walk *walk;
    const void *open[MAX_DEPTH]; /* outermost first: a table among them contains itself */
    int rc;                      /* of the last flush */
    size_t n_items;
    size_t n_keys;
    jb_item items[N_ITEMS];
    char keys[N_KEYS][NUMBER_BYTES];
};

JB_API int luaopen_jimbot_walk(lua_State *lua);

static int add_table(struct walker *w, const char *key, size_t key_bytes, int depth);

/* The place is put together from its end, on the way out. */
static void prepend(jb_lua_walk *walk, const char *text, size_t len)
{
    if (walk->n_path + len > sizeof walk->path)
        return;
    memmove(walk->path + len, walk->path, walk->n_path);
    memcpy(walk->path, text, len);
    walk->n_path += (uint32_t)len;
}

static int refuse(struct walker *w, const char *why)
{
    w->walk->n_path = 0;
    prepend(w->walk, why, strlen(why));
    return REFUSED;
}

/* Hand over what waits. A failure sticks in the encoder; add_table() sees it too. */
static void flush(struct walker *w)
{
    w->rc = w->walk->put(w->walk->encoder, w->items, w->n_items);
    w->n_items = 0;
}

/* The next item, with its key or none. */
static jb_item *add(struct walker *w, uint32_t kind, const char *key, size_t key_bytes)
{
    jb_item *item;

    if (w->n_items == N_ITEMS)
        flush(w);
    item = &w->items[w->n_items++];
    item->key = key;
    item->key_bytes = (uint32_t)key_bytes;
    item->kind = kind;
    return item;
}

/* The value on top of the stack, which is left there; a key of NULL is none. */
static int add_value(struct walker *w, const char *key, size_t key_bytes, int depth)
{
    int type = lua_type(w->lua, -1);
    jb_item *item;
    size_t len;

    switch (type) {
    case LUA_TTABLE:
        return add_table(w, key, key_bytes, depth);
    case LUA_TSTRING:
        item = add(w, JB_ITEM_STRING, key, key_bytes);
        item->text = lua_tolstring(w->lua, -1, &len);
        item->text_bytes = (uint32_t)len;
        return DONE;
    case LUA_TNUMBER:
        add(w, JB_ITEM_DOUBLE, key, key_bytes)->number = lua_tonumber(w->lua, -1);
        return DONE;
    case LUA_TBOOLEAN:
        add(w, JB_ITEM_BOOL, key, key_bytes)->integer = lua_toboolean(w->lua, -1);
        return DONE;
    case TYPE_CDATA:
        return NEEDS_LUA;
    default:
        w->walk->n_skipped += type != LUA_TNIL;
        add(w, JB_ITEM_NULL, key, key_bytes);
        return DONE;
    }
}

/* Text of a key that is a number, which lives until the next flush. */
static const char *number_text(struct walker *w, double number, size_t *ret_len)
{
    char *text;

    if (w->n_keys == N_KEYS) {
        flush(w);
        w->n_keys = 0;
    }
    text = w->keys[w->n_keys++];
    if (number > -1e15 && number < 1e15 && number == (double)(int64_t)number)
        *ret_len = (size_t)snprintf(text, NUMBER_BYTES, "%.0f", number);
    else
        *ret_len = (size_t)snprintf(text, NUMBER_BYTES, "%.14g", number);
    return text;
}

/* The key below the top as text; NULL when it has none. */
static const char *key_text(struct walker *w, size_t *ret_len)
{
    bool is_true;

    switch (lua_type(w->lua, -2)) {
    case LUA_TSTRING:
        return lua_tolstring(w->lua, -2, ret_len);
    case LUA_TNUMBER:
        return number_text(w, lua_tonumber(w->lua, -2), ret_len);
    case LUA_TBOOLEAN:
        is_true = lua_toboolean(w->lua, -2) != 0;
        *ret_len = is_true ? 4 : 5;
        return is_true ? "true" : "false";
    default:
        return NULL;
    }
}

/* One member; key and value are the two topmost. */
static int add_member(struct walker *w, int depth)
{
    size_t len;
    const char *key = key_text(w, &len);
    int rc;

    if (key == NULL) {
        w->walk->n_skipped++;
        return DONE;
    }
    rc = add_value(w, key, len, depth);
    if (rc == REFUSED) {
        /* A key that is a number may have been overwritten since. */
        key = key_text(w, &len);
        prepend(w->walk, key, len);
        if (depth > 1)
            prepend(w->walk, ".", 1);
    }
    return rc;
}

/* Length of the list on top of the stack, 0 when it is none: its keys are 1..n and nothing else. */
static size_t list_length(lua_State *lua)
{
    size_t n = lua_objlen(lua, -1), count = 0;

    if (n == 0)
        return 0;
    lua_pushnil(lua);
    while (lua_next(lua, -2) != 0) {
        double key = lua_type(lua, -2) == LUA_TNUMBER ? lua_tonumber(lua, -2) : 0;

        lua_pop(lua, 1);
        if (!(key >= 1 && key <= (double)n && key == (double)(size_t)key)) {
            lua_pop(lua, 1);
            return 0;
        }
        count++;
    }
    return count == n ? n : 0;
}

static int add_list(struct walker *w, size_t n, int depth)
{
    for (size_t i = 1; i <= n; i++) {
        char place[32];
        int rc, len;

        lua_rawgeti(w->lua, -1, (int)i);
        rc = add_value(w, NULL, 0, depth);
        lua_pop(w->lua, 1);
        if (rc == REFUSED) {
            len = snprintf(place, sizeof place, "[%zu]", i);
            prepend(w->walk, place, (size_t)len);
        }
        if (rc != DONE)
            return rc;
    }
    return DONE;
}

static int add_object(struct walker *w, int depth)
{
    lua_pushnil(w->lua);
    while (lua_next(w->lua, -2) != 0) {
        int rc = add_member(w, depth);

        lua_pop(w->lua, 1);
        if (rc != DONE) {
            lua_pop(w->lua, 1);
            return rc;
        }
    }
    return DONE;
}

/* The table on top of the stack, at depth 1 for the member itself. */
static int add_table(struct walker *w, const char *key, size_t key_bytes, int depth)
{
    const void *self = lua_topointer(w->lua, -1);
    size_t n;
    int rc;

    for (int i = 1; i < depth; i++)
        if (w->open[i] == self)
            return refuse(w, ": the table contains itself");
    if (depth >= MAX_DEPTH)
        return refuse(w, ": nested deeper than 60");
    if (++w->walk->n_tables > MAX_TABLES)
        return refuse(w, ": more than 100000 tables");
    if (!lua_checkstack(w->lua, 4))
        return refuse(w, ": no room on the Lua stack");
    /* Seen here, a failure ends the walk of a large value early. */
    if (w->rc < 0)
        return refuse(w, ": too large or nested too deep");
    w->open[depth] = self;
    n = list_length(w->lua);
    add(w, n > 0 ? JB_ITEM_LIST : JB_ITEM_OBJECT, key, key_bytes);
    rc = n > 0 ? add_list(w, n, depth + 1) : add_object(w, depth + 1);
    add(w, JB_ITEM_CLOSE, NULL, 0);
    return rc;
}

/* walk(call, key, value) in Lua: gives one member of the open object to the encoder. Returns DONE,
 * REFUSED (call.path says where) or NEEDS_LUA (begin the event anew). */
static int walk_member(lua_State *lua)
{
    struct walker w;
    int rc = NEEDS_LUA;

    w.lua = lua;
    w.walk = NULL;
    w.rc = 0;
    w.n_items = w.n_keys = 0;
    /* LuaJIT answers lua_topointer() of a struct cdata with the address of the struct. */
    if (lua_gettop(lua) == 3 && lua_type(lua, 1) == TYPE_CDATA)
        w.walk = (jb_lua_walk *)(uintptr_t)lua_topointer(lua, 1);
    if (w.walk != NULL && w.walk->size == sizeof *w.walk) {
        w.walk->n_skipped = w.walk->n_tables = w.walk->n_path = 0;
        rc = add_member(&w, 1);
        if (rc == DONE)
            flush(&w);
    }
    lua_pushinteger(lua, rc);
    return 1;
}

JB_API int luaopen_jimbot_walk(lua_State *lua)
{
    lua_pushcfunction(lua, walk_member);
    return 1;
}
