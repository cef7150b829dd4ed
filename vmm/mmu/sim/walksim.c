/*
 * walksim serve: a guest's tables without a machine. They lie in memory slots, in any
 * format; walk_guest() is asked where they lead, and what is right is decided by whoever
 * asks, a program of its own. One call a line; numbers are hexadecimal, in both
 * directions (handouts/formats.md, 11):
 *
 *     begin                              no memory
 *     take N                             N frames of the host's
 *     slot GPA SIZE HPA ACCESS           memory of the VM
 *     read AT | write AT VALUE | scan TABLE FROM
 *     walk GVA ACCESS HOW CR0 CR3 CR4 EFER RFLAGS
 *                                        HOW: 1 A and D are set, 2 PAE's pointers are held
 *     refs FROM                          of the last walk
 *     role CR0 CR4 EFER                  role_of()
 *     leaf ROLE ENTRY ACCESS PROTECTED   shadow_leaf(), leading to hPA 0
 */
#include <stdio.h>
#include <string.h>
#include "vmm/mmu/descend.h"
#include "vmm/mmu/shadow.h"
#include "vmm/mmu/sim/arena.h"
#include "vmm/mmu/sim/tell.h"
#include "vmm/mmu/walk.h"

#define VM            1
#define SET_AD        1u
#define POINTERS_HELD 2u

static struct guestmem memory;
static struct walk walk;

static void begin(void)
{
    arena_reset(ARENA_FRAMES);
    memory = (struct guestmem){0};
    walk_init(&walk, PAGING_OFF, gva(0), 0);
    printf("0\n");
}

static void *find_in_slots(const struct descent *d, u64 where, u8 level, struct walk *w)
{
    void *entry = guestmem_ptr(d->mem, gpa(where), NULL);

    if (!entry)
        descent_fail(d, w, FAULT_NO_MEMORY, level, false);
    return entry;
}

/* As the guest's processor does: the pointers are where CR3 leads, or rather were. */
static void walk_held(const struct guest_paging *paging, const u64 *n)
{
    struct descent d = {
        .mem = &memory, .locate = find_in_slots, .set_ad = n[2] & SET_AD, .pointers_held = true};

    walk_init(&walk, paging_mode(paging), gva(n[0]), (u8)n[1]);
    walk_guest_tables(&d, paging, &walk);
}

static void walk_one(const u64 *n)
{
    const struct guest_paging paging = {n[3], n[4], n[5], n[6], n[7]};

    if (n[2] & POINTERS_HELD)
        walk_held(&paging, n);
    else
        walk_guest(&memory, &paging, gva(n[0]), (u8)n[1], n[2], &walk);
    tell_walk(&walk, false);
}

static void role(const u64 *n)
{
    const struct guest_paging paging = {.cr0 = n[0], .cr4 = n[1], .efer = n[2]};

    printf("%x\n", role_of(&paging));
}

/* Of a shadow of two frames, of which the second one is a table. */
static u64 leaf(const u64 *n)
{
    struct shadow_frame frame[] = {{0}, {.tables = 1}};
    const struct shadow s = {.frame = frame};
    const struct shadow_page page = {.role = (u32)n[0], .rights = role_rights((u32)n[0])};

    return shadow_leaf(&s, &page, n[1], (u8)n[2], n[3] ? 1 : 0, hpa(0));
}

static bool number(u64 value)
{
    printf("%llx\n", (unsigned long long)value);
    return true;
}

static bool call(char *line)
{
    char word[9];
    int used = 0;
    u64 n[TELL_NUMBERS] = {0};

    if (sscanf(line, "%8s%n", word, &used) != 1)
        return false;
    u32 count = tell_numbers(line + used, n);
    if (strcmp(word, "take") == 0 && count == 1)
        return number(frames_alloc(n[0], PAGE_SIZE, OWNER_VM_RAM + VM).v);
    if (strcmp(word, "slot") == 0 && count == 4)
        return number((u64)guestmem_add_as(&memory, gpa(n[0]), n[1], hpa(n[2]), (u8)n[3]));
    if (strcmp(word, "read") == 0 && count == 1)
        return tell_word(n[0], NULL);
    if (strcmp(word, "write") == 0 && count == 2)
        return tell_word(n[0], &n[1]);
    if (strcmp(word, "scan") == 0 && count == 2)
        return tell_table(n[0], n[1]);
    if (strcmp(word, "leaf") == 0 && count == 4)
        return number(leaf(n));
    if (strcmp(word, "begin") == 0 && count == 0)
        begin();
    else if (strcmp(word, "walk") == 0 && count == 8)
        walk_one(n);
    else if (strcmp(word, "refs") == 0 && count == 1)
        tell_refs(&walk, n[0]);
    else if (strcmp(word, "role") == 0 && count == 3)
        role(n);
    else
        return false;
    return true;
}

int main(int count, char **words)
{
    return tell_serve(count, words, "walksim", call);
}
