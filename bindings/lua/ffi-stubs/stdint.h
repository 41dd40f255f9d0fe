/* Empty: LuaJIT knows the types of stdint.h, so the cdef is preprocessed with this one. */
