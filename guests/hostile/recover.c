/*
 * How hostile survives itself: own tables with stacks of their own for all
 * exceptions (IST), so that no state of RSP matters; every exception ends the
 * action; the timer ends what hangs; afterwards the machine's state is put back.
 * AMD64 manual vol. 2, section 8.9.4 (IST) and 12.2.5 (64-bit TSS).
 */
#include "guests/hostile/hostile.h"

#define SELECTOR_DATA 0x10
#define SELECTOR_TSS  0x18
#define TSS_AVAILABLE 0x0000890000000000ull
#define IST_FAULT     1
#define IST_TICK      2

#define WATCHDOG_CLOCKS 600    /* of the PIT: half a millisecond */
#define WATCHDOG_TSC    400000 /* a tick that comes sooner belongs to an earlier action */
#define DR7_OFF         0x400
#define RESTORE_TRIES   4

struct tss {
    u32 reserved0;
    u64 rsp[3];
    u64 reserved1;
    u64 ist[7];
    u64 reserved2;
    u16 reserved3, io_map;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "64-bit TSS");

static u64 gdt[8] __attribute__((aligned(16)));
static struct tss tss;
static u8 fault_stack[8192] __attribute__((aligned(16)));
static u8 tick_stack[8192] __attribute__((aligned(16)));

u64 hostile_regs[16];
static u64 root, scratch_frames, started;
static u32 to_restore;
static struct {
    unsigned long cr0, cr4;
    u64 efer;
} sane;

extern char image_text_end[], image_end[];

static void on_fault(struct trap_frame *f)
{
    (void)f;
    hostile.faults++;
    hostile_abandon();
}

static void on_tick(struct trap_frame *f)
{
    (void)f;
    pic_eoi(PIT_LINE);
    if (rdtsc() - started < WATCHDOG_TSC) { /* or this action's, its start seen late */
        pit_program(PIT_ONE_SHOT, WATCHDOG_CLOCKS);
        return;
    }
    hostile.hangs++;
    hostile_abandon();
}

static void set_up_tss(void)
{
    u64 base = (uintptr_t)&tss;
    tss.rsp[0] = tss.ist[IST_FAULT - 1] = (uintptr_t)fault_stack + sizeof(fault_stack);
    tss.ist[IST_TICK - 1] = (uintptr_t)tick_stack + sizeof(tick_stack);
    tss.io_map = sizeof(tss);
    gdt[1] = 0x00af9b000000ffffull;
    gdt[2] = 0x00cf93000000ffffull;
    gdt[3] =
        TSS_AVAILABLE | (sizeof(tss) - 1) | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
    gdt[4] = base >> 32;
}

/* Below 2 MiB by 4 KiB pages, the kernel's text read-only; then by 2 MiB. */
static void map_memory(void)
{
    for (u64 a = 0; a < 2 * MIB; a += PAGE_SIZE) {
        bool text = a >= MIB && a < (uintptr_t)image_text_end;
        table_map(root, a, a, 1, PTE_P | (text ? 0 : PTE_W));
    }
    for (u64 a = 2 * MIB; a + 2 * MIB <= hostile.memory_end && a < GIB; a += 2 * MIB)
        table_map(root, a, a, 2, PTE_P | PTE_W);
}

static void map_scratch(void)
{
    scratch_frames = frames_take(SCRATCH_PAGES, PAGE_SIZE);
    for (u64 i = 0; i < SCRATCH_PAGES; i++)
        table_map(root, SCRATCH_VA + i * PAGE_SIZE, scratch_frames + i * PAGE_SIZE, 1,
                  PTE_P | PTE_W);
}

static void map_edges(void)
{
    for (int k = 0; k < EDGE_KINDS; k++)
        table_map(root, EDGE_VA(k), frames_take(1, PAGE_SIZE), 1, PTE_P | PTE_W);
    frames_take(1, PAGE_SIZE); /* so that neighbours in gVA are none in gPA */
    table_map(root, EDGE_VA(EDGE_MEMORY) + PAGE_SIZE, frames_take(1, PAGE_SIZE), 1, PTE_P | PTE_W);
    table_map(root, EDGE_VA(EDGE_READONLY) + PAGE_SIZE, frames_take(1, PAGE_SIZE), 1, PTE_P);
    table_map(root, EDGE_VA(EDGE_OUTSIDE) + PAGE_SIZE, OUTSIDE_CODE, 1, PTE_P | PTE_W);
}

