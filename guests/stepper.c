/*
 * stepper: writes a seeded sequence of instructions that exit into its own
 * memory (stepper_code.c), runs it, and compares every register after every
 * step. A VMM that goes on at the wrong byte, forgets a register or changes
 * one that is not the instruction's result is told where: the first step that
 * differs, of each kind, is printed and checked by the kind's name.
 * Before it runs, it reports where the code's exits are: checkpoint `code`
 * carries the address of the table of steps.
 * Arguments: steps, kind (all, cpuid, vmmcall, hlt, in, out).
 */
#include "guests/stepper.h"

#define TICK_HZ 1000

static const char *const kind_names[STEP_KINDS] = {"cpuid", "vmmcall", "hlt", "in", "out"};
static const char *const register_names[REGISTERS] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP",
                                                      "RSI", "RDI", "R8",  "R9",  "R10", "R11",
                                                      "R12", "R13", "R14", "R15"};
static u32 wrong[STEP_KINDS], made[STEP_KINDS];

static void on_tick(struct trap_frame *frame)
{
    (void)frame;
    pic_eoi(PIT_LINE);
}

static u32 chosen_kinds(void)
{
    char word[10];
    const char *kind = args_word("kind", "all", word, sizeof(word));
    u32 kinds = 0;

    for (u32 i = 0; i < STEP_KINDS; i++)
        if (text_equal(kind, "all") || text_equal(kind, kind_names[i]))
            kinds |= 1u << i;
    if (kinds)
        return testport_present() ? kinds : kinds & ~(1u << STEP_VMMCALL);
    print("argument kind: all, cpuid, vmmcall, hlt, in or out\n");
    guest_exit(2);
}

static bool differs(const struct step *s, u32 n, u32 reg, u64 want)
{
    u64 seen = stepper_seen[n].gpr[reg];

    if (seen == want)
        return false;
    if (!wrong[s->kind])
        print("stepper: step %u, %s at 0x%x (%u bytes): %s is 0x%X, must be 0x%X\n", n,
              kind_names[s->kind], s->at, s->length, register_names[reg], seen, want);
    return true;
}

static void compare(u32 n)
{
    const struct step *s = &stepper_steps[n];
    bool bad = false;

    for (u32 reg = 0; reg < REGISTERS && !bad; reg++)
        if (reg != RSP && reg != R9)
            bad = differs(s, n, reg, reg < 4 ? s->after[reg] : stepper_standing[reg]);
    made[s->kind]++;
    wrong[s->kind] += bad;
}

/* What the OUTs wrote, in order, as one number. */
static u64 written(u32 steps)
{
    u64 sum = 0;

    for (u32 i = 0; i < steps; i++) {
        const struct step *s = &stepper_steps[i];
        if (s->kind == STEP_OUT)
            sum = mix(sum, s->port, s->before[RAX] & ((1ull << 8 * s->size) - 1));
    }
    return sum;
}

void guest_main(const struct multiboot_info *info)
{
    struct rng rng = {guest_seed()};

    (void)info;
    args_allow("steps kind");
    u32 steps = (u32)args_number("steps", 300, 1, STEPPER_MOST);
    stepper_write(&rng, steps, chosen_kinds());
    checkpoint("code", (uintptr_t)stepper_steps);
    trap_set(TRAP_IRQ_BASE + PIT_LINE, on_tick);
    pit_start(TICK_HZ);
    pic_unmask(PIT_LINE);
    stepper_run();
    for (u32 i = 0; i < steps; i++)
        compare(i);
    for (u32 i = 0; i < STEP_KINDS; i++)
        if (made[i]) {
            checkpoint(kind_names[i], made[i]);
            check(kind_names[i], wrong[i], 0);
        }
    checkpoint("written", written(steps));
}
