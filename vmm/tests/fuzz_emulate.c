/*
 * The emulator on hostile guests: any code, registers, segments, absent and
 * read-only pages. Whatever comes, an access stays within a page, a call does
 * a bounded amount of work, and what faulted has changed nothing.
 *
 * Input: mode, absent pages, read-only pages, segments, 16 bytes that choose
 * the registers, then code.
 */
#include <string.h>
#include "vmm/tests/emu_guest.h"
#include "vmm/tests/fuzz.h"

#define BASE   0x7ffff000ull
#define HEADER 20

const char *const fuzz_name = "emulate";

static struct emu_guest before, after;

/* A register: an address in the window, or a number at some edge. */
static u64 register_value(u8 choice)
{
    static const u64 edges[] = {0,    1, 0xffff, 0x10000, 0x7fffffff, 0xffffffff, 0x7fffffffffffull,
                                ~0ull};

    if (choice >= 0xf0)
        return edges[choice & 7];
    return BASE + (u64)choice * (GUEST_SIZE / 0xf0) + (choice & 7);
}

static void make_guest(struct emu_guest *g, const u8 *header)
{
    static const u8 modes[] = {2, 4, 8};

    emu_guest_init(g, modes[header[0] % 3], BASE);
    for (u32 i = 0; i < GUEST_PAGES; i++) {
        g->absent[i] = header[1] >> i & 1;
        g->read_only[i] = header[2] >> i & 1;
    }
    for (u32 i = 0; i < ARRAY_SIZE(g->seg); i++) {
        g->seg[i].attr ^= (u16)(header[3] >> (i % 4)) & 0xf;
        g->seg[i].base = header[3] & 0x80 ? BASE + i : g->ctx.mode == 2 ? BASE : 0;
    }
    for (u32 i = 0; i < GPR_COUNT; i++)
        g->gpr[i] = register_value(header[4 + i]);
    g->rflags |= (u64)(header[0] >> 2 & 1) << 10;
    g->ctx.protected_mode = header[0] & 8;
    for (u32 i = 0; i < GUEST_SIZE; i++)
        g->bytes[i] = (u8)(i * 3);
}

static void check_unchanged(void)
{
    FUZZ_CHECK(memcmp(before.gpr, after.gpr, sizeof(before.gpr)) == 0);
    FUZZ_CHECK(before.rflags == after.rflags);
    FUZZ_CHECK(memcmp(before.bytes, after.bytes, GUEST_SIZE) == 0);
    FUZZ_CHECK(before.ports == after.ports);
}

static u64 count_of(const struct emu_guest *g, const struct insn *in)
{
    u64 rcx = g->gpr[GPR_RCX];

    return in->addrsize == 8 ? rcx : in->addrsize == 4 ? (u32)rcx : (u16)rcx;
}

static void check_result(int err, const struct insn *in, const struct emu_fault *fault)
{
    FUZZ_CHECK(err == 0 || err == -EBUSY || err == -EFAULT || err == -ENOTSUP);
    if (err == -ENOTSUP || (err == -EFAULT && in->rep == REP_NONE))
        check_unchanged();
    if (err == -EFAULT) {
        FUZZ_CHECK(fault->vector >= 12 && fault->vector <= 14);
        FUZZ_CHECK(fault->vector == 14 || (fault->error == 0 && fault->has_error));
    }
    if (err == -EBUSY)
        FUZZ_CHECK(count_of(&before, in) - count_of(&after, in) == EMU_CHUNK);
    FUZZ_CHECK(!after.crossed);
    FUZZ_CHECK(after.reads <= 4 * EMU_CHUNK && after.writes <= 4 * EMU_CHUNK);
    FUZZ_CHECK(after.ports <= EMU_CHUNK);
    for (u32 i = 0; i < GUEST_PAGES; i++)
        if (after.read_only[i] || after.absent[i])
            FUZZ_CHECK(
                memcmp(before.bytes + i * PAGE_SIZE, after.bytes + i * PAGE_SIZE, PAGE_SIZE) == 0);
}

int fuzz_one(const u8 *data, size_t size)
{
    struct emu_fault fault = {0};
    struct insn in;

    if (size < HEADER)
        return 0;
    make_guest(&after, data);
    if (insn_decode(data + HEADER, (u32)(size - HEADER), after.ctx.mode, &in) != 0)
        return 0;
    before = after;
    check_result(emulate_insn(&after.ctx, &in, &fault), &in, &fault);
    return 0;
}

size_t fuzz_seed(u32 i, u8 *to)
{
    static const u8 codes[][8] = {
        {0xf3, 0xa4},             /* rep movsb */
        {0xf3, 0xa5},             /* rep movsd */
        {0xf3, 0xab},             /* rep stosd */
        {0xf2, 0xae},             /* repne scasb */
        {0xf3, 0xa7},             /* repe cmpsd */
        {0xf3, 0x6d},             /* rep insd */
        {0xf3, 0x6e},             /* rep outsb */
        {0x48, 0x01, 0x03},       /* add [rbx], rax */
        {0x87, 0x03},             /* xchg [rbx], eax */
        {0x0f, 0xb7, 0x43, 0x01}, /* movzx eax, word [rbx+1] */
        {0xff, 0x33},             /* push [rbx] */
        {0x8f, 0x03},             /* pop [rbx] */
        {0x66, 0xf7, 0x1c, 0x0b}, /* neg word [rbx+rcx] */
    };

    if (i >= 3 * ARRAY_SIZE(codes))
        return 0;
    to[0] = (u8)(i % 3 + 9); /* protected mode */
    to[1] = 0x10;
    to[2] = 0x40;
    to[3] = 0;
    for (u32 r = 0; r < GPR_COUNT; r++)
        to[4 + r] = (u8)(17 * (r + i));
    memcpy(to + HEADER, codes[i / 3], sizeof(codes[0]));
    return HEADER + sizeof(codes[0]);
}
