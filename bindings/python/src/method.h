/*
 * method.h: entries of a type's table of methods.
 *
 * Invariant: a function is called with the arguments that its flags say; the table's type is that
 * of the simplest kind.
 */
#ifndef JBPY_METHOD_H
#define JBPY_METHOD_H

#define KEYWORDS   (METH_VARARGS | METH_KEYWORDS)
#define METHOD(fn) ((PyCFunction)(void (*)(void))(fn))

#endif
