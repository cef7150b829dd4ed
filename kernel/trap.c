/*
 * The IDT, the TSS with a stack of its own for double faults, and what
 * becomes of a trap. It knows no device. Source: AMD64 Manual vol. 2, 8 and
 * 12.2.5.
 */
#include "kernel/trap.h"
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/mem.h"
#include "kernel/panic.h"
#include "kernel/trace.h"

struct gate {
    u16 offset0;
    u16 selector;
    u16 flags; /* IST 0-2, type 8-11, DPL 13-14, P 15 */
    u16 offset1;
    u32 offset2;
    u32 zero;
};

struct tss {
    u32 zero;
    u32 rsp[6];
    u32 zero2[2];
    u32 ist[14];
    u32 zero3[2];
    u16 zero4;
    u16 iomap;
};

#define VECTOR_DEBUG   1
#define RFLAGS_STEP    (1u << 8) /* TF */
#define GATE_INTERRUPT 0x8e00
#define IST_FAULT      1
#define ENTRY_SIZE     16
#define TSS_SELECTOR   0x18

extern const u8 trap_entries[256 * ENTRY_SIZE];
extern u64 gdt_tss[2];

u64 trap_recover;

static struct gate idt[256];
static struct tss tss;
static u8 fault_stack[8192] __attribute__((aligned(16)));
static void (*handlers[256])(void);

static const char *const names[32] = {
    "divide error", "debug", "NMI", "breakpoint", "overflow", "bound", "invalid opcode",
    "no coprocessor", "double fault", "coprocessor overrun", "invalid TSS", "segment missing",
    "stack fault", "general protection", "page fault", "reserved", "x87 error", "alignment check",
    "machine check", "SIMD error"};

void trap_set_handler(u8 vector, void (*handler)(void))
{
    handlers[vector] = handler;
}

static void gate_set(u32 vector, u16 ist)
{
    u64 entry = (u64)trap_entries + vector * ENTRY_SIZE;

    idt[vector] = (struct gate){.offset0 = (u16)entry,
                                .selector = 0x08,
                                .flags = GATE_INTERRUPT | ist,
                                .offset1 = (u16)(entry >> 16),
                                .offset2 = (u32)(entry >> 32)};
}

static void tss_init(void)
{
    u64 base = (u64)&tss, limit = sizeof(tss) - 1, top = (u64)fault_stack + sizeof(fault_stack);

    tss.ist[2 * (IST_FAULT - 1)] = (u32)top;
    tss.ist[2 * (IST_FAULT - 1) + 1] = (u32)(top >> 32);
    tss.iomap = sizeof(tss);
    gdt_tss[0] = limit | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
    gdt_tss[1] = base >> 32;
    __asm__ volatile("ltr %w0" : : "r"(TSS_SELECTOR));
}

void trap_init(void)
{
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) pointer = {sizeof(idt) - 1, (u64)idt};

    for (u32 v = 0; v < 256; v++)
        gate_set(v, v == 8 ? IST_FAULT : 0);
    tss_init();
    __asm__ volatile("lidt %0" : : "m"(pointer));
}

void trap_dump(const struct trapframe *f)
{
    console_print("rip %016lx rsp %016lx rflags %lx error %lx cr2 %lx\n", f->rip, f->rsp, f->rflags,
                  f->error, read_cr2());
    console_print("rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", f->rax, f->rbx, f->rcx, f->rdx);
    console_print("rsi %016lx rdi %016lx rbp %016lx r8  %016lx\n", f->rsi, f->rdi, f->rbp, f->r8);
    console_print("r9  %016lx r10 %016lx r11 %016lx r12 %016lx\n", f->r9, f->r10, f->r11, f->r12);
    console_print("r13 %016lx r14 %016lx r15 %016lx\n", f->r13, f->r14, f->r15);
}

/* Nobody steps through the host. After an exit of AMD's SVM, Bochs 2.7 delivers to
 * the host the single step that was due in the guest; it is none of ours. */
static bool is_guests_step(const struct trapframe *f)
{
    return f->vector == VECTOR_DEBUG && !(f->rflags & RFLAGS_STEP) && cpu_is_bochs();
}

static void fault(struct trapframe *f)
{
    if (is_guests_step(f))
        return;
    if (handlers[f->vector]) {
        handlers[f->vector](); /* an NMI: it may break into anything, so it leaves no record */
        return;
    }
    if (f->vector == 13 && trap_recover) {
        f->rip = trap_recover;
        return;
    }
    const char *name = f->vector < 20 ? names[f->vector] : "trap";
    console_print("\nhost exception %lu (%s)\n", f->vector, name);
    trap_dump(f);
    panic("exception %lu (%s) at rip %#lx", f->vector, name, f->rip);
}

void trap_handler(struct trapframe *f);
void trap_handler(struct trapframe *f)
{
    if (f->vector < 32) {
        fault(f);
        return;
    }
    TRACE(host_irq, 0, 0, .vector = f->vector);
    if (!handlers[f->vector])
        panic("no handler for interrupt %lu", f->vector);
    handlers[f->vector]();
}
