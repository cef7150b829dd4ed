/*
 * The host's side of unit tests: checks, console, clock and panics. It is
 * linked into every test and every fuzz target.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernel/clock.h"
#include "kernel/console.h"
#include "kernel/panic.h"
#include "vmm/tests/check.h"
#include "vmm/tests/host.h"

/* --- Checks --------------------------------------------------------------- */

static u64 checks, failures;
static char about[256];

void check_about(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(about, sizeof(about), fmt, args);
    va_end(args);
}

/* Count a check; true when a failure is to be reported in full. */
static bool check_failed(const char *file, int line, bool held)
{
    checks++;
    if (held)
        return false;
    if (++failures > 50)
        return false; /* enough to see what is wrong */
    printf("%s:%d: ", file, line);
    if (about[0])
        printf("[%s] ", about);
    return true;
}

bool check_true(const char *file, int line, const char *what, bool held)
{
    if (check_failed(file, line, held))
        printf("expected %s, got that it is not so\n", what);
    return held;
}

bool check_equal(const char *file, int line, const char *what, u64 got, u64 expected)
{
    if (check_failed(file, line, got == expected))
        printf("%s: expected %llu (0x%llx) got %llu (0x%llx)\n", what, (unsigned long long)expected,
               (unsigned long long)expected, (unsigned long long)got, (unsigned long long)got);
    return got == expected;
}

bool check_string(const char *file, int line, const char *what, const char *got,
                  const char *expected)
{
    bool held = got && expected ? strcmp(got, expected) == 0 : got == expected;

    if (check_failed(file, line, held))
        printf("%s: expected \"%s\" got \"%s\"\n", what, expected ? expected : "(null)",
               got ? got : "(null)");
    return held;
}

bool check_bytes(const char *file, int line, const char *what, const void *got,
                 const void *expected, size_t n)
{
    const u8 *g = got, *e = expected;
    size_t i = 0;

    while (i < n && g[i] == e[i])
        i++;
    if (check_failed(file, line, i == n))
        printf("%s: byte %zu of %zu: expected %02x got %02x\n", what, i, n, e[i], g[i]);
    return i == n;
}

int check_done(const char *name)
{
    if (failures)
        printf("%s: %llu checks, %llu failed\n", name, (unsigned long long)checks,
               (unsigned long long)failures);
    else
        printf("%s: %llu checks\n", name, (unsigned long long)checks);
    return failures || !checks;
}

/* --- Clock ---------------------------------------------------------------- */

u64 clock_test_ns;
u64 clock_hz = NS_PER_SEC;
u64 clock_base;

/* --- Console -------------------------------------------------------------- */

static char console[1 << 16];
static size_t console_used;

void console_write(const char *text, size_t n)
{
    n = min_u64(n, sizeof(console) - 1 - console_used);
    memcpy(console + console_used, text, n);
    console_used += n;
    console[console_used] = 0;
}

void console_print(const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    console_write(text, strlen(text));
}

const char *host_console(void)
{
    return console;
}

void host_console_clear(void)
{
    console_used = 0;
    console[0] = 0;
}

/* --- Panics --------------------------------------------------------------- */

static jmp_buf panic_exit;
static bool panic_expected;
static char panic_text[512];

void panic(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(panic_text, sizeof(panic_text), fmt, args);
    va_end(args);
    if (panic_expected)
        longjmp(panic_exit, 1);
    fprintf(stderr, "panic: %s\n", panic_text);
    abort();
}

bool host_panics(void (*fn)(void *), void *arg)
{
    volatile bool panicked = true;

    panic_expected = true;
    if (setjmp(panic_exit) == 0) {
        fn(arg);
        panicked = false;
    }
    panic_expected = false;
    return panicked;
}

const char *host_panic_text(void)
{
    return panic_text;
}
