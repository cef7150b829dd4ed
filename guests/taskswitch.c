/*
 * taskswitch: a 32-bit guest with paging that lets the processor switch tasks, the way
 * that loads CR3 without a MOV. If the CR3 of a task-state segment went to the processor
 * unseen, a guest on a shadow would choose its own tables in host-physical addresses.
 * So it brings some: its own memory where it was, and behind WINDOW all that the host has.
 * Arguments: base (hPA of its gPA 0; without it nothing is switched), target (hPA of a word
 * that is written through the window), root (it then switches back, with this CR3), ts (it
 * has set CR0.TS before, as who saves the FPU's registers late does, and uses the FPU).
 * Source: AMD64 Manual vol. 2, 12.2.2 (the segment), 12.3 (the switch).
 */
#include "guests/lib/guest.h"
#include "guests/lib/table.h"

#define MAPPED        (4 * MIB)
#define WINDOW        0x80000000u
#define WORD          0x5a5a5a5au
#define SELECTOR_OLD  0x18
#define SELECTOR_NEW  0x20
#define TSS_AVAILABLE 0x0000890000000000ull
#define EFLAGS_ONE    2u

struct tss {
    u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
    u32 eax, ecx, edx, ebx, esp, ebp, esi, edi, es, cs, ss, ds, fs, gs, ldt, trap;
};
_Static_assert(sizeof(struct tss) == 104, "TSS");

static struct {
    u64 gdt[5];
    struct tss old, new;
    u32 target, root;
} t __attribute__((aligned(256)));
static u8 stack[4096] __attribute__((aligned(16)));

static u64 describe(const struct tss *segment)
{
    u64 base = (uintptr_t)segment;

    return TSS_AVAILABLE | (sizeof(*segment) - 1) | (base & 0xffffff) << 16 | (base >> 24) << 56;
}

/* Tables in host-physical addresses: the guest's first 4 MiB, and the host's first 1 GiB. */
static u32 make_tables(u64 base)
{
    u64 *pointers = (u64 *)(uintptr_t)frames_take(1, PAGE_SIZE);
    u64 *low = (u64 *)(uintptr_t)frames_take(1, PAGE_SIZE);
    u64 *window = (u64 *)(uintptr_t)frames_take(1, PAGE_SIZE);
    u64 *leaf = (u64 *)(uintptr_t)frames_take(2, PAGE_SIZE);

    for (u32 i = 0; i < 1024; i++)
        leaf[i] = (base + i * PAGE_SIZE) | PTE_P | PTE_W;
    for (u32 i = 0; i < 2; i++)
        low[i] = (base + (uintptr_t)(leaf + 512 * i)) | PTE_P | PTE_W;
    for (u32 i = 0; i < 512; i++)
        window[i] = ((u64)i << 21) | PTE_P | PTE_W | PTE_PS;
    pointers[0] = (base + (uintptr_t)low) | PTE_P;
    pointers[WINDOW >> 30] = (base + (uintptr_t)window) | PTE_P;
    return (u32)(base + (uintptr_t)pointers);
}

/* The new task: it writes where it may not, and says so, or goes back before it does. */
static void landed(void)
{
    if (t.target)
        *(volatile u32 *)(uintptr_t)(WINDOW + t.target) = WORD;
    if (t.root)
        __asm__ volatile("ljmp %0, $0" : : "i"(SELECTOR_OLD));
    checkpoint("landed", t.target);
    guest_exit(0);
}

static void make_tasks(u64 base)
{
    const struct {
        u16 limit;
        u32 base;
    } __attribute__((packed)) gdtr = {sizeof(t.gdt) - 1, (u32)(uintptr_t)t.gdt};

    t.gdt[1] = 0x00cf9b000000ffffull;
    t.gdt[2] = 0x00cf93000000ffffull;
    t.gdt[SELECTOR_OLD / 8] = describe(&t.old);
    t.gdt[SELECTOR_NEW / 8] = describe(&t.new);
    t.old.cr3 = t.root;
    t.new = (struct tss){.cr3 = make_tables(base), .eip = (u32)(uintptr_t)landed,
                         .eflags = EFLAGS_ONE, .esp = (u32)(uintptr_t)(stack + sizeof(stack)),
                         .cs = 0x08, .ss = 0x10, .ds = 0x10, .es = 0x10, .fs = 0x10, .gs = 0x10};
    __asm__ volatile("lgdt %0" : : "m"(gdtr) : "memory");
    __asm__ volatile("ltr %w0" : : "r"(SELECTOR_OLD) : "memory");
}

/* With TS set, the first use of the FPU is an exception; a guest that attacks leaves it set. */
static u32 uses;

static void on_use(struct trap_frame *frame)
{
    (void)frame;
    uses++;
    __asm__ volatile("clts");
}

static void use_late(u64 attacks)
{
    trap_set(VECTOR_NM, on_use);
    write_cr0(read_cr0() | CR0_TS);
    for (volatile u8 *at = (u8 *)(2 * MIB); at < (u8 *)MAPPED; at += PAGE_SIZE)
        *at = 1;
    if (attacks)
        return;
    __asm__ volatile("fninit");
    check("uses", uses, 1);
    check("ts", read_cr0() & CR0_TS, 0);
}

void guest_main(const struct multiboot_info *info)
{
    (void)info;
    args_allow("base target root ts");
    u64 base = args_number("base", 0, 0, ~0u);
    t.target = (u32)args_number("target", 0, 0, (1u << 30) - 4);
    t.root = (u32)args_number("root", 0, 0, ~0u);

    frames_init(1 * MIB + MIB / 2, 2 * MIB);
    u64 root = table_new();
    for (u64 a = 0; a < MAPPED; a += PAGE_SIZE)
        table_map(root, a, a, 1, PTE_P | PTE_W);
    table_activate(root);
    make_tasks(base);
    if (args_number("ts", 0, 0, 1))
        use_late(base);
    checkpoint("ready", base);
    if (base)
        __asm__ volatile("ljmp %0, $0" : : "i"(SELECTOR_NEW) : "memory");
    checkpoint("back", t.root);
}
