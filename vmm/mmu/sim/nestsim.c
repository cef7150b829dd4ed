/*
 * nestsim serve: nested tables without a machine, in either format. It makes and
 * changes them, walks them in one dimension and in two, and shows memory; what is
 * right is decided by whoever asks, a program of its own. One call a line; numbers
 * are hexadecimal, in both directions (handouts/formats.md, 11):
 *
 *     begin FORMAT FRAMES                  npt or ept; frames that may be taken
 *     entry TO LEVEL IS_PAGE ACCESS        an entry by itself
 *     map GPA HPA ACCESS | unmap GPA | protect GPA ACCESS | harvest GPA
 *     frames N                             so many more may be taken
 *     end                                  all tables are given back
 *     take N                               N frames of the guest's
 *     read AT | write AT VALUE | scan TABLE FROM
 *     nested GPA ACCESS SERVES | walk GVA ACCESS CR0 CR3 CR4 EFER RFLAGS
 *     refs FROM                            of the last walk
 *     slot GPA SIZE HPA ACCESS             memory of the VM
 *     fault GPA ACCESS ABOUT               a nested fault (faults.h)
 */
#include <stdio.h>
#include <string.h>
#include "vmm/mmu/nested.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/mmu/sim/arena.h"
#include "vmm/mmu/sim/faults.h"
#include "vmm/mmu/sim/tell.h"
#include "vmm/mmu/walk.h"

#define VM 1

static struct nested *nested;
static struct walk walk;

/* --- Calls --------------------------------------------------------------------------- */

static void tell_tables(u64 result)
{
    printf("%llx %llx %llx\n", (unsigned long long)result, (unsigned long long)nested->tables,
           (unsigned long long)nested->mapped);
}

static bool begin(const char *format, u64 frames)
{
    pt_nested = strcmp(format, "ept") == 0 ? &pt_ept : &pt_npt;
    arena_reset(frames);
    walk_init(&walk, PAGING_OFF, gva(0), 0);
    nested = faults_begin(VM);
    int err = nested_init(nested, VM);
    printf("%llx\n", (unsigned long long)nested->root.v);
    return !err;
}

static void end(void)
{
    nested_fini(nested);
    printf("%llx\n", (unsigned long long)frames_owned(OWNER_VM_TABLE + VM));
}

static void walk_both(const u64 *n)
{
    const struct guest_paging paging = {n[2], n[3], n[4], n[5], n[6]};

    walk_2d(nested->root, &paging, gva(n[0]), (u8)n[1], &walk);
    tell_walk(&walk, true);
}

static void walk_one(const u64 *n)
{
    walk_init(&walk, PAGING_OFF, gva(n[0]), (u8)n[1]);
    walk_nested(nested->root, gpa(n[0]), (u8)n[1], (u8)n[2], &walk);
    tell_walk(&walk, true);
}

/* --- Lines ---------------------------------------------------------------------------- */

/* Calls that change the tables. False: none of them. */
static bool change(const char *word, const u64 *n, u32 count)
{
    if (strcmp(word, "map") == 0 && count == 3)
        tell_tables((u64)nested_map(nested, gpa(n[0]), hpa(n[1]), (u8)n[2]));
    else if (strcmp(word, "unmap") == 0 && count == 1)
        tell_tables(nested_unmap(nested, gpa(n[0])));
    else if (strcmp(word, "protect") == 0 && count == 2)
        tell_tables(nested_protect(nested, gpa(n[0]), (u8)n[1]));
    else if (strcmp(word, "harvest") == 0 && count == 1)
        tell_tables(nested_harvest(nested, gpa(n[0])));
    else if (strcmp(word, "slot") == 0 && count == 4)
        tell_tables((u64)faults_slot(n[0], n[1], n[2], (u8)n[3]));
    else if (strcmp(word, "fault") == 0 && count == 3)
        faults_exit(n[0], (u8)n[1], (u8)n[2]);
    else if (strcmp(word, "end") == 0)
        end();
    else
        return false;
    return true;
}

/* Calls that look. */
static bool look(const char *word, const u64 *n, u32 count)
{
    if (strcmp(word, "read") == 0 && count == 1)
        return tell_word(n[0], NULL);
    if (strcmp(word, "write") == 0 && count == 2)
        return tell_word(n[0], &n[1]);
    if (strcmp(word, "scan") == 0 && count == 2)
        return tell_table(n[0], n[1]);
    if (strcmp(word, "walk") == 0 && count == 7)
        walk_both(n);
    else if (strcmp(word, "nested") == 0 && count == 3)
        walk_one(n);
    else if (strcmp(word, "refs") == 0 && count == 1)
        tell_refs(&walk, n[0]);
    else
        return false;
    return true;
}

static bool call(char *line)
{
    char word[9], format[4];
    int used = 0;
    unsigned long long frames;
    u64 n[TELL_NUMBERS] = {0};

    if (sscanf(line, "%8s%n", word, &used) != 1)
        return false;
    if (strcmp(word, "begin") == 0 && sscanf(line + used, "%3s %llx", format, &frames) == 2)
        return begin(format, frames);
    if (!nested)
        return false;
    u32 count = tell_numbers(line + used, n);
    if (strcmp(word, "entry") == 0 && count == 4)
        printf("%llx\n", (unsigned long long)pt_nested->entry(hpa(n[0]), (u8)n[1], n[2], (u8)n[3]));
    else if (strcmp(word, "frames") == 0 && count == 1)
        arena_allow(n[0]), tell_tables(0);
    else if (strcmp(word, "take") == 0 && count == 1)
        printf("%llx\n", (unsigned long long)frames_alloc(n[0], PAGE_SIZE, OWNER_VM_RAM + VM).v);
    else
        return change(word, n, count) || look(word, n, count);
    return true;
}

int main(int count, char **words)
{
    memset(trace_mask, 0, sizeof(trace_mask)); /* nothing is traced */
    return tell_serve(count, words, "nestsim", call);
}
