/*
 * The IDT, and what happens after a stub has saved the registers.
 * AMD64 manual vol. 2, sections 4.8.4 and 8.9 (gates, delivery).
 */
#include "guests/lib/trap.h"

#include "guests/lib/cpu.h"
#include "guests/lib/pic.h"
#include "guests/lib/print.h"
#include "guests/lib/testport.h"

#define GATE_INTERRUPT 0x8e /* present, DPL 0, clears IF */
#define SELECTOR_CODE  0x08
#define STUB_SIZE      16

struct gate {
    u16 offset_low;
    u16 selector;
    u8 ist;
    u8 type;
    u16 offset_middle;
#ifdef __x86_64__
    u32 offset_high;
    u32 reserved;
#endif
};

extern const char trap_stubs[]; /* trap64.S, trap32.S: 256 of STUB_SIZE bytes */
void trap_dispatch(struct trap_frame *frame);

static struct gate idt[256];
static trap_handler handlers[256];

static void set_gate(struct gate *g, uintptr_t offset)
{
    *g = (struct gate){
        .offset_low = (u16)offset,
        .selector = SELECTOR_CODE,
        .type = GATE_INTERRUPT,
        .offset_middle = (u16)(offset >> 16),
#ifdef __x86_64__
        .offset_high = (u32)(offset >> 32),
#endif
    };
}

void trap_load(void)
{
    const struct table_register t = {sizeof(idt) - 1, (uintptr_t)idt};
    lidt(&t);
}

void trap_init(void)
{
    for (unsigned v = 0; v < ARRAY_SIZE(idt); v++)
        set_gate(&idt[v], (uintptr_t)trap_stubs + v * STUB_SIZE);
    trap_load();
}

void trap_set(u8 vector, trap_handler handler)
{
    handlers[vector] = handler;
}

void trap_use_stack(u8 first, u8 last, u8 ist)
{
    for (unsigned v = first; v <= last; v++)
        idt[v].ist = ist;
}

static __attribute__((noreturn)) void report(const struct trap_frame *f)
{
    print("unexpected exception %U, error 0x%X, at 0x%X, cr2 0x%X\n", (u64)f->vector, (u64)f->error,
          (u64)f->ip, (u64)read_cr2());
    guest_exit(TRAP_EXIT_CODE + (u32)f->vector);
}

void trap_dispatch(struct trap_frame *f)
{
    u8 v = (u8)f->vector;
    if (handlers[v])
        handlers[v](f);
    else if (v >= TRAP_IRQ_BASE && v < TRAP_IRQ_BASE + 16)
        pic_eoi(v - TRAP_IRQ_BASE); /* nobody waits for it, or it was spurious */
    else
        report(f);
}