static void map_outside(void)
{
    u64 after = (hostile.memory_end + 2 * MIB - 1) & ~(2 * MIB - 1);
    const u64 gpa[OUTSIDE_WINDOWS] = {
        OUTSIDE_CODE,  OUTSIDE_TABLES, after,          0x80000000ull,   0xfec00000ull,
        0xfee00000ull, 0xffe00000ull,  0x100000000ull, 0x8000000000ull, 0xffffe00000ull,
    };
    for (int i = 0; i < OUTSIDE_WINDOWS; i++)
        table_map(root, OUTSIDE_VA(i), gpa[i], 2, PTE_P | PTE_W);
}

/* A table of each level is said to lie outside memory. */
static void map_walks(void)
{
    for (int level = 1; level <= 3; level++) {
        table_map(root, WALK_VA(level), 0, 1, PTE_P | PTE_W);
        *table_entry(root, WALK_VA(level), level + 1) = OUTSIDE_TABLES | PTE_P | PTE_W | PTE_A;
    }
}

static void load_segments(void)
{
    const struct table_register t = {sizeof(gdt) - 1, (uintptr_t)gdt};
    u16 tr;
    lgdt(&t);
    __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs; mov %0, %%ss"
                     :
                     : "r"(SELECTOR_DATA));
    __asm__ volatile("lldt %w0" : : "r"(0));
    __asm__ volatile("str %0" : "=r"(tr));
    if (tr == SELECTOR_TSS)
        return;
    gdt[3] = (gdt[3] & ~(0xffull << 40)) | TSS_AVAILABLE;
    __asm__ volatile("ltr %w0" : : "r"(SELECTOR_TSS));
}

static void restore_control(void)
{
    write_cr3(root);
    if (read_cr4() != sane.cr4)
        write_cr4(sane.cr4);
    if (read_cr0() != sane.cr0)
        write_cr0(sane.cr0);
    if (rdmsr(MSR_EFER) != sane.efer)
        wrmsr(MSR_EFER, sane.efer);
    __asm__ volatile("mov %0, %%cr8" : : "r"(0ul));
}

static void restore_once(void)
{
    trap_load();
    load_segments();
    if (to_restore & DISTURBS_DEBUG)
        write_dr7(DR7_OFF);
    if (to_restore & DISTURBS_CONTROL)
        restore_control();
}

/* DR7.GD makes the first access to DR7 fault; that clears it. */
void recover_restore(u32 disturbs)
{
    to_restore = disturbs;
    for (int i = 0; i < RESTORE_TRIES && !hostile_try(restore_once); i++)
        ;
}

void recover_arm(void)
{
    if (hostile.ports_dirty) {
        pic_init_only(PIT_LINE);
        hostile.ports_dirty = false;
    }
    pit_program(PIT_ONE_SHOT, WATCHDOG_CLOCKS);
    started = rdtsc();
}

u64 hostile_root(void)
{
    return root;
}

u8 *scratch(void)
{
    return (u8 *)(uintptr_t)scratch_frames;
}

void recover_init(void)
{
    frames_init((uintptr_t)image_end, hostile.memory_end);
    root = table_new();
    map_memory();
    map_scratch();
    map_edges();
    map_outside();
    map_walks();
    table_activate(root);
    set_up_tss();
    for (unsigned v = 0; v < 256; v++)
        trap_set((u8)v, v == TRAP_IRQ_BASE + PIT_LINE ? on_tick : on_fault);
    trap_use_stack(0, 255, IST_FAULT);
    trap_use_stack(TRAP_IRQ_BASE + PIT_LINE, TRAP_IRQ_BASE + PIT_LINE, IST_TICK);
    sane.cr0 = read_cr0();
    sane.cr4 = read_cr4();
    sane.efer = rdmsr(MSR_EFER);
    hostile.ports_dirty = true;
    recover_restore(DISTURBS_NOTHING);
}
