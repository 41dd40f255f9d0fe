/*
 * uses: what is really used, as an observer tells it from a thread of its own.
 *
 * Invariant: what was told is under a lock; what is answered from is the host's thread's copy.
 */
#ifndef JBI_HOST_COORD_USES_H
#define JBI_HOST_COORD_USES_H

#include "jimbot/coordinator.h"

/* What an observer told last. */
typedef struct jbi_coord_uses {
    bool is_known;
    jb_component_memory memory[JB_QUOTA_COMPONENTS_MAX];
    jb_vram_books vram[JB_QUOTA_RESOURCES_MAX]; /* size 0: not known */
} jbi_coord_uses;

int jbi_coord_open_uses(jb_coord_service *s);
void jbi_coord_close_uses(jb_coord_service *s);

/* Tell who nears the end of its memory. Returns nanoseconds until it is to be called again. */
uint64_t jbi_coord_tell_uses(jb_coord_service *s);

/* Append a MemoryUse; append two numbers of a resource, `number` and the next. */
void jbi_coord_put_component_use(jb_coord_service *s, uint32_t number, uint32_t component);
void jbi_coord_put_resource_use(jb_coord_service *s, uint32_t number, uint32_t resource);

#endif
