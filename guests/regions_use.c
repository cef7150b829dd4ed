/*
 * How the guest regions uses memory, and what must come of it: RAM keeps what is
 * written, a ROM holds what it always held and can be executed, a hole reads all
 * ones. Sizes, places and operations are seeded.
 */
#include "guests/lib/table.h"
#include "guests/regions.h"

#define WINDOW 32u /* pages that HARVEST tells of */

static struct {
    u64 ram, rom, code, dropped, hole, table, walk, used;
} wrong;

static u64 at_random(const struct part *p, u32 align)
{
    u64 page = p->first + rng_below(&regions.rng, p->pages) * PAGE_SIZE;
    return page + rng_below(&regions.rng, PAGE_SIZE / align) * align;
}

static void store(u64 at, u64 value, u32 size)
{
    switch (size) {
    case 1:
        *(volatile u8 *)(uintptr_t)at = (u8)value;
        break;
    case 2:
        *(volatile u16 *)(uintptr_t)at = (u16)value;
        break;
    case 4:
        *(volatile u32 *)(uintptr_t)at = (u32)value;
        break;
    default:
        *(volatile u64 *)(uintptr_t)at = value;
    }
}

static u64 load(u64 at, u32 size)
{
    switch (size) {
    case 1:
        return *(volatile u8 *)(uintptr_t)at;
    case 2:
        return *(volatile u16 *)(uintptr_t)at;
    case 4:
        return *(volatile u32 *)(uintptr_t)at;
    default:
        return *(volatile u64 *)(uintptr_t)at;
    }
}

static u64 ones(u32 size)
{
    return ~0ull >> (64 - 8 * size);
}

/* What the VMM put into eight bytes of a ROM: handouts/formats.md, section 4. */
static u64 rom_word(u64 at)
{
    return 0x9090c300000000b8ull | (mix(regions.seed, at, 0) & 0xffffffff) << 8;
}

/* --- One use of each kind --------------------------------------------------------------- */

static void use_memory(const struct part *p)
{
    u32 size = 1u << rng_below(&regions.rng, 4);
    u64 at = at_random(p, 8), value = rng_next(&regions.rng);

    store(at, value, size);
    wrong.ram += load(at, size) != (value & ones(size));
}

static void use_rom(const struct part *p)
{
    u64 at = at_random(p, 8);
    u32 size = 1u << rng_below(&regions.rng, 4), ways = rng_below(&regions.rng, 4);
    u64 value = rng_next(&regions.rng);

    wrong.rom += load(at, 8) != rom_word(at);
    u32 (*code)(void) = (u32(*)(void))(uintptr_t)at;
    wrong.code += code() != (u32)mix(regions.seed, at, 0);
    if (ways == 0)
        __asm__ volatile("xchg %0, (%1)" : "+r"(value) : "r"(at) : "memory");
    else if (ways == 1)
        __asm__ volatile("lock orl $0x5a5a5a5a, (%0)" : : "r"(at) : "memory", "cc");
    else
        store(at, value, size);
    wrong.rom += ways == 0 && value != rom_word(at);
    wrong.dropped += load(at, 8) != rom_word(at);
}

static void use_hole(const struct part *p)
{
    u32 size = 1u << rng_below(&regions.rng, 4);
    u64 at = at_random(p, 8);

    wrong.hole += load(at, size) != ones(size);
    store(at, rng_next(&regions.rng), size);
    wrong.hole += load(at, size) != ones(size);
}

void regions_use(const struct part *p)
{
    if (p->kind == HOLE)
        use_hole(p);
    else if (p->kind == ROM)
        use_rom(p);
    else
        use_memory(p);
}

void regions_sweep(void)
{
    for (u32 i = 0; i < regions.parts; i++) {
        const struct part *p = &regions.part[i];
        for (u64 at = p->first; at < p->first + p->pages * PAGE_SIZE; at += PAGE_SIZE) {
            if (p->kind != HOLE)
                (void)load(at, 8);
            if (p->kind == RAM || p->kind == NOEXEC)
                store(at, at, 8);
        }
    }
}

/* --- Tables, walks, pages in use -------------------------------------------------------- */

/* A page table in memory that is not executable: it is not executed. */
static void use_table(const struct part *p, u64 gva)
{
    u64 place = p->first + rng_below(&regions.rng, p->pages) * PAGE_SIZE;
    u64 target = table_new(), value = rng_next(&regions.rng), *entry = (u64 *)(uintptr_t)place;

    table_map(regions.root, gva, target, 1, PTE_P | PTE_W); /* the tables above it */
    memset(entry, 0, PAGE_SIZE);
    entry[gva >> 12 & 511] = target | PTE_P | PTE_W;
    *table_entry(regions.root, gva, 2) = place | PTE_P | PTE_W;
    invlpg((void *)(uintptr_t)gva);
    store(gva + 8, value, 8);
    wrong.table += load(target + 8, 8) != value;
    wrong.table += (entry[gva >> 12 & 511] & (PTE_A | PTE_D)) != (PTE_A | PTE_D);
}

void regions_tables(void)
{
    u64 gva = 1ull << 45;

    for (u32 i = 0; i < regions.parts; i++)
        if (regions.part[i].kind == NOEXEC)
            use_table(&regions.part[i], gva += 2 * MIB);
}

static void walk_one(u64 at, u32 access, bool works)
{
    wrong.walk += guest_walk(at, access) != (works ? at : WALK_FAILED);
}

void regions_walks(void)
{
    for (u32 i = 0; i < regions.parts; i++) {
        const struct part *p = &regions.part[i];
        u64 at = at_random(p, 1);
        if (p->kind != HOLE)
            (void)load(at & ~7ull, 8); /* it is mapped now */
        walk_one(at, WALK_READ, p->kind != HOLE);
        walk_one(at, WALK_WRITE, p->kind == RAM || p->kind == NOEXEC);
        walk_one(at, WALK_EXECUTE, p->kind == RAM || p->kind == ROM);
    }
}

/* Read some pages of a window, write to some; which, the VMM must know. */
static void use_window(u64 first, bool writable)
{
    u64 wanted = 0;

    guest_harvest(first);
    for (u32 i = 0; i < WINDOW; i++) {
        u64 at = first + i * PAGE_SIZE + 8 * rng_below(&regions.rng, 512);
        u32 what = rng_below(&regions.rng, 3);
        if (what == 1)
            (void)load(at, 8);
        if (what == 2 && writable)
            store(at, at, 8);
        wanted |= what == 1 ? 1ull << i : what == 2 && writable ? 0x100000001ull << i : 0;
    }
    wrong.used += guest_harvest(first) != wanted;
    wrong.used += guest_harvest(first) != 0;
}

void regions_harvest(void)
{
    u64 frames = frames_take(WINDOW, WINDOW * PAGE_SIZE);

    for (u32 n = 0; n < 8; n++)
        use_window(frames, true);
    for (u32 i = 0; i < regions.parts; i++)
        if (regions.part[i].kind == ROM && regions.part[i].pages >= WINDOW)
            use_window(regions.part[i].first, false);
    wrong.used += guest_harvest(frames + 1) != ~0ull;
    wrong.used += guest_harvest(1ull << 47) != 0;
}

void regions_report(void)
{
    check("ram", wrong.ram, 0);
    check("rom", wrong.rom, 0);
    check("code", wrong.code, 0);
    check("dropped", wrong.dropped, 0);
    check("hole", wrong.hole, 0);
    check("table", wrong.table, 0);
    check("walk", wrong.walk, 0);
    check("used", wrong.used, 0);
}
