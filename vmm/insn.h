/*
 * Decoding x86 instructions: those that exit without the processor saying
 * what they are, and those that touch memory outside the slots.
 *
 * Pure: bytes in, description out. It neither fetches nor executes. All
 * modes: 16, 32 and 64 bits. No VM here is offered AVX or 3DNow!, so VEX, EVEX,
 * XOP and 3DNow! codes are #UD. Source: AMD64 Manual vol. 3 (24594) ch. 1, 2.
 */
#ifndef VMM_INSN_H
#define VMM_INSN_H

#include "kernel/types.h"
#include "vmm/hv.h"

#define INSN_MAX    15
#define INSN_NO_REG 0xff
#define INSN_RIP    0xfe /* relative to the next instruction */

enum insn_op {
    INSN_OTHER, /* its length may be known all the same */
    INSN_HLT, INSN_CPUID, INSN_RDTSC, INSN_RDTSCP, INSN_RDPMC, INSN_VMMCALL, INSN_VMCALL,
    INSN_RDMSR, INSN_WRMSR, INSN_WBINVD, INSN_INVD, INSN_PAUSE, INSN_MONITOR, INSN_MWAIT,
    INSN_XSETBV, INSN_CLTS, INSN_VMRUN, INSN_VMLOAD, INSN_VMSAVE, INSN_STGI, INSN_CLGI,
    INSN_INVLPGA, INSN_SKINIT,
    INSN_INVLPG, /* mem */
    INSN_MOV_FROM_CR, INSN_MOV_TO_CR, INSN_MOV_FROM_DR, INSN_MOV_TO_DR, /* reg, sysreg */
    INSN_LMSW, INSN_SMSW, INSN_LTR, /* rm */
    INSN_IN, INSN_OUT, /* port: imm if src (IN) or dst (OUT) is PLACE_IMM, else DX */
    INSN_INS, INSN_OUTS,
    INSN_INT, /* imm; INT3 is imm 3 and one byte long */
    /* Data instructions that may have a memory operand */
    INSN_MOV, INSN_MOVZX, INSN_MOVSX, INSN_MOVS, INSN_STOS, INSN_LODS, INSN_CMPS, INSN_SCAS,
    INSN_ADD, INSN_OR, INSN_ADC, INSN_SBB, INSN_AND, INSN_SUB, INSN_XOR, INSN_CMP,
    INSN_TEST, INSN_XCHG, INSN_INC, INSN_DEC, INSN_NOT, INSN_NEG,
    INSN_PUSH, INSN_POP,
};

enum insn_place { PLACE_NONE, PLACE_REG, PLACE_MEM, PLACE_IMM };

enum insn_rep { REP_NONE, REP_EQ /* F3 */, REP_NE /* F2 */ };

struct insn {
    enum insn_op op;
    u8 len;       /* bytes, prefixes included */
    u8 mode;      /* 2, 4, 8: the code's default */
    u8 opsize;    /* 1, 2, 4, 8: of the operands */
    u8 srcsize;   /* MOVZX, MOVSX: of the source */
    u8 addrsize;  /* 2, 4, 8 */
    u8 rep;       /* enum insn_rep */
    bool lock;
    bool high_byte_legacy; /* byte registers 4-7 are AH..BH: no REX was there */
    u8 dst, src;  /* enum insn_place; CMP, TEST, CMPS, SCAS only read dst */
    bool rm_dst;  /* the ModRM.rm operand is dst; says which, if both are registers */
    u8 reg;       /* the register operand, whichever of the two it is */
    u8 rm_reg;    /* the register in ModRM.rm, if it is one (reg too, if it is the only one) */
    u8 sysreg;    /* of MOV CR, MOV DR */
    /* The memory operand: seg:[base + index * scale + disp]. Of MOVS and CMPS
     * it is the one at rSI; the other one is always at ES:rDI. */
    u8 seg;       /* enum hv_seg, defaults and overrides applied */
    s64 disp;
    u8 scale;     /* 1, 2, 4, 8 */
    u8 base, index; /* enum gpr; INSN_NO_REG, INSN_RIP */
    u64 imm;      /* sign-extended to 64 bits; ports and vectors are not */
};

/* Decode the n bytes at code; mode is 2, 4 or 8. 0; -ERANGE: more bytes are
 * needed; -EINVAL: no such instruction (#UD), or longer than 15 bytes. */
int insn_decode(const u8 *code, u32 n, u8 mode, struct insn *out);

/* The name, for messages. */
const char *insn_name(enum insn_op);

#endif
