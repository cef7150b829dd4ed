/*
 * The address spaces: roots in the first frames of the pool, each with what maps
 * this program to itself, and everything else seeded. Nobody owns a frame: tables
 * are taken in turn, whatever they were and whoever uses them still, so a frame may
 * be a table of two spaces, at two levels, and data besides. The model does not mind.
 */
#include "guests/pager/pager.h"

#define KERNEL_TABLES (MEMORY / (2 * MIB) + 2)

extern char image_end[];
extern const char probe_stubs[];

static u64 kernel_entries[4]; /* the first of every root */
static u64 next_table;

u64 root_of(u32 space)
{
    return POOL + space * PAGE_SIZE + (u64)space * format.root_step;
}

bool is_vital(u64 gpa, u64 n)
{
    for (u64 a = gpa & ~(PAGE_SIZE - 1); a < gpa + n; a += PAGE_SIZE) {
        u64 space = (a - POOL) / PAGE_SIZE;
        if (space >= pager.spaces)
            continue;
        u64 root = root_of((u32)space);
        if (gpa < root + format.kernel_bytes && root < gpa + n)
            return true;
    }
    return false;
}

bool is_pointer(u64 at)
{
    u64 space = (at - POOL) / PAGE_SIZE;
    return format.pointers && space < pager.spaces && at - root_of((u32)space) < 32;
}

static u64 kernel_bits(u64 a)
{
    bool user = a == (uintptr_t)probe_stubs || a == (uintptr_t)user_page;
    return PTE_P | PTE_W | (user ? PTE_U : 0);
}

static u64 kernel_table(u64 first)
{
    u64 table = frames_take(1, PAGE_SIZE);
    u32 n = 1u << format.level[1].bits;
    for (u32 i = 0; i < n && first + i * PAGE_SIZE < MEMORY; i++) {
        u64 a = first + i * PAGE_SIZE;
        entry_write((void *)(uintptr_t)(table + i * (u64)format.width), a | kernel_bits(a));
    }
    return table;
}

/* Memory mapped to itself by small pages: the entries of level 2, then those above. */
static void map_kernel(void)
{
    u64 size = 1ull << format.level[2].shift, table = 0;
    u32 n = (u32)((MEMORY + size - 1) >> format.level[2].shift);
    if (format.levels > 2)
        table = frames_take(1, PAGE_SIZE);
    for (u32 i = 0; i < n; i++) {
        u64 e = kernel_table(i * size) | PTE_P | PTE_W | PTE_U;
        if (table)
            ((u64 *)(uintptr_t)table)[i] = e;
        else
            kernel_entries[i] = e;
    }
    for (int level = 3; level <= format.levels; level++) {
        u64 e = table | (format.level[level].rights ? PTE_P | PTE_W | PTE_U : PTE_P);
        kernel_entries[0] = e;
        if (level == format.levels)
            return;
        table = frames_take(1, PAGE_SIZE);
        *(u64 *)(uintptr_t)table = e;
    }
}

static void set_both(u64 at, u64 e)
{
    entry_write(real_of(at), e);
    entry_write(mirror_of(at), e);
}

void spaces_init(void)
{
    frames_init((uintptr_t)image_end, POOL);
    pool_zero(real_of(POOL), POOL_SIZE);
    map_kernel();
    for (u64 a = POOL + FIRST_DATA * PAGE_SIZE; a < POOL_END; a += 64)
        *(u64 *)real_of(a) = random_leaf(1);
    pool_copy(mirror_of(POOL), real_of(POOL), POOL_SIZE);
    for (u32 s = 0; s < pager.spaces; s++)
        for (int i = 0; i < 4 && kernel_entries[i]; i++)
            set_both(root_of(s) + (u64)(i * format.width), kernel_entries[i]);
    next_table = pager.spaces;
}

u64 random_gva(void)
{
    u64 gva = below(PAGE_SIZE);
    for (int level = 1; level <= format.levels; level++)
        gva |= (u64)format.level[level].few[below(FEW)] << format.level[level].shift;
    if (format.levels == 4 && gva >> 47)
        gva |= 0xffff000000000000ull;
    return gva;
}

u64 random_frame(void)
{
    u32 first = permille(120) ? 0 : FIRST_DATA;
    return POOL + (first + below((u32)POOL_FRAMES - first)) * PAGE_SIZE;
}

u64 take_table(void)
{
    if (next_table >= FIRST_DATA)
        next_table = pager.spaces;
    u64 frame = POOL + (permille(40) ? FIRST_DATA + below(64) : next_table++) * PAGE_SIZE;
    poke_zero(frame);
    return frame;
}

/* A reserved bit, once in a while. */
static u64 spoil(int level)
{
    if (!permille(25))
        return 0;
    if (format.width == 4)
        return level == 2 ? 1ull << 21 : 0;
    u64 zero = format.level[level].zero | (level > 1 ? format.level[level].zero_page : 0) |
               pager.address_bits;
    u64 bit = 1ull << below(63);
    return bit & zero;
}

static u64 random_bits(void)
{
    u64 bits = PTE_P;
    bits |= permille(800) ? PTE_W : 0;
    bits |= permille(800) ? PTE_U : 0;
    bits |= permille(300) ? PTE_A : 0;
    bits |= permille(300) ? PTE_D : 0;
    bits |= permille(200) ? PTE_G : 0;
    bits |= permille(50) ? 0x18 : 0; /* PWT, PCD */
    bits |= permille(100) ? 0xe00 : 0;
    if (format.nx)
        bits |= permille(120) ? PTE_NX : 0;
    if (format.nx && !format.pae)
        bits |= permille(100) ? 0x3ffull << 52 & rng_next(&pager.rng) : 0;
    return bits;
}

u64 random_leaf(int level)
{
    u64 frame = random_frame(), size = 1ull << format.level[level].shift;
    return (frame & ~(size - 1)) | random_bits() | (level > 1 ? PTE_PS : 0) | spoil(level);
}

void random_words(u8 *to, u32 n, u32 leaves)
{
    for (u32 i = 0; i < n; i += 8) {
        u64 v = leaves >= 1000 || permille(leaves) ? random_leaf(1) : rng_next(&pager.rng);
        memcpy(to + i, &v, 8);
    }
}

u64 table_entry_to(u64 table, int level)
{
    u64 bits = PTE_P;
    if (!format.level[level].rights)
        return table | bits;
    bits |= permille(960) ? PTE_W : 0;
    bits |= permille(960) ? PTE_U : 0;
    bits |= permille(300) ? PTE_A : 0;
    bits |= format.nx && permille(20) ? PTE_NX : 0;
    return table | bits;
}

/* Does this entry lead to a table of the pool? */
static bool leads_on(int level, u64 e)
{
    u64 odd = format.level[level].zero | (format.width == 8 ? pager.address_bits : 0);
    return e & PTE_P && !maps_page(level, e) && !(e & odd) && in_pool(e & PTE_ADDRESS, PAGE_SIZE);
}

u64 entry_at(u32 space, u64 gva, int level, bool make)
{
    u64 table = root_of(space);
    for (int l = format.levels;; l--) {
        u64 at = table + entry_index(gva, l) * (u64)format.width;
        if (l == level)
            return at;
        u64 e = entry_read(mirror_of(at));
        if (!leads_on(l, e)) {
            if (!make || !poke_entry(at, table_entry_to(take_table(), l)))
                return 0;
            e = entry_read(mirror_of(at));
        }
        table = e & PTE_ADDRESS;
    }
}
