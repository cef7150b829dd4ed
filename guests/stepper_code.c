/*
 * The code that stepper runs: for each step four registers are loaded, one
 * instruction exits, and all registers are stored. An instruction may carry
 * prefixes that change nothing but its length (CPUID excepted, before which
 * this VMM expects none) and so tell a VMM that knows the length from one that
 * guesses it. Encodings: AMD64 Manual vol. 3, 1.2 and appendix A.
 */
#include "guests/stepper.h"

#define STEP_BYTES 160
#define ABSENT     0x80  /* a port that nobody reads or owns */
#define ABSENT16   0x590 /* the same, beyond an immediate's reach */
#define SCRATCH    0x3ff /* the UART's scratch register: a byte to keep */

struct step stepper_steps[STEPPER_MOST];
struct seen stepper_seen[STEPPER_MOST];
u64 stepper_standing[REGISTERS];

static u8 code[STEPPER_MOST * STEP_BYTES];
static u32 used;
static u8 scratch; /* what SCRATCH will hold when the code gets here */

static void byte(u8 b)
{
    code[used++] = b;
}

static void bytes(const void *from, u32 n)
{
    memcpy(code + used, from, n);
    used += n;
}

/* MOV r64, imm64 */
static void load(u8 reg, u64 value)
{
    byte(reg < 8 ? 0x48 : 0x49);
    byte(0xb8 + (reg & 7));
    bytes(&value, sizeof(value));
}

/* MOV [R9 + 8 * reg], reg */
static void store(u8 reg)
{
    byte(reg < 8 ? 0x49 : 0x4d);
    byte(0x89);
    byte(0x41 | (reg & 7) << 3);
    byte(8 * reg);
}

/* Segment prefixes mean nothing here; a REX prefix must come last. */
static void prefixes(struct rng *r)
{
    static const u8 segments[] = {0x26, 0x2e, 0x36, 0x3e};
    u32 n = rng_below(r, 3);

    for (u32 i = 0; i < n; i++)
        byte(segments[rng_below(r, sizeof(segments))]);
}

static u64 merged(u64 rax, u8 size, u32 value)
{
    u64 mask = (1ull << 8 * size) - 1;

    return size == 4 ? value : (rax & ~mask) | (value & mask);
}

/* --- One exiting instruction of each kind ------------------------------------------------ */

static void write_cpuid(struct rng *r, struct step *s)
{
    static const u32 leaves[] = {0, 1, 0x40000000, 0x80000000, 0x80000008};

    s->before[RAX] = leaves[rng_below(r, ARRAY_SIZE(leaves))];
    s->before[RCX] = 0;
    struct cpuid x = cpuid((u32)s->before[RAX], 0);
    s->after[RAX] = x.a;
    s->after[RBX] = x.b;
    s->after[RCX] = x.c;
    s->after[RDX] = x.d;
    bytes("\x0f\xa2", 2);
}

static void write_vmmcall(struct rng *r, struct step *s)
{
    bool intel = cpu_is_intel();

    prefixes(r);
    s->after[RAX] = ~0ull;
    bytes(intel ? "\x0f\x01\xc1" : "\x0f\x01\xd9", 3);
}

static void write_hlt(struct rng *r, struct step *s)
{
    (void)s;
    prefixes(r);
    byte(0xf4);
}

/* IN or OUT, the port in DX or as an immediate byte. */
static void write_port(struct rng *r, const struct step *s, u8 opcode)
{
    bool immediate = s->port < 0x100 && rng_below(r, 2);

    prefixes(r);
    if (s->size == 2)
        byte(0x66);
    byte(opcode + (s->size != 1) + (immediate ? 0 : 8));
    if (immediate)
        byte((u8)s->port);
}

static void write_in(struct rng *r, struct step *s)
{
    u32 value = ~0u;

    s->size = 1u << rng_below(r, 3);
    s->port = rng_below(r, 2) ? ABSENT : ABSENT16;
    if (s->size == 1 && rng_below(r, 2)) {
        s->port = SCRATCH;
        value = scratch;
    } else if (s->size == 4 && rng_below(r, 2)) {
        s->port = TESTPORT_BASE;
        value = testport_present() ? TESTPORT_ID : ~0u;
    }
    s->before[RDX] = (s->before[RDX] & ~0xffffull) | s->port;
    s->after[RAX] = merged(s->before[RAX], s->size, value);
    s->after[RDX] = s->before[RDX];
    write_port(r, s, 0xe4);
}

static void write_out(struct rng *r, struct step *s)
{
    s->size = 1u << rng_below(r, 3);
    s->port = rng_below(r, 2) ? ABSENT : ABSENT16;
    if (s->size == 1) {
        s->port = SCRATCH;
        scratch = (u8)s->before[RAX];
    }
    s->before[RDX] = (s->before[RDX] & ~0xffffull) | s->port;
    s->after[RDX] = s->before[RDX];
    write_port(r, s, 0xe6);
}

static void (*const writers[STEP_KINDS])(struct rng *, struct step *) = {
    write_cpuid, write_vmmcall, write_hlt, write_in, write_out};

/* --- A step, and all of them --------------------------------------------------------------- */

static enum step_kind choose(struct rng *r, u32 kinds)
{
    enum step_kind kind;

    do
        kind = rng_below(r, STEP_KINDS);
    while (!(kinds >> kind & 1));
    return kind;
}

/* The exiting instruction is written at a place of its own first, since the
 * loads before it depend on what it chooses. */
static void write_step(struct rng *r, struct step *s, u32 kinds)
{
    u8 text[16];
    u32 start = used;

    s->kind = choose(r, kinds);
    for (u32 i = 0; i < 4; i++)
        s->before[i] = s->after[i] = rng_next(r);
    writers[s->kind](r, s);
    s->length = (u8)(used - start);
    memcpy(text, code + start, s->length);
    used = start;
    for (u8 i = 0; i < 4; i++)
        load(i, s->before[i]);
    if (s->kind == STEP_HLT)
        byte(0xfb); /* STI: the tick comes after the HLT has begun */
    s->at = used;
    bytes(text, s->length);
    if (s->kind == STEP_HLT)
        byte(0xfa);
    for (u8 i = 0; i < REGISTERS; i++)
        if (i != RSP && i != R9)
            store(i);
    bytes("\x49\x81\xc1\x80\x00\x00\x00", 7); /* ADD R9, 128 */
}

void stepper_write(struct rng *r, u32 steps, u32 kinds)
{
    used = 0;
    outb(SCRATCH, scratch = (u8)rng_next(r));
    load(R9, (uintptr_t)stepper_seen);
    for (u8 i = RBP; i < REGISTERS; i++)
        if (i != R9)
            load(i, stepper_standing[i] = rng_next(r));
    for (u32 i = 0; i < steps; i++) {
        write_step(r, &stepper_steps[i], kinds);
        stepper_steps[i].at += (u32)(uintptr_t)code;
    }
    byte(0xc3);
}

void stepper_run(void)
{
    __asm__ volatile("push %%rbp; call *%0; pop %%rbp"
                     :
                     : "a"(code)
                     : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
                       "r14", "r15", "memory", "cc");
}
