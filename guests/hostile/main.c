/*
 * hostile: a guest that does what no guest should. From its seed it chooses
 * actions of weighted classes (see guests/README.md), runs each under recovery,
 * and goes on; sometimes it dies on purpose. Before an action it writes to port
 * HOSTILE_MARK + class, so that the emulator's exit log alone tells what was done.
 * Arguments: actions (in this life), classes (a mask), deaths (per mille),
 * announce (actions between two checkpoints).
 */
#include "guests/hostile/hostile.h"

#define CLASS_DEATH   15
#define COUNT_ADDRESS 0x7000ull /* gPA of the count of actions, for whoever reads RAM */

static const struct class
{
    const char *name;
    void (*run)(void);
    u32 weight;
    u32 disturbs;
} classes[] = {
    {"port", action_port, 12, DISTURBS_NOTHING},
    {"string", action_string, 14, DISTURBS_NOTHING},
    {"msr", action_msr, 12, DISTURBS_NOTHING},
    {"cpuid", action_cpuid, 10, DISTURBS_NOTHING},
    {"control", action_control, 12, DISTURBS_CONTROL},
    {"debug", action_debug, 4, DISTURBS_DEBUG},
    {"descript", action_descriptor, 10, DISTURBS_NOTHING},
    {"outside", action_outside, 12, DISTURBS_NOTHING},
    {"testport", action_testport, 6, DISTURBS_NOTHING},
    {"code", action_code, 10, DISTURBS_CONTROL | DISTURBS_DEBUG},
    {"privileg", action_privileged, 10, DISTURBS_CONTROL | DISTURBS_DEBUG},
    {"tables", action_tables, 10, DISTURBS_CONTROL}, /* only if asked for */
};

struct hostile hostile;

u64 random_any(void)
{
    u64 v = random_u64();
    return v >> random_below(64);
}

static u32 choose(u32 mask)
{
    u32 total = 0, i = 0;
    for (i = 0; i < ARRAY_SIZE(classes); i++)
        total += mask >> i & 1 ? classes[i].weight : 0;
    u32 n = random_below(total);
    for (i = 0;; i++) {
        u32 weight = mask >> i & 1 ? classes[i].weight : 0;
        if (n < weight)
            return i;
        n -= weight;
    }
}

static void act(u32 mask)
{
    u32 i = choose(mask);
    outb((u16)(HOSTILE_MARK + i), (u8)i);
    hostile_try(classes[i].run);
    recover_restore(classes[i].disturbs);
}

static volatile u64 *count_word(void)
{
    return (volatile u64 *)COUNT_ADDRESS;
}

static void die(void)
{
    checkpoint("actions", *count_word());
    outb(HOSTILE_MARK + CLASS_DEATH, 0);
    action_die();
}

void guest_main(const struct multiboot_info *info)
{
    (void)info;
    args_allow("actions classes deaths announce");
    u64 actions = args_number("actions", 10000, 1, 1ull << 40);
    u32 mask = (u32)args_number("classes", 0x7ff, 1, 0xfff);
    u32 deaths = (u32)args_number("deaths", 0, 0, 1000);
    u32 announce = (u32)args_number("announce", 1000, 1, 1u << 30);

    hostile.rng = (struct rng){guest_seed()};
    hostile.memory_end = guest_memory_end();
    hostile.may_die = deaths != 0;
    recover_init();
    tables_init();
    *count_word() = 0;
    for (u64 n = 1; n <= actions; n++) {
        if (deaths && rng_permille(&hostile.rng, deaths))
            die();
        act(mask);
        *count_word() = n;
        if (mod_u64(n, announce) == 0)
            checkpoint("actions", n);
    }
    recover_restore(DISTURBS_CONTROL | DISTURBS_DEBUG);
    checkpoint("faults", hostile.faults);
    checkpoint("hangs", hostile.hangs);
    check("actions", *count_word(), actions);
}
