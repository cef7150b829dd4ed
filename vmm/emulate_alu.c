/*
 * Arithmetic and logic: results and the six status flags, as the processor
 * computes them. Source: AMD64 Manual vol. 1 (24592), 3.1.4; vol. 3 (24594).
 */
#include "vmm/emulate_parts.h"

static bool top_bit(u8 size, u64 x)
{
    return x >> (8 * size - 1) & 1;
}

static void set_flag(u64 *flags, u64 flag, bool on)
{
    *flags = on ? *flags | flag : *flags & ~flag;
}

/* SF, ZF, PF: they depend on the result only. PF is that of the low byte. */
static void flags_of_result(u8 size, u64 r, u64 *flags)
{
    set_flag(flags, FLAG_SF, top_bit(size, r));
    set_flag(flags, FLAG_ZF, r == 0);
    set_flag(flags, FLAG_PF, !__builtin_parity((u32)(r & 0xff)));
}

/* CF and AF are the carries out of the top bit and out of bit 3; carries has
 * a 1 for every bit that carries (or borrows). */
static void flags_of_carries(u8 size, u64 carries, u64 *flags)
{
    set_flag(flags, FLAG_CF, top_bit(size, carries));
    set_flag(flags, FLAG_AF, carries >> 3 & 1);
}

static u64 add(u8 size, u64 a, u64 b, bool carry, u64 *flags)
{
    u64 r = (a + b + carry) & size_mask(size);

    flags_of_carries(size, (a & b) | ((a | b) & ~r), flags);
    set_flag(flags, FLAG_OF, top_bit(size, (a ^ r) & (b ^ r)));
    flags_of_result(size, r, flags);
    return r;
}

static u64 subtract(u8 size, u64 a, u64 b, bool borrow, u64 *flags)
{
    u64 r = (a - b - borrow) & size_mask(size);

    flags_of_carries(size, (~a & b) | ((~a | b) & r), flags);
    set_flag(flags, FLAG_OF, top_bit(size, (a ^ b) & (a ^ r)));
    flags_of_result(size, r, flags);
    return r;
}

/* AF is undefined after AND, OR, XOR, TEST; processors clear it. */
static u64 logic(u8 size, u64 r, u64 *flags)
{
    *flags &= ~(u64)(FLAG_CF | FLAG_OF | FLAG_AF);
    flags_of_result(size, r, flags);
    return r;
}

/* INC and DEC are ADD and SUB of 1 that leave CF alone. */
static u64 step(u8 size, u64 a, bool up, u64 *flags)
{
    u64 carry = *flags & FLAG_CF;
    u64 r = up ? add(size, a, 1, false, flags) : subtract(size, a, 1, false, flags);

    *flags = (*flags & ~(u64)FLAG_CF) | carry;
    return r;
}

u64 alu_execute(enum insn_op op, u8 size, u64 a, u64 b, u64 *flags)
{
    bool carry = *flags & FLAG_CF;

    a &= size_mask(size);
    b &= size_mask(size);
    switch (op) {
    case INSN_ADD:
        return add(size, a, b, false, flags);
    case INSN_ADC:
        return add(size, a, b, carry, flags);
    case INSN_SUB:
    case INSN_CMP:
    case INSN_CMPS:
    case INSN_SCAS:
        return subtract(size, a, b, false, flags);
    case INSN_SBB:
        return subtract(size, a, b, carry, flags);
    case INSN_NEG:
        return subtract(size, 0, a, false, flags);
    case INSN_AND:
    case INSN_TEST:
        return logic(size, a & b, flags);
    case INSN_OR:
        return logic(size, a | b, flags);
    case INSN_XOR:
        return logic(size, a ^ b, flags);
    case INSN_INC:
        return step(size, a, true, flags);
    case INSN_DEC:
        return step(size, a, false, flags);
    case INSN_NOT:
        return ~a & size_mask(size);
    default:
        return a;
    }
}
