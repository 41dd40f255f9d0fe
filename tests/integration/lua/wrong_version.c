/* A library that answers to our name with a version of its own: what a mod meets when it was
 * updated and the library was not. It exports nothing else, so a module that went on would fail at
 * once. */
#include <stdint.h>

uint32_t jb_version(void);

uint32_t jb_version(void)
{
    return 9u << 16 | 7u << 8 | 1u;
}
