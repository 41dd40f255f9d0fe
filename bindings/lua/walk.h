/* walk.h: what encode.lua and walk.c tell each other; LuaJIT sees it with the public headers. */
#ifndef JIMBOT_LUA_WALK_H
#define JIMBOT_LUA_WALK_H

#include "jimbot/items.h"

/* One walk. The function is handed over rather than linked: walk.c then belongs to no library, and
 * uses the one that the module loaded. */
typedef struct jb_lua_walk {
    uint32_t size;      /* in: sizeof, so that a walk of another build is noticed */
    uint32_t n_skipped; /* out: values and keys that JSON has no word for */
    jb_encoder *encoder;
    int (*put)(jb_encoder *, const jb_item *, size_t); /* jb_encoder_items() */
    uint32_t n_tables;                                 /* private: tables met */
    uint32_t n_path;                                   /* out: length of path */
    char path[256];                                    /* out, on failure: where and what */
} jb_lua_walk;

#endif
