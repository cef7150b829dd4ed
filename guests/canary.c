/*
 * canary: fills every register that a guest can see with seeded values, lets an
 * exit happen, and looks whether each is as it was. Several of these side by
 * side show whether one VM's registers reach another. What it does to exit:
 * YIELD mostly, so that another VM runs in between; OUT, CPUID, HLT, and a spin
 * long enough to lose the CPU.
 * Arguments: rounds, spin (steps of a spin).
 */
#include "guests/canary.h"

#define FLAGS_FREE  0x240cd5ull /* CF PF AF ZF SF DF OF AC ID */
#define FLAGS_FIXED 0x2ull
#define HALT_HZ     1000
#define SPIN_FLAGS  0x8d5ull /* what arithmetic changes */

struct canary_regs canary_want, canary_seen;
u64 canary_spins;

static u8 halt_stack[4096] __attribute__((aligned(16)));
static u64 ticks;
static const char *told[32]; /* of which names a difference has been printed */
static const char *const gpr_names[GPR_COUNT] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                                 "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                                 "r12", "r13", "r14", "r15"};

struct action {
    const char *name;
    const char *code;
    u32 weight;   /* of 64 */
    u32 gpr_lost; /* bit n: register n is the instruction's result */
    u64 flags_lost;
};

static const struct action actions[] = {
    {"yield", canary_yield, 46, 0, 0},
    {"out", canary_out, 8, 0, 0},
    {"cpuid", canary_cpuid, 8, 0xf, 0},
    {"spin", canary_spin, 1, 0, SPIN_FLAGS & ~1ull /* DEC leaves CF */},
    {"halt", canary_halt, 1, 0, 0},
};

static struct {
    u32 gpr, fx, count[ARRAY_SIZE(actions)];
    struct canary_system system;
} result;

static void on_tick(struct trap_frame *frame)
{
    (void)frame;
    ticks++;
    pic_eoi(PIT_LINE);
}

static bool tell(const char *what)
{
    u32 i = 0;
    while (i < ARRAY_SIZE(told) && told[i] && told[i] != what)
        i++;
    if (i == ARRAY_SIZE(told) || told[i])
        return false;
    told[i] = what;
    return true;
}

u32 canary_differs(const char *what, u32 index, u64 seen, u64 want)
{
    if (seen == want)
        return 0;
    if (!tell(what))
        return 1;
    print("canary: %s", what);
    if (index != NO_INDEX)
        print(" %u", index);
    print(" is 0x%X, was 0x%X\n", seen, want);
    return 1;
}

static u32 choose_action(struct rng *r)
{
    u32 n = rng_below(r, 64), i = 0;
    while (n >= actions[i].weight)
        n -= actions[i++].weight;
    return i;
}

static void choose_registers(struct rng *r, const struct action *a, u64 spins)
{
    for (int i = 0; i < GPR_COUNT; i++)
        canary_want.gpr[i] = rng_next(r);
    canary_want.flags = (rng_next(r) & FLAGS_FREE) | FLAGS_FIXED;
    canary_spins = spins;
    if (a->code == canary_yield) {
        canary_want.gpr[GPR_RAX] = TESTPORT_YIELD;
        canary_want.gpr[GPR_RDX] = TESTPORT_BASE;
    } else if (a->code == canary_cpuid) {
        canary_want.gpr[GPR_RAX] = canary_want.gpr[GPR_RCX] = 0;
    } else if (a->code == canary_halt) {
        canary_want.gpr[GPR_RSP] = (uintptr_t)halt_stack + sizeof(halt_stack);
    }
}

static u32 compare_registers(const struct action *a)
{
    u32 n = 0;
    for (u32 i = 0; i < GPR_COUNT; i++)
        if (!(a->gpr_lost >> i & 1))
            n += canary_differs(gpr_names[i], NO_INDEX, canary_seen.gpr[i], canary_want.gpr[i]);
    return n + canary_differs("flags", NO_INDEX, canary_seen.flags & ~a->flags_lost,
                              canary_want.flags & ~a->flags_lost);
}

/* GDTR, IDTR, TR, LDTR and the control registers stay as they are all the time. */
static u64 standing_state(void)
{
    struct table_register gdt = {0, 0}, idt = {0, 0};
    u16 tr, ldt;
    __asm__ volatile("sgdt %0" : "=m"(gdt));
    __asm__ volatile("sidt %0" : "=m"(idt));
    __asm__ volatile("str %0" : "=r"(tr));
    __asm__ volatile("sldt %0" : "=r"(ldt));
    u64 sum = mix(gdt.base, gdt.limit, idt.base) ^ mix(idt.limit, tr, ldt);
    return sum ^ mix(read_cr0(), read_cr3(), read_cr4()) ^ rdmsr(MSR_EFER);
}

static void one_round(struct rng *r, u64 spins, u64 standing)
{
    u32 n = choose_action(r);
    const struct action *a = &actions[n];
    result.count[n]++;
    choose_registers(r, a, spins);
    canary_fx_choose(r);
    canary_system_load(r);
    canary_switch(a->code);
    result.gpr += compare_registers(a);
    result.fx += canary_fx_compare();
    canary_system_compare(&result.system);
    result.system.other += canary_differs("standing state", NO_INDEX, standing_state(), standing);
}

void guest_main(const struct multiboot_info *info)
{
    (void)info;
    args_allow("rounds spin");
    u64 rounds = args_number("rounds", 10000, 1, 1ull << 40);
    u64 spins = args_number("spin", 100000, 1, 1ull << 40);
    struct rng rng = {guest_seed()};

    canary_fpu_on();
    trap_set(TRAP_IRQ_BASE + PIT_LINE, on_tick);
    pit_start(HALT_HZ);
    pic_unmask(PIT_LINE);
    u64 standing = standing_state();
    for (u64 i = 0; i < rounds; i++)
        one_round(&rng, spins, standing);

    for (unsigned i = 0; i < ARRAY_SIZE(actions); i++)
        checkpoint(actions[i].name, result.count[i]);
    check("gpr", result.gpr, 0);
    check("fpu", result.fx, 0);
    check("cr2", result.system.cr2, 0);
    check("dr", result.system.dr, 0);
    u32 system = result.system.cr2 + result.system.dr + result.system.other;
    check("system", system, 0);
    check("canary", result.gpr + result.fx + system, 0);
}
