/*
 * Answers that more than one program gives: lines of hexadecimal numbers on standard
 * output. Long ones come in pieces: who asks says where to go on.
 */
#include "vmm/mmu/sim/tell.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "vmm/mmu/sim/arena.h"

#define ENTRIES 512u
#define AT_ONCE 8u /* entries or references in one answer */

int tell_serve(int count, char **words, const char *name, bool (*call)(char *line))
{
    char line[512];

    if (count != 2 || strcmp(words[1], "serve") != 0 || !arena_begin()) {
        fprintf(stderr, "usage: %s serve\n", name);
        return 2;
    }
    while (fgets(line, sizeof(line), stdin)) {
        if (!call(line)) {
            fprintf(stderr, "%s: no call: %s", name, line);
            return 2;
        }
        fflush(stdout);
    }
    return 0;
}

u32 tell_numbers(char *text, u64 *number)
{
    u32 n = 0;

    for (char *end; n < TELL_NUMBERS; n++, text = end) {
        number[n] = strtoull(text, &end, 16);
        if (end == text)
            break;
    }
    return n;
}

bool tell_word(u64 at, const u64 *value)
{
    u64 *word = arena_word(at);

    if (word && value)
        *word = *value;
    if (word)
        printf("%llx\n", (unsigned long long)*word);
    return word;
}

bool tell_table(u64 table, u64 from)
{
    const u64 *entry = arena_word(table);
    u32 told = 0;

    if (!entry || table % PAGE_SIZE)
        return false;
    for (u64 i = from; i < ENTRIES && told < AT_ONCE; i++)
        if (entry[i])
            printf("%s%llx:%llx", told++ ? " " : "", (unsigned long long)i,
                   (unsigned long long)entry[i]);
    printf(told ? "\n" : "none\n");
    return true;
}

void tell_walk(const struct walk *w, bool nested)
{
    printf("%x %x %x %llx %llx %llx %x %x %llx %llx", (unsigned)w->fault, w->fault_dim,
           w->fault_level, (unsigned long long)w->error, (unsigned long long)w->gpa.v,
           (unsigned long long)w->hpa.v, w->gpa_refs, w->refs, (unsigned long long)w->guest_size,
           (unsigned long long)w->nested_size);
    if (nested)
        printf(" %llx", (unsigned long long)w->nroot.v);
    printf("\n");
}

void tell_refs(const struct walk *w, u64 from)
{
    u32 told = 0;

    for (u64 i = from; i < w->refs && i < WALK_MAX_REFS && told < AT_ONCE; i++) {
        const struct walk_ref *r = &w->ref[i];
        printf("%s%x,%x,%x,%llx,%x,%llx,%llx", told++ ? " " : "", r->dim, r->level, r->serves,
               (unsigned long long)r->table.v, r->index, (unsigned long long)r->before,
               (unsigned long long)r->size);
    }
    printf(told ? "\n" : "none\n");
}
