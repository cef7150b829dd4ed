/*
 * What the emulator's files share: one instruction's state, and who does what.
 * Seen only by emulate*.c.
 */
#ifndef VMM_EMULATE_PARTS_H
#define VMM_EMULATE_PARTS_H

#include "vmm/emulate.h"

/* RFLAGS bits. */
enum {
    FLAG_CF = 1 << 0,
    FLAG_PF = 1 << 2,
    FLAG_AF = 1 << 4,
    FLAG_ZF = 1 << 6,
    FLAG_SF = 1 << 7,
    FLAG_DF = 1 << 10,
    FLAG_OF = 1 << 11,
    FLAGS_STATUS = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF,
};

struct emu {
    struct emu_ctx *ctx;
    const struct insn *insn;
    struct emu_fault *fault;
};

/* A memory operand before segmentation. */
struct place {
    enum hv_seg seg;
    u64 offset;
    u8 size; /* bytes: 1, 2, 4, 8 */
};

static inline u64 size_mask(u8 size)
{
    return size == 8 ? ~0ull : (1ull << (8 * size)) - 1;
}

/* emulate_reg.c: size 1 means the low byte, or AH to BH where the instruction
 * says so; writing 4 bytes clears the upper half. */
u64 emu_reg(const struct emu *, u8 reg, u8 size);
void emu_set_reg(struct emu *, u8 reg, u8 size, u64 value);
/* Address registers: as long as the addresses, never AH. */
u64 emu_pointer(const struct emu *, u8 reg, u8 size);
void emu_set_pointer(struct emu *, u8 reg, u8 size, u64 value);
/* seg:offset of the instruction's memory operand. */
struct place emu_operand_place(const struct emu *, u8 size);

/* emulate_memory.c: 0 or -EFAULT. access is ACCESS_WRITE for a read whose
 * result is written back: the fault is then that of a write. */
int emu_load(struct emu *, struct place, u8 access, u64 *value);
int emu_store(struct emu *, struct place, u64 value);
/* Would a store succeed? */
int emu_check_store(struct emu *, struct place);

/* emulate_alu.c: a OP b of size bytes; the status flags in *flags follow. */
u64 alu_execute(enum insn_op, u8 size, u64 a, u64 b, u64 *flags);

/* emulate_string.c: MOVS, STOS, LODS, CMPS, SCAS, INS, OUTS. */
int emu_string(struct emu *);

#endif
