/*
 * Class descriptor: a GDT and an LDT full of random descriptors, and all the
 * instructions that look into them. The first entries are copies of the real
 * ones, so that an exception still finds its way home; a random one is never a
 * free TSS, since a wrong TR cannot be survived.
 */
#include "guests/hostile/hostile.h"

#define ENTRIES      64
#define KEPT         5
#define LDT_SELECTOR 0x30
#define TYPE_SHIFT   40
#define ACCESS_P     (1ull << 47)
#define ACCESS_S     (1ull << 44)
#define TYPE_LDT     2ull
#define TYPE_TSS_BIT 9ull /* types 9 and 11: a TSS, free or busy */

static u64 *table(int n)
{
    return (u64 *)(uintptr_t)(scratch() + (u64)n * PAGE_SIZE);
}

static u64 random_descriptor(void)
{
    u64 d = random_u64();
    if (!one_in(4))
        d |= ACCESS_P;
    if (!(d & ACCESS_S) && (d >> TYPE_SHIFT & 0xd) == TYPE_TSS_BIT)
        d ^= 8ull << TYPE_SHIFT;
    return d;
}

/* The random GDT in scratch page 1, its LDT in page 2. */
static void load_random_gdt(void)
{
    struct table_register own, random = {ENTRIES * 8 - 1, (uintptr_t)table(1)};
    u64 ldt = (uintptr_t)table(2);
    __asm__ volatile("sgdt %0" : "=m"(own));
    memcpy(table(1), (const void *)own.base, KEPT * 8);
    for (int i = KEPT; i < ENTRIES; i++) {
        table(1)[i] = random_descriptor();
        table(2)[i] = random_descriptor();
    }
    table(1)[LDT_SELECTOR / 8] = ACCESS_P | TYPE_LDT << TYPE_SHIFT | (ldt & 0xffffff) << 16 |
                                 (ldt >> 24 & 0xff) << 56 | random_below(ENTRIES * 8);
    table(1)[LDT_SELECTOR / 8 + 1] = 0;
    lgdt(&random);
}

static u16 random_selector(void)
{
    return one_in(4) ? (u16)random_u64() : (u16)random_below(ENTRIES * 8);
}

static void load_segment(void)
{
    u16 s = random_selector();
    switch (random_below(6)) {
    case 0:
        __asm__ volatile("mov %0, %%ds" : : "r"(s));
        break;
    case 1:
        __asm__ volatile("mov %0, %%es" : : "r"(s));
        break;
    case 2:
        __asm__ volatile("mov %0, %%fs" : : "r"(s));
        break;
    case 3:
        __asm__ volatile("mov %0, %%gs" : : "r"(s));
        break;
    case 4:
        __asm__ volatile("mov %0, %%ss" : : "r"(s));
        break;
    default:
        __asm__ volatile("lldt %w0" : : "r"(one_in(2) ? (u16)LDT_SELECTOR : s));
        __asm__ volatile("mov %0, %%es" : : "r"((u16)(random_selector() | 4)));
    }
}

static void ask_about(void)
{
    u16 s = random_selector();
    u64 v;
    __asm__ volatile("lar %w1, %k0" : "=r"(v) : "r"(s) : "cc");
    __asm__ volatile("lsl %w1, %k0" : "=r"(v) : "r"(s) : "cc");
    __asm__ volatile("verr %0" : : "r"(s) : "cc");
    __asm__ volatile("verw %0" : : "r"(s) : "cc");
    __asm__ volatile("ltr %0" : : "r"(s)); /* never one that fits; null is the VMM's to refuse */
}

/* To an invalid instruction, whatever the code's width turns out to be. */
static void far_transfer(void)
{
    struct {
        u64 offset;
        u16 selector;
    } __attribute__((packed)) to;
    u64 code = (uintptr_t)scratch();
    scratch()[0] = 0x0f;
    scratch()[1] = 0x0b;
    to.offset = one_in(2) ? code : random_any();
    to.selector = random_selector();
    switch (random_below(4)) {
    case 0:
        __asm__ volatile("rex.W ljmp *%0" : : "m"(to));
        break;
    case 1:
        __asm__ volatile("rex.W lcall *%0" : : "m"(to) : "memory");
        break;
    case 2:
        __asm__ volatile("push %0; push %1; lretq" : : "r"((u64)to.selector), "r"(code) : "memory");
        break;
    default:
        __asm__ volatile("push %0; push %1; push %2; push %3; push %4; iretq"
                         :
                         : "r"((u64)random_selector()), "r"(SCRATCH_VA + PAGE_SIZE),
                           "r"(random_u64() & ~RFLAGS_IF), "r"((u64)to.selector), "r"(to.offset)
                         : "memory");
    }
}

/* Garbage in GDTR and IDTR; nothing is looked up before they are put back. */
static void load_tables(void)
{
    struct table_register any = {(u16)random_u64(), random_any()};
    if (one_in(2))
        lgdt(&any);
    else
        lidt(&any);
    recover_restore(DISTURBS_NOTHING);
    __asm__ volatile("sidt (%0)" : : "r"(SCRATCH_VA + random_below(4096)) : "memory");
}

/* A descriptor table where no memory is: the processor itself reads it. */
static void load_from_outside(void)
{
    const struct table_register outside = {0xffff, OUTSIDE_TABLE_VA};
    lgdt(&outside);
    __asm__ volatile("mov %0, %%es" : : "r"(random_selector()));
}

void action_descriptor(void)
{
    load_random_gdt();
    switch (random_below(16)) {
    case 0 ... 4:
        load_segment();
        break;
    case 5 ... 7:
        ask_about();
        break;
    case 8 ... 11:
        far_transfer();
        break;
    case 12 ... 14:
        load_tables();
        break;
    default:
        if (dare())
            load_from_outside();
    }
}
