/*
 * Operations on whole spaces and tables: switching, fork and copy-on-write, tables
 * linked twice, into themselves, and used as data; writes of odd sizes and places;
 * modes and flushes.
 */
#include "guests/pager/pager.h"

#define FORK_TABLES 24

void op_switch(void)
{
    cached_load(below(pager.spaces));
    if (pager.pge && permille(500))
        cached_flush();
}

static bool is_table_entry(u64 e, int level)
{
    return e & PTE_P && !maps_page(level, e) && in_pool(e & PTE_ADDRESS, PAGE_SIZE);
}

/* Copy what the few indices of a table hold. Data is shared, and loses W in both. */
static void copy_table(u64 to, u64 from, int level, u32 *budget)
{
    for (u32 i = 0; i < FEW; i++) {
        u64 offset = (u64)format.level[level].few[i] * (u64)format.width;
        u64 e = entry_read(mirror_of(from + offset));
        if (!(e & PTE_P) || (i && format.level[level].few[i] == format.level[level].few[i - 1]))
            continue;
        if (is_table_entry(e, level)) {
            if (!*budget)
                continue;
            --*budget;
            u64 table = take_table();
            copy_table(table, e & PTE_ADDRESS, level - 1, budget);
            e = (e & ~PTE_ADDRESS) | table;
        } else if (e & PTE_W) {
            e &= ~PTE_W;
            poke_entry(from + offset, e);
        }
        poke_entry(to + offset, e);
    }
}

void op_fork(void)
{
    u32 child = below(pager.spaces), budget = FORK_TABLES;
    if (child != pager.current)
        copy_table(root_of(child), current_root(), format.levels, &budget);
    if (permille(500))
        cached_load(child);
}

/* A write that a read-only page refuses gets a copy of its own, and is made again. */
void op_cow(void)
{
    struct access a = {.kind = W4, .user = permille(500), .n = 4};
    struct route r;
    for (int i = 0; i < 8; i++) {
        a.gva = random_gva() & ~3ull;
        route(&r, current_root(), a.gva, access_bits(&a));
        if (r.found && !r.ok && r.step[r.steps - 1].level == 1)
            break;
    }
    u64 v = rng_next(&pager.rng);
    memcpy(a.value, &v, 8);
    if (!access_do(&a) || r.ok || !r.found || r.step[r.steps - 1].level != 1)
        return;
    u64 copy = POOL + (FIRST_DATA + below((u32)POOL_FRAMES - FIRST_DATA)) * PAGE_SIZE;
    u64 at = r.step[r.steps - 1].at, e = entry_read(mirror_of(at));
    if (!poke_copy(copy, r.gpa & ~(PAGE_SIZE - 1)))
        return;
    poke_entry(at, (e & ~PTE_ADDRESS) | copy | PTE_W | PTE_U);
    access_do(&a);
}

/* A table linked as if it were a table or a page of the level below, or of its own. */
static void link_as(u64 gva, u64 table, int level)
{
    u64 at = entry_at(pager.current, gva, level, true);
    if (at)
        poke_entry(at, table_entry_to(table, level));
    access_somehow(gva);
    access_somehow(random_gva());
}

void op_self(void)
{
    u64 gva = random_gva();
    int level = format.levels - format.pointers;
    u64 at = entry_at(pager.current, gva, level, true);
    if (at)
        link_as(gva, at & ~(PAGE_SIZE - 1), level);
}

void op_share(void)
{
    int from = 1 + (int)below((u32)format.levels - 1), to = 2 + (int)below((u32)format.levels - 1);
    u64 at = entry_at(below(pager.spaces), random_gva(), from, false);
    if (at)
        link_as(random_gva(), at & ~(PAGE_SIZE - 1), to);
}

/* Pieces of entries: any bytes, anywhere in a table that is in use. */
void op_raw(void)
{
    u64 gva = random_gva();
    int level = 1 + (int)below((u32)format.levels - format.pointers);
    u64 at = entry_at(pager.current, gva, level, false);
    u8 bytes[24];
    random_words(bytes, sizeof(bytes), 700);
    if (at)
        poke(at + below(8), bytes, 1 + below(sizeof(bytes)));
    access_somehow(gva);
}

/* Two neighbouring entries by writes that cross from one into the other. */
void op_pair(void)
{
    u64 gva = random_gva(), two[2] = {random_leaf(1), random_leaf(1)};
    u64 at = entry_at(pager.current, gva, 1, true);
    u32 width = (u32)format.width;
    u8 bytes[16], keep = (u8)below(width);
    if (!at || !in_pool(at, 2 * width))
        return;
    memcpy(bytes, &two[0], width);
    memcpy(bytes + width, &two[1], width);
    if (poke(at, bytes, keep) || !keep) /* the beginning of the first, then the rest */
        poke(at + keep, bytes + keep, 2 * width - keep);
    access_somehow(gva);
    access_somehow(gva + PAGE_SIZE);
}

static void write_while_off(void)
{
    u64 at = entry_at(pager.current, random_gva(), 1, false);
    if (at)
        poke_entry(at, random_leaf(1));
}

/* A page that the kernel may read, and perhaps nobody write. */
static u64 read_only_gva(void)
{
    struct route reading, writing;
    u64 gva = 0;
    for (int i = 0; i < 8; i++) {
        gva = random_gva() & ~7ull;
        route(&reading, current_root(), gva, READ);
        route(&writing, current_root(), gva, WRITE | USER);
        if (reading.ok && reading.found && !writing.ok)
            break;
    }
    return gva;
}

static void write_word(u64 gva, bool user)
{
    struct access a = {.kind = W4, .user = user, .gva = gva, .n = 4};
    u32 v = (u32)random_leaf(1);
    memcpy(a.value, &v, sizeof(v));
    access_do(&a);
}

/* One page with CR0.WP clear and set, by kernel and user in turn: what the one may do must
 * not remain for the other. */
static void around_wp(void)
{
    u64 gva = read_only_gva();
    for (int i = 0; i < 2; i++) {
        bool first = permille(500);
        write_word(gva, first);
        write_word(gva, !first);
        pager.wp = !pager.wp;
        cached_modes();
    }
    write_word(gva, permille(300));
    pager.wp = permille(500);
}

void op_mode(void)
{
    switch (below(5)) {
    case 0:
    case 1:
        around_wp();
        break;
    case 2:
        pager.nxe = format.nx && !pager.nxe;
        break;
    case 3:
        pager.pge = !pager.pge;
        break;
    default:
        if (format.needs_pse)
            pager.pse = !pager.pse;
        cached_paging_off_and_on(write_while_off);
    }
    cached_modes();
}

void op_flush(void)
{
    cached_flush();
}

/* A space ends and begins anew: everything in its root goes, but this program. */
void op_fresh(void)
{
    u64 root = current_root();
    int top = format.levels;
    for (u32 i = 0; i < FEW; i++)
        if (permille(600))
            poke_entry(root + (u64)format.level[top].few[i] * (u64)format.width, 0);
    if (permille(500))
        cached_flush();
}

/* What a program does with its data; some of the frames are tables as well. */
void op_data(void)
{
    u8 bytes[64];
    random_words(bytes, sizeof(bytes), 1000);
    u64 frame = random_frame();
    poke(frame + below((u32)(PAGE_SIZE - 64)), bytes, 1 + below(64));
    if (permille(30) && frame >= POOL + MAX_SPACES * PAGE_SIZE)
        poke_zero(frame);
}
