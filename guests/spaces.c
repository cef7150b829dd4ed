/*
 * spaces: many address spaces, one after the other, twice; then, in the last of them, one
 * kind of work on its tables after the other: entries changed one by one, many changed
 * before one flush, a whole table taken out and put back, accesses that are refused. Each
 * kind stands between two marks, OUTs to ports that no device owns (0x5a0 + its number),
 * so that what it costs in exits is counted from outside, by the emulator's log.
 * What is read is checked each time, and each fault's code and address.
 * Arguments: spaces, pages (of each space's own), times (how often each kind of work is
 * done), hold (1: halt for ever at the end, with the tables as they are).
 */
#include "guests/lib/guest.h"
#include "guests/lib/table.h"

#define MARK       0x5a0
#define OWN        (1024 * GIB)          /* each space's pages, at the same addresses in all */
#define CHANGED    (2048 * GIB)          /* pages whose entries change */
#define OTHERS     (CHANGED + 64 * MIB)  /* and their neighbours, below other entries of level 2 */
#define DENIED     (CHANGED + 128 * MIB) /* present, read only */
#define MAX_SPACES 128
#define MAX_TIMES  256

extern char image_end[];

enum phase { FIRST, AGAIN, SINGLY, TOGETHER, TABLES, REFUSED, DONE };

static struct {
    u64 root[MAX_SPACES], frame[MAX_SPACES];
    u64 spaces, pages, times;
    u64 set[2], others; /* frames */
    u64 wrong, faults, odd;
    u64 cr2, error; /* of the next fault */
} spaces;

static void mark(enum phase n)
{
    outb((u16)(MARK + n), 0);
}

static u64 *at(u64 gva, u64 page)
{
    return (u64 *)(uintptr_t)(gva + page * PAGE_SIZE);
}

/* --- The tables: the same below 4 GiB in all spaces ------------------------------------ */

static void map_run(u64 root, u64 gva, u64 gpa, u64 bits)
{
    for (u64 page = 0; page < spaces.times; page++)
        table_map(root, gva + page * PAGE_SIZE, gpa + page * PAGE_SIZE, 1, bits);
}

/* n frames; the first word of each is its address. */
static u64 frames_named(u64 n)
{
    u64 first = frames_take(n, PAGE_SIZE);
    for (u64 page = 0; page < n; page++)
        *at(first, page) = first + page * PAGE_SIZE;
    return first;
}

static void make_space(u64 s, u64 shared)
{
    u64 root = spaces.root[s] = table_new();
    *(u64 *)(uintptr_t)root = shared;
    spaces.frame[s] = frames_named(spaces.pages);
    for (u64 page = 0; page < spaces.pages; page++)
        table_map(root, OWN + page * PAGE_SIZE, spaces.frame[s] + page * PAGE_SIZE, 1,
                  PTE_P | PTE_W);
}

static void make_spaces(void)
{
    u64 kernel = table_new();
    table_map_identity(kernel, guest_memory_end(), 1);
    for (u64 s = 0; s < spaces.spaces; s++)
        make_space(s, *(u64 *)(uintptr_t)kernel);
    u64 last = spaces.root[spaces.spaces - 1];
    for (int i = 0; i < 2; i++)
        spaces.set[i] = frames_named(spaces.times);
    spaces.others = frames_named(spaces.times);
    map_run(last, CHANGED, spaces.set[0], PTE_P | PTE_W);
    map_run(last, OTHERS, spaces.others, PTE_P | PTE_W);
    map_run(last, DENIED, spaces.others, PTE_P);
}

/* --- Work -------------------------------------------------------------------------------- */

static void expect(u64 gva, u64 page, u64 value)
{
    spaces.wrong += *(volatile u64 *)at(gva, page) != value;
}

