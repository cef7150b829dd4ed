/*
 * Page tables by hand; see host_tables.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "vmm/tests/host_tables.h"

enum { P = 1, W = 2, U = 4, PS = 0x80 };
#define ADDRESS 0x000ffffffffff000ull

void ram_begin(struct guestmem *mem)
{
    void *want = (void *)RAM_HPA;
    void *got = mmap(want, RAM_SIZE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

    if (got != want) {
        perror("mmap of the test's physical memory");
        exit(1);
    }
    memset(mem, 0, sizeof(*mem));
    guestmem_add(mem, gpa(0), GUEST_SIZE, hpa(RAM_HPA));
}

void tables_guest(struct tables *t, enum table_kind kind, int levels)
{
    *t = (struct tables){kind, levels, RAM_HPA, 1 << 20, (1 << 20) + PAGE_SIZE};
}

void tables_nested(struct tables *t)
{
    u64 first = RAM_HPA + GUEST_SIZE;

    *t = (struct tables){TABLE_LONG, 4, 0, first, first + PAGE_SIZE};
}

static int shift(const struct tables *t, int level)
{
    return 12 + (t->kind == TABLE_LEGACY32 ? 10 : 9) * (level - 1);
}

u64 tables_page_size(const struct tables *t, int level)
{
    return 1ull << shift(t, level);
}

u32 tables_index(const struct tables *t, u64 addr, int level)
{
    u32 count = t->kind == TABLE_LEGACY32 ? 1024 : t->kind == TABLE_PAE && level == 3 ? 4 : 512;

    return (u32)(addr >> shift(t, level)) % count;
}

static u64 width(const struct tables *t)
{
    return t->kind == TABLE_LEGACY32 ? 4 : 8;
}

static u64 read_at(const struct tables *t, u64 where)
{
    u64 value = 0;

    memcpy(&value, (void *)(where + t->to_host), width(t));
    return value;
}

static void write_at(const struct tables *t, u64 where, u64 value)
{
    memcpy((void *)(where + t->to_host), &value, width(t));
}

u64 tables_entry_addr(const struct tables *t, u64 addr, int level)
{
    u64 table = t->root;

    for (int l = t->levels; l > level; l--)
        table = read_at(t, table + tables_index(t, addr, l) * width(t)) & ADDRESS;
    return table + tables_index(t, addr, level) * width(t);
}

void *tables_entry(const struct tables *t, u64 addr, int level)
{
    return (void *)(tables_entry_addr(t, addr, level) + t->to_host);
}

u64 tables_read(const struct tables *t, u64 addr, int level)
{
    return read_at(t, tables_entry_addr(t, addr, level));
}

void tables_write(const struct tables *t, u64 addr, int level, u64 entry)
{
    write_at(t, tables_entry_addr(t, addr, level), entry);
}

void tables_map(struct tables *t, u64 addr, u64 target, int leaf, u64 flags)
{
    for (int level = t->levels; level > leaf; level--) {
        u64 where = tables_entry_addr(t, addr, level);
        if (read_at(t, where) & P)
            continue;
        write_at(t, where, t->next | (t->kind == TABLE_PAE && level == 3 ? P : P | W | U));
        t->next += PAGE_SIZE;
    }
    tables_write(t, addr, leaf, target | flags | (leaf > 1 ? PS : 0));
}
