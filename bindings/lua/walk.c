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

/* What add_* return. */
enum { DONE = 0, REFUSED = 1, NEEDS_LUA = 2 };

/* The tables that are open, outermost first: a table among them contains itself. */
struct walker {
    lua_State *lua;
    jb_lua_walk *walk;
    jb_encoder *encoder;
    const void *open[MAX_DEPTH];
};

JB_API int luaopen_jimbot_walk(lua_State *lua);

static int add_table(struct walker *w, int depth);

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

/* A value of a list, or one whose key was given; on top of the stack, and left there. */
static int add_value(struct walker *w, int type, int depth)
{
    size_t len;
    const char *text;

    switch (type) {
    case LUA_TTABLE:
        return add_table(w, depth);
    case LUA_TSTRING:
        text = lua_tolstring(w->lua, -1, &len);
        w->walk->string(w->encoder, text, len);
        return DONE;
    case LUA_TNUMBER:
        w->walk->number(w->encoder, lua_tonumber(w->lua, -1));
        return DONE;
    case LUA_TBOOLEAN:
        w->walk->boolean(w->encoder, lua_toboolean(w->lua, -1) != 0);
        return DONE;
    case TYPE_CDATA:
        return NEEDS_LUA;
    default:
        w->walk->n_skipped += type != LUA_TNIL;
        w->walk->null(w->encoder);
        return DONE;
    }
}

/* The key below the top as text; NULL when it has none. The bytes live in the key or in buf. */
static const char *key_text(lua_State *lua, char *buf, size_t cap, size_t *ret_len)
{
    double number;

    switch (lua_type(lua, -2)) {
    case LUA_TSTRING:
        return lua_tolstring(lua, -2, ret_len);
    case LUA_TNUMBER:
        number = lua_tonumber(lua, -2);
        if (number > -1e15 && number < 1e15 && number == (double)(int64_t)number)
            *ret_len = (size_t)snprintf(buf, cap, "%.0f", number);
        else
            *ret_len = (size_t)snprintf(buf, cap, "%.14g", number);
        return buf;
    case LUA_TBOOLEAN:
        *ret_len = (size_t)snprintf(buf, cap, lua_toboolean(lua, -2) ? "true" : "false");
        return buf;
    default:
        return NULL;
    }
}

/* One member; key and value are the two topmost. */
static int add_member(struct walker *w, int depth)
{
    char buf[32];
    size_t key_len, len;
    const char *key = key_text(w->lua, buf, sizeof buf, &key_len), *text;
    int type = lua_type(w->lua, -1), rc;

    if (key == NULL) {
        w->walk->n_skipped++;
        return DONE;
    }
    if (type == LUA_TSTRING) {
        text = lua_tolstring(w->lua, -1, &len);
        w->walk->put_string(w->encoder, key, key_len, text, len);
        return DONE;
    }
    if (type == LUA_TNUMBER) {
        w->walk->put_double(w->encoder, key, key_len, lua_tonumber(w->lua, -1));
        return DONE;
    }
    w->walk->key(w->encoder, key, key_len);
    rc = add_value(w, type, depth);
    if (rc == REFUSED) {
        prepend(w->walk, key, key_len);
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
        rc = add_value(w, lua_type(w->lua, -1), depth);
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
static int add_table(struct walker *w, int depth)
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
    w->open[depth] = self;
    n = list_length(w->lua);
    /* A failure sticks in the encoder; seeing it here ends the walk of a large value early. */
    if ((n > 0 ? w->walk->list_open : w->walk->object_open)(w->encoder) < 0)
        return refuse(w, ": too large or nested too deep");
    rc = n > 0 ? add_list(w, n, depth + 1) : add_object(w, depth + 1);
    w->walk->close(w->encoder);
    return rc;
}

/* walk(call, key, value) in Lua: gives one member of the open object to the encoder. Returns DONE,
 * REFUSED (call.path says where) or NEEDS_LUA (begin the event anew). */
static int walk_member(lua_State *lua)
{
    struct walker w = {.lua = lua};
    int rc = NEEDS_LUA;

    /* LuaJIT answers lua_topointer() of a struct cdata with the address of the struct. */
    if (lua_gettop(lua) == 3 && lua_type(lua, 1) == TYPE_CDATA)
        w.walk = (jb_lua_walk *)(uintptr_t)lua_topointer(lua, 1);
    if (w.walk != NULL && w.walk->size == sizeof *w.walk) {
        w.encoder = w.walk->encoder;
        w.walk->n_skipped = w.walk->n_tables = w.walk->n_path = 0;
        rc = add_member(&w, 1);
    }
    lua_pushinteger(lua, rc);
    return 1;
}

JB_API int luaopen_jimbot_walk(lua_State *lua)
{
    lua_pushcfunction(lua, walk_member);
    return 1;
}
