/* Empty: LuaJIT knows the types of stdbool.h, so the cdef is preprocessed with this one. */
