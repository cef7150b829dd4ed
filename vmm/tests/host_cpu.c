/*
 * Stand-ins for what needs ring 0; see host_cpu.h. switch.c is replaced as a
 * whole: no FPU or debug register is touched, only what hv.h is told.
 */
#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/lapic.h"
#include "kernel/panic.h"
#include "vmm/switch.h"
#include "vmm/tests/host_cpu.h"

#define NEVER (~0ull)

/* --- Time ---------------------------------------------------------------------- */

u64 host_timer_at = NEVER, host_timer_armed, host_timer_taken;
volatile bool timer_has_fired;

void host_clock_advance(u64 ns)
{
    clock_test_ns += ns;
}

void timer_arm(u64 at)
{
    host_timer_at = at;
    host_timer_armed++;
    timer_has_fired = false;
}

void cpu_take_interrupts(void)
{
    if (clock_now() < host_timer_at)
        return;
    host_timer_at = NEVER;
    host_timer_taken++;
    timer_has_fired = true;
}

/* The host sleeps until its timer fires. Not armed, it would for ever. */
void cpu_idle(void)
{
    ASSERT(host_timer_at != NEVER);
    if (host_timer_at > clock_now())
        host_clock_advance(host_timer_at - clock_now());
    cpu_take_interrupts();
}

/* --- CPUID --------------------------------------------------------------------- */

static struct {
    u32 leaf, r[4];
} leaves[16];
static u32 leaf_count;

void host_cpuid_clear(void)
{
    leaf_count = 0;
}

void host_cpuid_set(u32 leaf, u32 a, u32 b, u32 c, u32 d)
{
    ASSERT(leaf_count < ARRAY_SIZE(leaves));
    leaves[leaf_count].leaf = leaf;
    u32 *r = leaves[leaf_count++].r;
    r[0] = a;
    r[1] = b;
    r[2] = c;
    r[3] = d;
}

void cpuid(u32 leaf, u32 sub, u32 out[4])
{
    (void)sub;
    for (u32 i = 0; i < 4; i++)
        out[i] = 0;
    for (u32 n = 0; n < leaf_count; n++)
        for (u32 i = 0; leaves[n].leaf == leaf && i < 4; i++)
            out[i] = leaves[n].r[i];
}

/* --- The vCPU switch ------------------------------------------------------------- */

void switch_load(struct vcpu *v)
{
    hv->load(v);
    v->loaded = true;
}

void switch_save(struct vcpu *v)
{
    v->loaded = false;
    hv->save(v);
}
