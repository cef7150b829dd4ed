/*
 * The emulator against the host's own processor: seeded random instructions
 * with random operands are executed by both; registers, flags and memory must
 * be equal. Only 64-bit mode can be compared so (16- and 32-bit operands and
 * 32-bit addresses included); the rest is in test_emulate.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "vmm/tests/check.h"
#include "vmm/tests/emu_guest.h"
#include "vmm/tests/native.h"

#define STATUS_AND_DIRECTION 0xcd5ull /* CF PF AF ZF SF DF OF */
#define FLAG_AF              0x10ull
#define MARGIN               (2 * PAGE_SIZE) /* of the window, for long strings */

static struct emu_guest guest;
static u8 *window; /* what the processor works on */

static u64 rng;

static u64 random_u64(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng * 0x2545f4914f6cdd1dull;
}

static u32 below(u32 n)
{
    return (u32)(random_u64() >> 33) % n;
}

/* Numbers at which flags change, and any others. */
static u64 operand_value(void)
{
    static const u64 edges[] = {0,
                                1,
                                0x7f,
                                0x80,
                                0xff,
                                0x7fff,
                                0x8000,
                                0xffff,
                                0x7fffffff,
                                0x80000000,
                                0xffffffff,
                                0x7fffffffffffffff,
                                0x8000000000000000,
                                ~0ull};

    return below(3) ? random_u64() : edges[below(ARRAY_SIZE(edges))] + below(3) - 1;
}

/* --- Instructions --------------------------------------------------------------- */

struct template
{
    u8 op[2];
    s64 ext; /* ModRM.reg, or -1: any */
    u8 imm;  /* bytes, 4: as the operand size says */
    bool byte, lock, string;
};

static const struct template templates[] = {
    {{0x88}, -1, 0, true, false, false},       {{0x89}, -1, 0, false, false, false},
    {{0x8a}, -1, 0, true, false, false},       {{0x8b}, -1, 0, false, false, false},
    {{0xc6}, 0, 1, true, false, false},        {{0xc7}, 0, 4, false, false, false},
    {{0x0f, 0xb6}, -1, 0, true, false, false}, {{0x0f, 0xb7}, -1, 0, false, false, false},
    {{0x0f, 0xbe}, -1, 0, true, false, false}, {{0x0f, 0xbf}, -1, 0, false, false, false},
    {{0x63}, -1, 0, false, false, false},      {{0x84}, -1, 0, true, false, false},
    {{0x85}, -1, 0, false, false, false},      {{0x86}, -1, 0, true, true, false},
    {{0x87}, -1, 0, false, true, false},       {{0xf6}, 0, 1, true, false, false},
    {{0xf7}, 0, 4, false, false, false},       {{0xf6}, 2, 0, true, true, false},
    {{0xf7}, 2, 0, false, true, false},        {{0xf6}, 3, 0, true, true, false},
    {{0xf7}, 3, 0, false, true, false},        {{0xfe}, 0, 0, true, true, false},
    {{0xff}, 0, 0, false, true, false},        {{0xfe}, 1, 0, true, true, false},
    {{0xff}, 1, 0, false, true, false},        {{0xff}, 6, 0, false, false, false},
    {{0x8f}, 0, 0, false, false, false},       {{0xa4}, 0, 0, true, false, true},
    {{0xa5}, 0, 0, false, false, true},        {{0xa6}, 0, 0, true, false, true},
    {{0xa7}, 0, 0, false, false, true},        {{0xaa}, 0, 0, true, false, true},
    {{0xab}, 0, 0, false, false, true},        {{0xac}, 0, 0, true, false, true},
    {{0xad}, 0, 0, false, false, true},        {{0xae}, 0, 0, true, false, true},
    {{0xaf}, 0, 0, false, false, true},
};

/* One of the templates, or of the eight arithmetic instructions' forms. */
static struct template choose_template(void)
{
    u8 op = (u8)(8 * below(8)), form = (u8)below(4);
    bool lock = form < 2 && op != 0x38;

    switch (below(4)) {
    case 0:
        return (struct template){{(u8)(op + form)}, -1, 0, !(form & 1), lock, false};
    case 1:
        return (struct template){{0x80}, op / 8, 1, true, op != 0x38, false};
    case 2:
        form = (u8)below(2);
        return (struct template){{form ? 0x83 : 0x81}, op / 8, form ? 1 : 4, false,
                                 op != 0x38,           false};
    default:
        return templates[below(ARRAY_SIZE(templates))];
    }
}

