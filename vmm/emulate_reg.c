/*
 * Registers as instructions see them: parts of 8, 16, 32 and 64 bits, and the
 * address that a memory operand's registers add up to.
 * Source: AMD64 Manual vol. 1 (24592), 2.2 and 3.1.2.
 */
#include "vmm/emulate_parts.h"

/* AH, CH, DH, BH are encoded as 4 to 7 when there is no REX prefix. */
static bool is_high_byte(const struct emu *e, u8 reg, u8 size)
{
    return size == 1 && e->insn->high_byte_legacy && reg >= 4 && reg <= 7;
}

u64 emu_reg(const struct emu *e, u8 reg, u8 size)
{
    if (is_high_byte(e, reg, size))
        return e->ctx->gpr[reg - 4] >> 8 & 0xff;
    return emu_pointer(e, reg, size);
}

void emu_set_reg(struct emu *e, u8 reg, u8 size, u64 value)
{
    u64 *gpr;

    if (!is_high_byte(e, reg, size)) {
        emu_set_pointer(e, reg, size, value);
        return;
    }
    gpr = &e->ctx->gpr[reg - 4];
    *gpr = (*gpr & ~0xff00ull) | (value & 0xff) << 8;
}

u64 emu_pointer(const struct emu *e, u8 reg, u8 size)
{
    return e->ctx->gpr[reg] & size_mask(size);
}

void emu_set_pointer(struct emu *e, u8 reg, u8 size, u64 value)
{
    u64 *gpr = &e->ctx->gpr[reg];
    u64 kept = size < 4 ? *gpr & ~size_mask(size) : 0;

    *gpr = kept | (value & size_mask(size));
}

struct place emu_operand_place(const struct emu *e, u8 size)
{
    const struct insn *in = e->insn;
    u64 offset = (u64)in->disp;

    if (in->base == INSN_RIP)
        offset += e->ctx->rip + in->len;
    else if (in->base != INSN_NO_REG)
        offset += e->ctx->gpr[in->base];
    if (in->index != INSN_NO_REG)
        offset += e->ctx->gpr[in->index] * in->scale;
    return (struct place){.seg = in->seg, .offset = offset & size_mask(in->addrsize), .size = size};
}
