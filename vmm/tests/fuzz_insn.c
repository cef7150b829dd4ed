/*
 * The instruction decoder on hostile bytes: the first byte chooses the mode,
 * the rest is code. Beside staying inside the bytes it must be consistent:
 * what it decodes depends on nothing behind the instruction's end.
 */
#include <string.h>
#include "vmm/insn.h"
#include "vmm/tests/fuzz.h"

const char *const fuzz_name = "insn";

static const u8 modes[] = {2, 4, 8};

/* Register numbers, sizes and enums are in range, so that they can be used as
 * indices without a look. */
static void check_fields(const struct insn *in)
{
    FUZZ_CHECK(in->op <= INSN_POP);
    FUZZ_CHECK(insn_name(in->op) != NULL);
    FUZZ_CHECK(in->opsize == 1 || in->opsize == 2 || in->opsize == 4 || in->opsize == 8);
    FUZZ_CHECK(in->srcsize && in->srcsize <= 8);
    FUZZ_CHECK(in->addrsize == 2 || in->addrsize == 4 || in->addrsize == 8);
    FUZZ_CHECK(in->mode == 8 || (in->opsize < 8 && in->addrsize < 8));
    FUZZ_CHECK(in->dst <= PLACE_IMM && in->src <= PLACE_IMM && in->rep <= REP_NE);
    FUZZ_CHECK(in->seg <= SEG_GS);
    FUZZ_CHECK(in->base < GPR_COUNT || in->base == INSN_NO_REG || in->base == INSN_RIP);
    FUZZ_CHECK(in->index < GPR_COUNT || in->index == INSN_NO_REG);
    FUZZ_CHECK(in->rm_reg < GPR_COUNT || in->rm_reg == INSN_NO_REG);
    FUZZ_CHECK(in->reg < GPR_COUNT || in->reg == INSN_NO_REG);
    FUZZ_CHECK(in->mode == 8 || in->reg < 8 || in->reg == INSN_NO_REG);
    FUZZ_CHECK((in->dst != PLACE_REG && in->src != PLACE_REG) || in->reg < GPR_COUNT);
    FUZZ_CHECK(in->sysreg < 9);
}

/* With fewer bytes than the instruction has, more are asked for; with exactly
 * its bytes the result is the same. */
static void check_prefixes_of(const u8 *code, u8 mode, const struct insn *in)
{
    struct insn again;

    for (u32 n = 0; n < in->len; n++)
        FUZZ_CHECK(insn_decode(code, n, mode, &again) == -ERANGE);
    FUZZ_CHECK(insn_decode(code, in->len, mode, &again) == 0);
    FUZZ_CHECK(memcmp(&again, in, sizeof(again)) == 0);
}

int fuzz_one(const u8 *data, size_t size)
{
    struct insn in;
    u32 n;

    if (size < 1)
        return 0;
    u8 mode = modes[data[0] % 3];
    data++;
    n = (u32)size - 1;
    memset(&in, 0, sizeof(in));
    int err = insn_decode(data, n, mode, &in);
    FUZZ_CHECK(err == 0 || err == -ERANGE || err == -EINVAL);
    FUZZ_CHECK(err != -ERANGE || n < INSN_MAX);
    if (err == 0) {
        FUZZ_CHECK(in.len >= 1 && in.len <= INSN_MAX && in.len <= n);
        check_fields(&in);
        check_prefixes_of(data, mode, &in);
    }
    return 0;
}

size_t fuzz_seed(u32 i, u8 *to)
{
    static const struct {
        u8 size;
        u8 code[INSN_MAX + 1];
    } seeds[] = {
        {9, {2, 0x48, 0x8b, 0x84, 0xc8, 0x10, 0x20, 0x30, 0x40}}, /* mov rax, [...] */
        {12, {2, 0x48, 0xc7, 0x44, 0x24, 0x08, 1, 2, 3, 4}},      /* mov [rsp+8], imm */
        {11, {2, 0x49, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}},            /* mov r8, imm64 */
        {10, {2, 0xa1, 1, 2, 3, 4, 5, 6, 7, 8}},                  /* mov eax, moffs */
        {6, {2, 0xf0, 0x48, 0x0f, 0xb1, 0x0a}},                   /* lock cmpxchg */
        {5, {2, 0x44, 0x0f, 0x22, 0xc0}},                         /* mov cr8, rax */
        {4, {1, 0x0f, 0x01, 0xd9}},                               /* vmmcall */
        {8, {1, 0x66, 0x67, 0xf3, 0x64, 0xa5}},                   /* rep movsw fs: */
        {8, {1, 0x9a, 1, 2, 3, 4, 5, 6}},                         /* call far */
        {5, {0, 0xc8, 0x10, 0x00, 0x01}},                         /* enter */
        {6, {0, 0x81, 0x46, 0x05, 0x34, 0x12}},                   /* add word [bp+5] */
        {8, {2, 0xf7, 0x05, 1, 2, 3, 4, 5, 6, 7, 8}},             /* test [rip+...] */
        {16, {2, 0x66, 0x67, 0x64, 0xf2, 0x2e, 0x36, 0x48, 0x81, 0x84, 0x88, 1, 2, 3, 4, 5}},
    };

    if (i >= ARRAY_SIZE(seeds))
        return 0;
    memcpy(to, seeds[i].code, seeds[i].size);
    return seeds[i].size;
}