/* All pages of all spaces, read and written; the low bits count how often. */
static void go_through(u64 round)
{
    for (u64 s = 0; s < spaces.spaces; s++) {
        write_cr3((unsigned long)spaces.root[s]);
        for (u64 page = 0; page < spaces.pages; page++) {
            expect(OWN, page, spaces.frame[s] + page * PAGE_SIZE + round);
            *at(OWN, page) += 1;
        }
    }
}

static void expect_run(u64 gva, u64 gpa)
{
    for (u64 page = 0; page < spaces.times; page++)
        expect(gva, page, gpa + page * PAGE_SIZE);
}

static u64 *entry_of(u64 page, int level)
{
    return table_entry(spaces.root[spaces.spaces - 1], CHANGED + page * PAGE_SIZE, level);
}

static void change(u64 page, int set)
{
    *entry_of(page, 1) = (spaces.set[set] + page * PAGE_SIZE) | PTE_P | PTE_W;
}

/* Each change is followed by a use of that page, and of another one below the same table. */
static void singly(void)
{
    for (u64 page = 0; page < spaces.times; page++) {
        u64 other = (page + spaces.times / 2) % spaces.times;
        change(page, 1);
        invlpg(at(CHANGED, page));
        expect(CHANGED, page, spaces.set[1] + page * PAGE_SIZE);
        expect(CHANGED, other, spaces.set[other <= page] + other * PAGE_SIZE);
    }
}

static void together(void)
{
    for (u64 page = 0; page < spaces.times; page++)
        change(page, 0);
    write_cr3((unsigned long)spaces.root[spaces.spaces - 1]);
    expect_run(CHANGED, spaces.set[0]);
}

/* A table of level 1 out and in again; each time one of its pages and all of its neighbour's. */
static void tables(void)
{
    u64 *above = entry_of(0, 2), entry = *above;
    for (u64 i = 0; i < spaces.times; i++) {
        *above = 0;
        invlpg(at(CHANGED, i));
        *above = entry;
        expect(CHANGED, i, spaces.set[0] + i * PAGE_SIZE);
        expect_run(OTHERS, spaces.others);
    }
}

/* --- Faults -------------------------------------------------------------------------------- */

#define STORE_BYTES 3 /* 48 89 03: mov %rax, (%rbx) */

static void on_fault(struct trap_frame *f)
{
    spaces.faults++;
    spaces.odd += f->error != spaces.error || read_cr2() != spaces.cr2;
    f->ip += STORE_BYTES;
}

static void store(u64 gva, u64 error)
{
    spaces.cr2 = gva;
    spaces.error = error;
    __asm__ volatile(".byte 0x48, 0x89, 0x03" : : "a"(0ul), "b"(gva) : "memory");
}

/* Not present, and read only. */
static void refused(void)
{
    for (u64 i = 0; i < spaces.times; i++)
        if (i % 2)
            store(DENIED + i * PAGE_SIZE + 8, 3);
        else
            store(DENIED + (spaces.times + i) * PAGE_SIZE, 2);
}

void guest_main(const struct multiboot_info *info)
{
    (void)info;
    args_allow("spaces pages times hold");
    spaces.spaces = args_number("spaces", 100, 1, MAX_SPACES);
    spaces.pages = args_number("pages", 4, 1, 64);
    spaces.times = args_number("times", 64, 1, MAX_TIMES);

    frames_init((u64)(uintptr_t)image_end, guest_memory_end());
    make_spaces();
    write_cr3((unsigned long)spaces.root[0]);
    write_cr0(read_cr0() | CR0_WP);
    trap_set(VECTOR_PF, on_fault);
    mark(FIRST);
    go_through(0);
    expect_run(CHANGED, spaces.set[0]);
    expect_run(OTHERS, spaces.others);
    mark(AGAIN);
    go_through(1);
    mark(SINGLY);
    singly();
    mark(TOGETHER);
    together();
    mark(TABLES);
    tables();
    mark(REFUSED);
    refused();
    mark(DONE);
    check("contents", spaces.wrong, 0);
    check("faults", spaces.faults, spaces.times);
    check("codes", spaces.odd, 0);
    guest_hold();
}
