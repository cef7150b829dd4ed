/*
 * Memory and text helpers; the compiler also calls the first two by itself.
 */
#ifndef GUESTS_LIB_TEXT_H
#define GUESTS_LIB_TEXT_H

#include "guests/lib/types.h"

void *memset(void *to, int value, size_t n);
void *memcpy(void *restrict to, const void *restrict from, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);

/* Does text begin with the n characters of prefix? */
bool text_starts(const char *text, const char *prefix, size_t n);
bool text_equal(const char *a, const char *b);

#endif
