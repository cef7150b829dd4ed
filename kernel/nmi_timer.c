/*
 * Timer 0 of the HPET, wired by the I/O APIC as an NMI to this CPU. The NMI says nothing
 * and changes nothing: it only takes the CPU out of a guest, and may come at any point of
 * the host, also between two halves of a record. What is due is the other timer's
 * (lapic.c) to say. Source: IA-PC HPET specification 1.0a, 2.3; Intel 82093AA.
 */
#include "kernel/nmi_timer.h"
#include "kernel/clock.h"
#include "kernel/trap.h"

#define HPET_BASE      0xfed00000ull
#define HPET_PERIOD    0x004 /* of its counter, in fs */
#define HPET_CONFIG    0x010
#define HPET_COUNTER   0x0f0
#define TIMER0_CONFIG  0x100
#define TIMER0_COMPARE 0x108
#define CONFIG_ENABLE  0x1
#define TIMER_INT      0x4 /* interrupts, and edge-triggered, since bit 1 is clear */
#define TIMER_ROUTE    9   /* the I/O APIC's pin, in bits 9 to 13 */
#define FS_PER_NS      1000000u
#define LONGEST_PERIOD 100000000u /* allowed by the specification, in fs */

#define IOAPIC_SELECT 0xfec00000ull
#define IOAPIC_WINDOW 0xfec00010ull
#define REDIRECTION   0x10
#define DELIVER_NMI   (4u << 8)

#define VECTOR_NMI 2
#define PIN        10 /* no device of the machine has it */

static u64 period_ns; /* of the counter */
static u64 armed_at = ~0ull;

static volatile u64 *hpet(u32 reg)
{
    return (volatile u64 *)(HPET_BASE + reg);
}

static void ioapic_write(u32 reg, u32 v)
{
    *(volatile u32 *)IOAPIC_SELECT = reg;
    *(volatile u32 *)IOAPIC_WINDOW = v;
}

static void on_nmi(void) {}

bool nmi_timer_init(void)
{
    u32 period = *(volatile u32 *)(HPET_BASE + HPET_PERIOD);

    if (period < FS_PER_NS || period > LONGEST_PERIOD)
        return false;
    period_ns = period / FS_PER_NS;
    trap_set_handler(VECTOR_NMI, on_nmi);
    ioapic_write(REDIRECTION + 2 * PIN + 1, 0); /* to this CPU */
    ioapic_write(REDIRECTION + 2 * PIN, DELIVER_NMI);
    *hpet(TIMER0_CONFIG) = TIMER_INT | PIN << TIMER_ROUTE;
    *hpet(HPET_CONFIG) = CONFIG_ENABLE;
    return true;
}

void nmi_timer_arm(u64 at)
{
    if (at == armed_at)
        return;
    armed_at = at;
    u64 now = clock_now(), wait = at > now ? at - now : 0;
    *hpet(TIMER0_COMPARE) = *hpet(HPET_COUNTER) + wait / period_ns + 1;
}
