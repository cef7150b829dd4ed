/*
 * The test port: sixteen 32-bit ports, ten commands. A guest's own self-check
 * counts only with its seal, which depends on the run's nonce. Nothing a guest
 * writes here can do more than end that guest. Source: handouts/formats.md 5.
 */
#include "vmm/dev/testport.h"

#include "kernel/panic.h"
#include "kernel/trace.h"
#include "vmm/mix.h"

#define ALL_ONES    (~0ull)
#define RESULT_LOW  (TESTPORT_BASE + 0x04)
#define RESULT_HIGH (TESTPORT_BASE + 0x08)
#define FIRST_ARG   (TESTPORT_BASE + 0x04)
#define NAME_MAX    8

struct name {
    char text[NAME_MAX + 1];
};

/* A name as text: up to its first zero byte; what is not ASCII becomes '?'. */
static struct name unpack_name(u64 packed)
{
    struct name n = {{0}};

    for (u32 i = 0; i < NAME_MAX && packed >> 8 * i & 0xff; i++) {
        char c = (char)(packed >> 8 * i);
        n.text[i] = c >= 0x20 && c < 0x7f ? c : '?';
    }
    return n;
}

/* --- Commands ------------------------------------------------------------------- */

/* Not inlined: the other commands need not save its registers. */
static __attribute__((noinline)) u64 self_check(struct testport *t)
{
    u64 value = t->arg[1], expected = t->arg[2];
    bool sealed = t->arg[3] == mix(t->nonce ^ t->arg[0], value, expected);
    bool passed = sealed && value == expected;

    TRACE_TEXT(check, t->vm, 0, unpack_name(t->arg[0]).text, .value = value, .expected = expected,
               .sealed = sealed);
    if (passed)
        t->passed++;
    else
        t->failed++;
    return passed;
}

/* Called through its address, so that no compiler copies or inlines it: a
 * breakpoint here sees every checkpoint. */
__attribute__((noinline)) void testport_checkpoint(u16 vm, const char *name, u64 value)
{
    TRACE_TEXT(checkpoint, vm, 0, name, .value = value);
    __asm__ volatile("" ::: "memory");
}

static __attribute__((noinline)) u64 checkpoint(struct testport *t)
{
    testport_checkpoint(t->vm, unpack_name(t->arg[0]).text, t->arg[1]);
    return 0;
}

/* The result of a command; EXIT acts later, when it is recorded. */
static u64 result_of(struct testport *t, u32 command)
{
    switch (command) {
    case TESTPORT_NONCE:
        return t->nonce;
    case TESTPORT_SEED:
        return mix(t->seed, t->vm, t->generation);
    case TESTPORT_CHECK:
        return self_check(t);
    case TESTPORT_CHECKPOINT:
        return checkpoint(t);
    case TESTPORT_WALK:
        return t->ops->walk(t->opaque, t->arg[0], t->arg[1]);
    case TESTPORT_VM:
        return t->vm;
    case TESTPORT_GENERATION:
        return t->generation;
    case TESTPORT_HARVEST:
        return t->ops->harvest(t->opaque, t->arg[0]);
    case TESTPORT_EXIT:
        return 0;
    default:
        return ALL_ONES;
    }
}

/* The command has that result; its arguments are used up. */
static inline void finish(struct testport *t, u32 command, u64 result)
{
    t->result = result;
    TRACE(test_port, t->vm, 0, .command = command, .a0 = t->arg[0], .a1 = t->arg[1],
          .result = result);
    if (command < TESTPORT_NONCE || command > TESTPORT_HARVEST)
        return; /* unknown: the arguments stay, too */
    for (u32 i = 0; i < ARRAY_SIZE(t->arg); i++)
        t->arg[i] = 0;
}

static __attribute__((noinline)) void carry_out(struct testport *t, u32 command)
{
    u64 a0 = t->arg[0];

    finish(t, command, result_of(t, command));
    if (command == TESTPORT_EXIT)
        t->ops->exit(t->opaque, a0);
}

/* Apart from the others: many a yield ends a turn, and calls nothing on its way. */
static void yield(struct testport *t)
{
    finish(t, TESTPORT_YIELD, 0);
    t->ops->yield(t->opaque);
}

/* --- Ports ------------------------------------------------------------------------ */

static u32 testport_in(void *device, u16 port, u8 size)
{
    struct testport *t = device;

    t->accesses++;
    if (size != 4)
        return ~0u;
    switch (port) {
    case TESTPORT_BASE:
        return TESTPORT_ID;
    case RESULT_LOW:
        return (u32)t->result;
    case RESULT_HIGH:
        return (u32)(t->result >> 32);
    default:
        return ~0u;
    }
}

static void testport_out(void *device, u16 port, u8 size, u32 value)
{
    struct testport *t = device;
    u32 word = (port - FIRST_ARG) / 4u;

    t->accesses++;
    if (size != 4 || port % 4)
        return;
    if (port == TESTPORT_BASE && value == TESTPORT_YIELD)
        yield(t);
    else if (port == TESTPORT_BASE)
        carry_out(t, value);
    else if (word >= 2 * ARRAY_SIZE(t->arg))
        return;
    else if (word % 2)
        t->arg[word / 2] = (u32)t->arg[word / 2] | (u64)value << 32;
    else
        t->arg[word / 2] = value; /* the high half is cleared */
}

void testport_init(struct testport *t, u16 vm, u32 generation, u64 nonce, u64 seed,
                   const struct testport_ops *ops, void *opaque)
{
    *t = (struct testport){.vm = vm,
                           .generation = generation,
                           .nonce = nonce,
                           .seed = seed,
                           .ops = ops,
                           .opaque = opaque};
}

void testport_attach(struct testport *t, struct bus *bus)
{
    const struct bus_device d = {
        "testport", TESTPORT_BASE, TESTPORT_LAST, 4, testport_in, testport_out, t};

    ASSERT(bus_add(bus, &d) == 0);
}
