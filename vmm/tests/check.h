/*
 * Checks for host-built unit tests: count, report, go on.
 *
 *     int main(void) { CHECK_EQ(bus_in(&b, 0x60, 1), 0xff); return check_done("bus"); }
 *
 * A failed check prints file, line, what was expected and what came out. The
 * test's last line is 'NAME: N checks'; it exits 1 if any failed.
 */
#ifndef VMM_TESTS_CHECK_H
#define VMM_TESTS_CHECK_H

#include "kernel/types.h"

/* A condition. */
#define CHECK(cond) check_true(__FILE__, __LINE__, #cond, (cond))
/* Two integers of at most 64 bits. */
#define CHECK_EQ(got, expected) check_equal(__FILE__, __LINE__, #got, (u64)(got), (u64)(expected))
/* Two strings; NULL is allowed. */
#define CHECK_STR(got, expected) check_string(__FILE__, __LINE__, #got, (got), (expected))
/* n bytes. */
#define CHECK_MEM(got, expected, n) check_bytes(__FILE__, __LINE__, #got, (got), (expected), (n))

/* What the checks that follow are about; printed with each failure. */
void check_about(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Each returns whether it held. */
bool check_true(const char *file, int line, const char *what, bool held);
bool check_equal(const char *file, int line, const char *what, u64 got, u64 expected);
bool check_string(const char *file, int line, const char *what, const char *got,
                  const char *expected);
bool check_bytes(const char *file, int line, const char *what, const void *got,
                 const void *expected, size_t n);

/* The closing line, and main()'s result. */
int check_done(const char *name);

#endif
