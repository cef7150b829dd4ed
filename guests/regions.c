/*
 * Memory of all kinds, as its VM arguments promise it: read-only, not executable,
 * absent. It maps all of it to itself, one page of 4 KiB each, and uses it in
 * every way that must work or must do nothing; which pages it used it knows, and
 * asks. With end= it then does one thing that ends its VM.
 *
 * What is where it is told by its own command line, as lists FIRST+PAGES in hex;
 * holes are the pages around what it is told.
 */
#include "guests/regions.h"
#include "guests/lib/table.h"

struct machine regions;

extern char image_end[];

/* --- What there is ------------------------------------------------------------------ */

static u64 hex(const char **at)
{
    u64 value = 0;

    for (const char *digits = "0123456789abcdef"; **at; (*at)++) {
        const char *d = digits;
        while (*d && *d != **at)
            d++;
        if (!*d)
            break;
        value = value << 4 | (u64)(d - digits);
    }
    return value;
}

static void add_list(const char *list, enum kind kind)
{
    while (*list && regions.parts < MOST_PARTS) {
        struct part *p = &regions.part[regions.parts++];
        p->kind = kind;
        p->first = hex(&list);
        list += *list == '+';
        p->pages = (u32)hex(&list);
        list += *list == ',';
    }
}

static bool is_part(u64 at)
{
    for (u32 i = 0; i < regions.parts; i++)
        if (at - regions.part[i].first < regions.part[i].pages * PAGE_SIZE)
            return true;
    return at < guest_memory_end();
}

/* The pages before and behind each part, where nothing is. */
static void add_holes(void)
{
    for (u32 i = 0, n = regions.parts; i < n; i++) {
        const struct part *p = &regions.part[i];
        u64 around[] = {p->first - PAGE_SIZE, p->first + p->pages * PAGE_SIZE};
        for (u32 j = 0; j < ARRAY_SIZE(around) && regions.parts < MOST_PARTS; j++)
            if (!is_part(around[j]))
                regions.part[regions.parts++] = (struct part){HOLE, around[j], 1};
    }
}

static void read_arguments(void)
{
    char word[100];

    args_allow("ram rom noexec hole rounds end hold");
    add_list(args_word("ram", "", word, sizeof(word)), RAM);
    add_list(args_word("rom", "", word, sizeof(word)), ROM);
    add_list(args_word("noexec", "", word, sizeof(word)), NOEXEC);
    add_holes();
    add_list(args_word("hole", "", word, sizeof(word)), HOLE);
}

static void map_all(void)
{
    u64 end = guest_memory_end();

    frames_init((uintptr_t)image_end, end);
    regions.root = table_new();
    table_map_identity(regions.root, end, 1);
    for (u32 i = 0; i < regions.parts; i++)
        for (u64 j = 0; j < regions.part[i].pages; j++) {
            u64 at = regions.part[i].first + j * PAGE_SIZE;
            table_map(regions.root, at, at, 1, PTE_P | PTE_W);
        }
    table_activate(regions.root);
}

/* --- The one thing that it does last ----------------------------------------------- */

static u64 first_of(enum kind kind)
{
    for (u32 i = 0; i < regions.parts; i++)
        if (regions.part[i].kind == kind)
            return regions.part[i].first +
                   rng_below(&regions.rng, regions.part[i].pages) * PAGE_SIZE;
    guest_exit(2);
}

static void execute(u64 at)
{
    __asm__ volatile("call *%0" : : "r"(at) : "memory", "rax");
}

/* Reach something through a table that lies there. */
static void use_as_table(u64 at)
{
    u64 gva = 1ull << 46;
    u64 below = table_new(), *entry = (u64 *)(uintptr_t)below;

    table_map(regions.root, gva, 0, 1, PTE_P);
    *table_entry(regions.root, gva, 2) = at | PTE_P | PTE_W;
    for (u32 i = 0; i < 512; i++)
        entry[i] = PTE_P | PTE_W;
    checkpoint("table", at);
    *(volatile u64 *)(uintptr_t)gva;
}

static void push_onto(u64 at)
{
    __asm__ volatile("mov %0, %%rsp; ud2" : : "r"(at + PAGE_SIZE - 64) : "memory");
}

static void last_act(const char *what)
{
    checkpoint("last", regions.rounds);
    if (text_equal(what, "exec-noexec"))
        execute(first_of(NOEXEC) + 8 * rng_below(&regions.rng, 512));
    else if (text_equal(what, "exec-hole"))
        execute(first_of(HOLE));
    else if (text_equal(what, "table-rom"))
        use_as_table(first_of(ROM));
    else if (text_equal(what, "table-hole"))
        use_as_table(first_of(HOLE));
    else if (text_equal(what, "stack-rom"))
        push_onto(first_of(ROM));
    else if (!text_equal(what, "exit"))
        guest_exit(2);
}

/* --------------------------------------------------------------------------------------- */

void guest_main(const struct multiboot_info *info)
{
    char word[16];

    (void)info;
    read_arguments();
    regions.seed = guest_seed();
    regions.rng = (struct rng){regions.seed};
    regions.rounds = args_number("rounds", 40, 1, 1000000);
    map_all();
    checkpoint("root", regions.root);
    for (u64 n = 0; n < regions.rounds; n++)
        for (u32 i = 0; i < regions.parts; i++)
            regions_use(&regions.part[i]);
    for (u32 n = 0; n < 3; n++) {
        checkpoint("sweep", n);
        if (n < 2)
            regions_sweep();
    }
    regions_tables();
    regions_walks();
    regions_harvest();
    regions_report();
    last_act(args_word("end", "exit", word, sizeof(word)));
    guest_hold();
}
