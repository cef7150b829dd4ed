/*
 * What the programs that answer calls have in common: words of memory, walks, and the
 * numbers of a line. All numbers are hexadecimal (handouts/formats.md, 11).
 */
#ifndef VMM_MMU_SIM_TELL_H
#define VMM_MMU_SIM_TELL_H

#include "vmm/mmu/walk.h"

#define TELL_NUMBERS 8u

/* main() of such a program: `NAME serve` answers a call a line until there is none. A call
 * that returns false is none: it ends the program, with status 2, as any other usage does. */
int tell_serve(int count, char **words, const char *name, bool (*call)(char *line));

/* The numbers that a line begins with, at most TELL_NUMBERS; how many. */
u32 tell_numbers(char *text, u64 *number);
/* The word there, changed before if a value is given. False: there is none. */
bool tell_word(u64 at, const u64 *value);
/* Entries that are not 0: "index:entry ...", or "none". */
bool tell_table(u64 table, u64 from);
/* How it ended, with the root of its nested tables if it had some; then its references:
 * "dim,level,serves,table,index,before,size ...". */
void tell_walk(const struct walk *, bool nested);
void tell_refs(const struct walk *, u64 from);

#endif
