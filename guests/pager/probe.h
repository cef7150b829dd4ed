/*
 * The seam between probe.c and its assembly: a stub for each kind of instruction,
 * all in one page that users may execute, each ended by UD2.
 */
#ifndef GUESTS_PAGER_PROBE_H
#define GUESTS_PAGER_PROBE_H

#define PROBE_STUB 16 /* bytes from one to the next */

#ifndef __ASSEMBLER__
struct probe;
extern const char probe_stubs[];
/* Load p's registers and jump to code; returns by probe_back(). */
void probe_enter(struct probe *p, unsigned long code, int user);
/* From a handler: return from the probe_enter under way, after saving XMM0. */
__attribute__((noreturn)) void probe_back(void);
#endif

#endif