struct code {
    u8 bytes[16];
    u32 n;
    u32 disp; /* where a displacement of 4 bytes is, or 0 */
    struct insn insn;
};

static void put(struct code *c, u64 byte)
{
    c->bytes[c->n++] = (u8)byte;
}

static void put_prefixes(struct code *c, const struct template *t, bool memory)
{
    static const u8 segments[] = {0x26, 0x2e, 0x36, 0x3e};

    if (!below(4))
        put(c, 0x66);
    if (!below(4))
        put(c, 0x67);
    if (!below(8))
        put(c, segments[below(4)]);
    if (t->lock && memory && !below(4))
        put(c, 0xf0);
    if (t->string && below(4))
        put(c, 0xf2 + below(2));
    if (below(5) > 1)
        put(c, 0x40 + below(16));
}

/* ModRM, SIB and displacement of a register or any memory operand. */
static void put_modrm(struct code *c, const struct template *t, bool memory)
{
    u8 mod = memory ? (u8)below(3) : 3, rm = (u8)below(8);
    u8 reg = t->ext < 0 ? (u8)below(8) : (u8)t->ext;
    u32 disp = mod == 1 ? 1 : mod == 2 ? 4 : 0;

    put(c, mod << 6 | reg << 3 | rm);
    if (memory && rm == 4) {
        u8 sib = (u8)random_u64();
        put(c, sib);
        if (mod == 0 && (sib & 7) == 5)
            disp = 4;
    } else if (mod == 0 && rm == 5) {
        disp = 4;
    }
    c->disp = disp == 4 ? c->n : 0;
    for (u32 i = 0; i < disp; i++)
        put(c, random_u64() >> 8);
}

static bool has_prefix_66(const struct code *c)
{
    return memchr(c->bytes, 0x66, c->n) == c->bytes;
}

/* An instruction that is valid; its length is not yet known to be right. */
static void make_code(struct code *c)
{
    struct template t = choose_template();
    bool memory = below(7) != 0, word;

    memset(c, 0, sizeof(*c));
    put_prefixes(c, &t, memory);
    word = has_prefix_66(c) && !(c->bytes[c->n - 1] >= 0x48 && c->bytes[c->n - 1] <= 0x4f);
    put(c, t.op[0]);
    if (t.op[0] == 0x0f)
        put(c, t.op[1]);
    if (!t.string)
        put_modrm(c, &t, memory);
    for (u32 i = 0; i < (t.imm == 4 && word ? 2u : t.imm); i++)
        put(c, random_u64() >> 16);
}

/* --- Registers ------------------------------------------------------------------ */

/* An address in the window, often just before the end of a page. */
static u64 target_address(void)
{
    u64 off = MARGIN + below(GUEST_SIZE - 2 * MARGIN);

    if (!below(3))
        off = (off | PAGE_MASK) - below(9);
    return guest.base + off;
}

/* The address as a register of 4 or 8 bytes holds it. */
static u64 address_value(u64 address, u8 size)
{
    return size == 4 ? (address & 0xffffffff) | (random_u64() & ~0xffffffffull) : address;
}

static void set_displacement(struct code *c, u64 value)
{
    u32 disp = (u32)value;

    memcpy(c->bytes + c->disp, &disp, 4);
    c->insn.disp = (s64)(int32_t)disp;
}

/* PUSH and POP relative to rSP: it has to stay in the window itself. */
static bool aim_stack(struct code *c, struct native_state *s)
{
    if (c->insn.index != INSN_NO_REG || c->insn.addrsize != 8)
        return false;
    if (c->disp)
        set_displacement(c, target_address() - s->gpr[GPR_RSP]);
    return true;
}

/* Choose registers or a displacement so that the operand lies in the window;
 * false if this encoding has no solution. */
static bool aim(struct code *c, struct native_state *s)
{
    struct insn *in = &c->insn;
    u64 target = target_address(), rest;

    if (in->index != INSN_NO_REG && (in->index == in->base || in->index == GPR_RSP))
        return false;
    if (in->base == GPR_RSP && (in->op == INSN_PUSH || in->op == INSN_POP))
        return aim_stack(c, s);
    rest = (u64)in->disp;
    if (in->index != INSN_NO_REG)
        rest += s->gpr[in->index] * in->scale;
    if (in->base == INSN_RIP) {
        set_displacement(c, target - (native_code_address() + in->len));
    } else if (in->base != INSN_NO_REG) {
        s->gpr[in->base] = address_value(target - rest, in->addrsize);
    } else if (in->index == INSN_NO_REG) {
        set_displacement(c, target);
    } else {
        s->gpr[in->index] &= 0xfff;
        set_displacement(c, target - s->gpr[in->index] * in->scale);
    }
    return true;
}

