/*
 * walker: builds its own page tables, touches seeded addresses, and compares
 * three views of each: its own tables, what the processor did (contents and
 * A/D bits), and what the VMM's walker answers to WALK. Two programs are made of
 * it: walker (long mode, four levels) and walker-pae (32-bit code, three levels).
 * Arguments: pages, size (a comma-separated list of 4k, 2m, 1g to choose from),
 * rounds (how often all of it is looked at; 0: for ever).
 */
#include "guests/walker_pages.h"

static struct walker walker;

static struct {
    u64 contents, alias, accessed, dirty, walk, denied, unmapped;
} wrong;

static u64 pattern(const struct page *p)
{
    return mix(p->gva, p->gpa, p->offset);
}

static u64 ad_bits(const struct page *p)
{
    return *(volatile u64 *)table_entry(walker.root, p->gva, p->level) & (PTE_A | PTE_D);
}

static volatile u64 *at_gva(const struct page *p)
{
    return (volatile u64 *)(uintptr_t)(p->gva + p->offset);
}

/* The same word at its own address. */
static volatile u64 *at_gpa(const struct page *p)
{
    return (volatile u64 *)(uintptr_t)(p->gpa + p->offset);
}

/* Read through the page, then write if it may be written; A and D must follow. */
static void touch(const struct page *p)
{
    wrong.accessed += ad_bits(p) != 0;
    *at_gpa(p) = pattern(p);
    wrong.contents += *at_gva(p) != pattern(p);
    wrong.accessed += ad_bits(p) != PTE_A;
    if (!p->writable)
        return;
    *at_gva(p) = ~pattern(p);
    wrong.alias += *at_gpa(p) != ~pattern(p);
    wrong.dirty += ad_bits(p) != (PTE_A | PTE_D);
}

/* What the VMM's walker says, allowed and not. */
static void ask(const struct page *p)
{
    u64 gva = p->gva + p->offset, gpa = p->gpa + p->offset;
    wrong.walk += guest_walk(gva, WALK_READ) != gpa;
    wrong.denied += guest_walk(gva, WALK_WRITE) != (p->writable ? gpa : WALK_FAILED);
    wrong.denied += guest_walk(gva, WALK_USER) != WALK_FAILED;
}

/* An address that no page covers: the one below a 4 KiB page, if nothing is there. */
static void ask_unmapped(const struct page *p)
{
    u64 below = p->gva - PAGE_SIZE;
    const u64 *e = table_entry(walker.root, below, 1);
    if (p->level == 1 && e && !(*e & PTE_P))
        wrong.unmapped += guest_walk(below, WALK_READ) != WALK_FAILED;
}

static void forget_ad(const struct page *p)
{
    *table_entry(walker.root, p->gva, p->level) &= ~(PTE_A | PTE_D);
    invlpg((const void *)(uintptr_t)p->gva);
    if (p->level > 1)
        write_cr3((unsigned long)walker.root);
}

static void look_at_all(void)
{
    for (u32 i = 0; i < walker.pages; i++) {
        const struct page *p = &walker.page[i];
        touch(p);
        if (testport_present()) {
            ask(p);
            ask_unmapped(p);
        }
        forget_ad(p);
    }
}

/* Bit n for pages of level n, from a list as "4k,2m". */
static u32 parse_sizes(const char *list)
{
    static const char names[][3] = {"4k", "2m", "1g"};
    u32 levels = 0;
    for (const char *s = list; s[0] && s[1]; s += s[2] == ',' ? 3 : 2)
        for (int i = 0; i < 3; i++)
            levels |= text_starts(s, names[i], 2) ? 2u << i : 0;
    if (TABLE_LEVELS == 3 || !(cpuid(0x80000001, 0).d >> 26 & 1))
        levels &= ~(1u << 3);
    if (!levels) {
        print("argument size: none of its page sizes is to be had\n");
        guest_exit(2);
    }
    return levels;
}

static void report(void)
{
    check("contents", wrong.contents, 0);
    check("alias", wrong.alias, 0);
    check("accessed", wrong.accessed, 0);
    check("dirty", wrong.dirty, 0);
    check("walk", wrong.walk, 0);
    check("denied", wrong.denied, 0);
    check("unmapped", wrong.unmapped, 0);
}

void guest_main(const struct multiboot_info *info)
{
    (void)info;
    char word[12];
    args_allow("pages size rounds");
    walker.pages = (u32)args_number("pages", 64, 1, WALKER_MAX_PAGES);
    walker.levels = parse_sizes(args_word("size", "4k", word, sizeof(word)));
    u64 rounds = args_number("rounds", 1, 0, 1ull << 40);
    walker.rng = (struct rng){guest_seed()};

    walker_tables(&walker);
    for (u32 i = 0; i < walker.pages; i++)
        walker_choose(&walker, i);
    table_activate(walker.root);
    checkpoint("root", walker.root);
    checkpoint("gva", walker.page[0].gva + walker.page[0].offset);
    for (u64 n = 0; !rounds || n < rounds; n++)
        look_at_all();
    report();
}
