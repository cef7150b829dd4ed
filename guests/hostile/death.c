/*
 * How hostile dies on purpose: triple faults of several kinds, HLT with nothing
 * to wake it, and the test port's EXIT.
 */
#include "guests/hostile/hostile.h"

static u64 nothing[512] __attribute__((aligned(4096)));

static void load_idt(u16 limit, u64 base)
{
    const struct table_register t = {limit, base};
    lidt(&t);
}

void action_die(void)
{
    interrupts_off();
    switch (random_below(7)) {
    case 0: /* no IDT */
        load_idt(0, 0);
        break;
    case 1: /* an IDT of zeros */
        load_idt(0xfff, (uintptr_t)nothing);
        break;
    case 2: /* an IDT where no memory is */
        load_idt(0xfff, OUTSIDE_TABLE_VA);
        break;
    case 3: /* page tables that map nothing */
        write_cr3((uintptr_t)nothing);
        break;
    case 4: /* page tables where no memory is */
        write_cr3(OUTSIDE_TABLES);
        break;
    case 5:
        __asm__ volatile("hlt");
        break;
    default:
        guest_exit(0);
    }
    for (;;)
        __asm__ volatile("ud2");
}