static void aim_strings(const struct insn *in, struct native_state *s)
{
    u32 most = below(8) ? 20 : 600; /* above EMU_CHUNK too */

    s->gpr[GPR_RSI] = address_value(target_address(), in->addrsize);
    s->gpr[GPR_RDI] = address_value(target_address(), in->addrsize);
    s->gpr[GPR_RCX] = address_value(below(most), in->addrsize);
    if (below(2))
        s->gpr[GPR_RAX] = 0x0101010101010101ull * below(2);
}

static bool is_string(const struct insn *in)
{
    return in->op >= INSN_MOVS && in->op <= INSN_SCAS;
}

static bool make_state(struct code *c, struct native_state *s)
{
    struct insn *in = &c->insn;

    for (u32 i = 0; i < 16; i++)
        s->gpr[i] = operand_value();
    s->rflags = 0x202 | (random_u64() & STATUS_AND_DIRECTION);
    s->gpr[GPR_RSP] = target_address();
    if (is_string(in))
        aim_strings(in, s);
    else if ((in->dst == PLACE_MEM || in->src == PLACE_MEM) && !aim(c, s))
        return false;
    return true;
}

/* Sometimes only 0 and 1, so that comparisons find equal runs. */
static void fill_window(void)
{
    bool few = below(2);

    for (u32 i = 0; i < GUEST_SIZE; i += 8) {
        u64 value = random_u64();
        if (few)
            value &= below(8) ? 0 : 0x0101010101010101ull;
        memcpy(guest.bytes + i, &value, 8);
    }
}

/* --- Comparing ------------------------------------------------------------------ */

static void describe(const struct code *c, u64 number)
{
    char text[64];
    u32 used = 0;

    for (u32 i = 0; i < c->n; i++)
        used += (u32)snprintf(text + used, sizeof(text) - used, "%02x ", c->bytes[i]);
    check_about("case %llu: %s%s", (unsigned long long)number, text, insn_name(c->insn.op));
}

static int emulate(const struct code *c, const struct native_state *s)
{
    struct emu_fault fault;
    int err;

    memcpy(guest.gpr, s->gpr, sizeof(guest.gpr));
    guest.rflags = s->rflags;
    guest.ctx.rip = native_code_address();
    do
        err = emulate_insn(&guest.ctx, &c->insn, &fault);
    while (err == -EBUSY);
    return err;
}

/* AF is undefined after logic. */
static u64 defined_flags(enum insn_op op)
{
    bool logic = op == INSN_AND || op == INSN_OR || op == INSN_XOR || op == INSN_TEST;

    return logic ? STATUS_AND_DIRECTION & ~FLAG_AF : STATUS_AND_DIRECTION;
}

static void compare(const struct code *c, struct native_state *s, u64 number)
{
    u64 flags = defined_flags(c->insn.op);

    describe(c, number);
    memcpy(window, guest.bytes, GUEST_SIZE);
    if (!CHECK_EQ(emulate(c, s), 0))
        return;
    native_run(c->bytes, c->n, s);
    for (u32 i = 0; i < 16; i++)
        CHECK_EQ(guest.gpr[i], s->gpr[i]);
    CHECK_EQ(guest.rflags & flags, s->rflags & flags);
    CHECK_MEM(guest.bytes, window, GUEST_SIZE);
    CHECK(!guest.crossed);
}

static void run_case(u64 number)
{
    struct native_state s;
    struct code c;

    if (number % 64 == 0)
        fill_window();
    do {
        make_code(&c);
        describe(&c, number);
        CHECK_EQ(insn_decode(c.bytes, c.n, 8, &c.insn), 0);
        CHECK_EQ(c.insn.len, c.n);
    } while (!make_state(&c, &s));
    compare(&c, &s, number);
}

int main(int argc, char **argv)
{
    u64 count = argc > 1 ? strtoull(argv[1], NULL, 0) : 40000;
    const char *why = native_init();

    rng = argc > 2 ? strtoull(argv[2], NULL, 0) : 0x4e657374;
    window = why ? NULL : native_alloc(GUEST_SIZE);
    if (!window) {
        printf("emulate_native: skipped: %s\n", why ? why : "no memory below 2 GiB");
        return 0;
    }
    emu_guest_init(&guest, 8, (uintptr_t)window);
    for (u64 i = 0; i < count; i++)
        run_case(i);
    return check_done("emulate_native");
}
