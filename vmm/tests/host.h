/*
 * What the kernel gives to the VMM, given by the host to unit tests: the
 * console (kept, to be looked at), the clock (set by the test), panics
 * (caught), frames (a pool with owners) and the trace (a list to search).
 *
 * host_frame.c and host_trace.c are linked only into tests that need them.
 */
#ifndef VMM_TESTS_HOST_H
#define VMM_TESTS_HOST_H

#include "kernel/trace.h"
#include "kernel/types.h"

/* All text that went to the console since the last host_console_clear(). */
const char *host_console(void);
void host_console_clear(void);

/* Does fn(arg) panic? The message is in host_panic_text(). Without this, a
 * panic ends the test. */
bool host_panics(void (*fn)(void *), void *arg);
const char *host_panic_text(void);

/* host_frame.c: the number of free frames; let only n more allocations
 * succeed (-1: all). Free frames are poisoned: touching one is reported. */
u64 host_frames_free(void);
void host_frames_fail_after(s64 n);

/* host_trace.c: begin an empty trace that records everything. */
void host_trace_start(void);
/* The records of one event in order: pass NULL first, then the last one
 * found; NULL at the end. */
const struct trace_record *host_trace_find(u32 event, const struct trace_record *after);
u64 host_trace_count(u32 event);
#define host_record_event(r) ((u32)((r)->tag & 0xffff))
#define host_record_vm(r)    ((u16)((r)->tag >> 16))
#define host_record_words(r) ((u32)((r)->tag >> 48 & 0xff))

#endif
