/* walk.h: what encode.lua and walk.c tell each other; LuaJIT sees it with the public headers. */
#ifndef JIMBOT_LUA_WALK_H
#define JIMBOT_LUA_WALK_H

#include "jimbot/schema.h"

/* One walk. The functions are handed over rather than linked: walk.c then belongs to no library,
 * and uses the one that the module loaded. */
typedef struct jb_lua_walk {
    uint32_t size;      /* in: sizeof, so that a walk of another build is noticed */
    uint32_t n_skipped; /* out: values and keys that JSON has no word for */
    jb_encoder *encoder;
    int (*key)(jb_encoder *, const char *, size_t);
    int (*put_string)(jb_encoder *, const char *, size_t, const char *, size_t);
    int (*put_double)(jb_encoder *, const char *, size_t, double);
    int (*string)(jb_encoder *, const char *, size_t);
    int (*number)(jb_encoder *, double);
    int (*boolean)(jb_encoder *, bool);
    int (*null)(jb_encoder *);
    int (*object_open)(jb_encoder *);
    int (*list_open)(jb_encoder *);
    int (*close)(jb_encoder *);
    uint32_t n_tables; /* private: tables met */
    uint32_t n_path;   /* out: length of path */
    char path[256];    /* out, on failure: where and what */
} jb_lua_walk;

#endif
