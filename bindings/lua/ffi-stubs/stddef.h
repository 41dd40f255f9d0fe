/* Empty: LuaJIT knows the types of stddef.h, so the cdef is preprocessed with this one. */
