/*
 * The opcode maps as data: what each opcode is, which operands it has and what
 * follows it. Seen only by the decoder (insn.c, insn_operand.c).
 */
#ifndef VMM_INSN_TABLE_H
#define VMM_INSN_TABLE_H

#include "vmm/insn.h"

/* Which operands an opcode has, the destination first. */
enum form {
    FORM_BAD,       /* no such instruction: #UD */
    FORM_NONE,      /* no operands, or none that we describe */
    FORM_ACC_IMM,   /* rAX, immediate */
    FORM_REG,       /* the register in the opcode's low bits, destination */
    FORM_REG_SRC,   /* the same, source */
    FORM_REG_IMM,   /* the same, immediate */
    FORM_REG_ACC,   /* the same, rAX */
    FORM_ACC_MOFFS, /* rAX, memory at an address in the instruction */
    FORM_MOFFS_ACC,
    FORM_IMM,       /* immediate, source */
    FORM_INT3,      /* as if the immediate 3 were there */
    FORM_IN_IMM,    /* rAX, port */
    FORM_IN_DX,
    FORM_OUT_IMM,   /* port, rAX */
    FORM_OUT_DX,
    FORM_STRINGS,   /* string operands: ES:rDI and seg:rSI */
    FORM_DI_ACC,
    FORM_ACC_DI,
    FORM_ACC_SI,
    FORM_DI,
    FORM_SI,
    /* From here on a ModRM byte follows the opcode. */
    FORM_MODRM,     /* operands that we do not describe */
    FORM_RM_REG,
    FORM_REG_RM,
    FORM_RM_IMM,
    FORM_RM,        /* one operand, destination */
    FORM_RM_SRC,    /* one operand, source */
    FORM_FROM_SYS,  /* register, control or debug register */
    FORM_TO_SYS,
    FORM_GROUP,     /* op is an enum group: ModRM.reg chooses the instruction */
};

enum {
    /* What follows the operands */
    IMM_MASK = 7,
    IMM_8 = 1,     /* one byte, sign-extended */
    IMM_U8 = 2,    /* one byte */
    IMM_Z = 3,     /* of the operand's size, at most 4 bytes */
    IMM_V = 4,     /* of the operand's size */
    IMM_16 = 5,
    IMM_FAR = 6,   /* offset and selector */
    IMM_ENTER = 7, /* 16 and 8 bits */
    /* The operand's size */
    OP_BYTE = 1 << 3,
    OP_64 = 1 << 4,     /* 64-bit mode: 8 bytes unless prefixed with 66 */
    OP_MAX4 = 1 << 5,   /* never 8 bytes */
    OP_NATIVE = 1 << 6, /* 8 bytes in 64-bit mode, else 4, whatever the prefixes */
    OP_WORD = 1 << 7,   /* 2 bytes */
    SRC_1 = 1 << 8,     /* MOVZX, MOVSX: the source's size */
    SRC_2 = 1 << 9,
    SRC_4 = 1 << 10,
    /* When it is allowed */
    NO_64 = 1 << 11,    /* not in 64-bit mode */
    MEM_ONLY = 1 << 12, /* ModRM must name memory */
    REG_ONLY = 1 << 13,
    LOCKABLE = 1 << 14, /* LOCK is allowed if the destination is memory */
    ONLY_64 = 1 << 15,
};

struct opcode {
    u8 op;     /* enum insn_op, or enum group */
    u8 form;   /* enum form */
    u16 flags;
};

enum group {
    GROUP_ALU,    /* 80-83 */
    GROUP_POP,    /* 8f */
    GROUP_SHIFT,  /* c0, c1, d0-d3 */
    GROUP_MOV,    /* c6, c7 */
    GROUP_UNARY,  /* f6, f7 */
    GROUP_INCDEC, /* fe */
    GROUP_FF,
    GROUP_0F00,
    GROUP_0F01,
    GROUP_BT,     /* 0f ba */
    GROUP_0FC7,
    GROUP_FROM_SEG, /* 8c */
    GROUP_TO_SEG, /* 8e */
    GROUP_COUNT
};

extern const struct opcode opcode_one_byte[256];
extern const struct opcode opcode_two_byte[256]; /* after 0f */
extern const struct opcode opcode_group[GROUP_COUNT][8];
extern const struct opcode opcode_0f01_reg[64];  /* 0f 01 c0 to ff */

/* --- The decoder's state, shared by insn.c and insn_operand.c ---------------- */

struct decoder {
    const u8 *code;
    u32 n, pos;
    int error; /* sticky: 0, -ERANGE, -EINVAL */
    u8 rex;
    bool op_prefix, addr_prefix;
    u8 seg;    /* the override, or INSN_NO_REG */
    u8 opcode; /* its last byte */
    u8 modrm;
    struct insn *out;
};

enum { REX_B = 1, REX_X = 2, REX_R = 4, REX_W = 8 };

/* The next byte, or 0 and an error. */
u8 decode_byte(struct decoder *);
/* The next size bytes, sign-extended. */
s64 decode_signed(struct decoder *, u32 size);
/* Fill in dst, src and what they refer to; SIB and displacement are fetched. */
void decode_operands(struct decoder *, const struct opcode *);

#endif
