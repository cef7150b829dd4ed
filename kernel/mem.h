/*
 * The memory and string functions that a compiler expects to find, and the
 * few more that the kernel uses. On the host the C library provides them.
 */
#ifndef KERNEL_MEM_H
#define KERNEL_MEM_H

#include "kernel/types.h"

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);

#endif
