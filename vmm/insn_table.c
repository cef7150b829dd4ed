/*
 * The one-byte and two-byte opcode maps and the opcode groups. An entry that
 * is not there is FORM_BAD: #UD. INSN_OTHER marks instructions of which only
 * the length matters to us. Source: AMD64 Manual vol. 3 (24594 rev. 3.34),
 * tables.
 */
#include "vmm/insn_table.h"

#define OTHER(form, flags) {INSN_OTHER, FORM_##form, (flags)}
#define GROUP(name, flags) {GROUP_##name, FORM_GROUP, (flags)}

/* The six forms that each arithmetic instruction has. */
#define ALU(base, op, lock)                                                                        \
    [base] = {op, FORM_RM_REG, OP_BYTE | (lock)},                                                  \
    [base + 1] = {op, FORM_RM_REG, lock},                                                          \
    [base + 2] = {op, FORM_REG_RM, OP_BYTE},                                                       \
    [base + 3] = {op, FORM_REG_RM, 0},                                                             \
    [base + 4] = {op, FORM_ACC_IMM, OP_BYTE | IMM_Z},                                              \
    [base + 5] = {op, FORM_ACC_IMM, IMM_Z}

const struct opcode opcode_one_byte[256] = {
    ALU(0x00, INSN_ADD, LOCKABLE),
    ALU(0x08, INSN_OR, LOCKABLE),
    ALU(0x10, INSN_ADC, LOCKABLE),
    ALU(0x18, INSN_SBB, LOCKABLE),
    ALU(0x20, INSN_AND, LOCKABLE),
    ALU(0x28, INSN_SUB, LOCKABLE),
    ALU(0x30, INSN_XOR, LOCKABLE),
    ALU(0x38, INSN_CMP, 0),
    [0x06] = OTHER(NONE, NO_64), /* PUSH and POP of ES, CS, SS, DS */
    [0x07] = OTHER(NONE, NO_64),
    [0x0e] = OTHER(NONE, NO_64),
    [0x16] = OTHER(NONE, NO_64),
    [0x17] = OTHER(NONE, NO_64),
    [0x1e] = OTHER(NONE, NO_64),
    [0x1f] = OTHER(NONE, NO_64),
    [0x27] = OTHER(NONE, NO_64), /* DAA, DAS, AAA, AAS */
    [0x2f] = OTHER(NONE, NO_64),
    [0x37] = OTHER(NONE, NO_64),
    [0x3f] = OTHER(NONE, NO_64),
    [0x40 ... 0x47] = {INSN_INC, FORM_REG, NO_64}, /* 64-bit mode: REX */
    [0x48 ... 0x4f] = {INSN_DEC, FORM_REG, NO_64},
    [0x50 ... 0x57] = {INSN_PUSH, FORM_REG_SRC, OP_64},
    [0x58 ... 0x5f] = {INSN_POP, FORM_REG, OP_64},
    [0x60] = OTHER(NONE, NO_64),             /* PUSHA, POPA */
    [0x61] = OTHER(NONE, NO_64),
    [0x62] = OTHER(MODRM, NO_64 | MEM_ONLY), /* BOUND */
    [0x63] = OTHER(MODRM, NO_64 | OP_WORD),  /* ARPL; 64-bit mode: MOVSXD */
    [0x68] = {INSN_PUSH, FORM_IMM, OP_64 | IMM_Z},
    [0x69] = OTHER(MODRM, IMM_Z), /* IMUL */
    [0x6a] = {INSN_PUSH, FORM_IMM, OP_64 | IMM_8},
    [0x6b] = OTHER(MODRM, IMM_8),
    [0x6c] = {INSN_INS, FORM_DI, OP_BYTE},
    [0x6d] = {INSN_INS, FORM_DI, OP_MAX4},
    [0x6e] = {INSN_OUTS, FORM_SI, OP_BYTE},
    [0x6f] = {INSN_OUTS, FORM_SI, OP_MAX4},
    [0x70 ... 0x7f] = OTHER(NONE, IMM_8), /* Jcc */
    [0x80] = GROUP(ALU, OP_BYTE | IMM_Z),
    [0x81] = GROUP(ALU, IMM_Z),
    [0x82] = GROUP(ALU, OP_BYTE | IMM_Z | NO_64),
    [0x83] = GROUP(ALU, IMM_8),
    [0x84] = {INSN_TEST, FORM_RM_REG, OP_BYTE},
    [0x85] = {INSN_TEST, FORM_RM_REG, 0},
    [0x86] = {INSN_XCHG, FORM_RM_REG, OP_BYTE | LOCKABLE},
    [0x87] = {INSN_XCHG, FORM_RM_REG, LOCKABLE},
    [0x88] = {INSN_MOV, FORM_RM_REG, OP_BYTE},
    [0x89] = {INSN_MOV, FORM_RM_REG, 0},
    [0x8a] = {INSN_MOV, FORM_REG_RM, OP_BYTE},
    [0x8b] = {INSN_MOV, FORM_REG_RM, 0},
    [0x8c] = GROUP(FROM_SEG, 0),
    [0x8d] = OTHER(MODRM, MEM_ONLY), /* LEA */
    [0x8e] = GROUP(TO_SEG, 0),
    [0x8f] = GROUP(POP, 0),
    [0x90 ... 0x97] = {INSN_XCHG, FORM_REG_ACC, 0},
    [0x98 ... 0x99] = OTHER(NONE, 0), /* CBW, CWD */
    [0x9a] = OTHER(NONE, NO_64 | IMM_FAR),
    [0x9b ... 0x9f] = OTHER(NONE, 0), /* WAIT, PUSHF, POPF, SAHF, LAHF */
    [0xa0] = {INSN_MOV, FORM_ACC_MOFFS, OP_BYTE},
    [0xa1] = {INSN_MOV, FORM_ACC_MOFFS, 0},
    [0xa2] = {INSN_MOV, FORM_MOFFS_ACC, OP_BYTE},
    [0xa3] = {INSN_MOV, FORM_MOFFS_ACC, 0},
    [0xa4] = {INSN_MOVS, FORM_STRINGS, OP_BYTE},
    [0xa5] = {INSN_MOVS, FORM_STRINGS, 0},
    [0xa6] = {INSN_CMPS, FORM_STRINGS, OP_BYTE},
    [0xa7] = {INSN_CMPS, FORM_STRINGS, 0},
    [0xa8] = {INSN_TEST, FORM_ACC_IMM, OP_BYTE | IMM_Z},
    [0xa9] = {INSN_TEST, FORM_ACC_IMM, IMM_Z},
    [0xaa] = {INSN_STOS, FORM_DI_ACC, OP_BYTE},
    [0xab] = {INSN_STOS, FORM_DI_ACC, 0},
    [0xac] = {INSN_LODS, FORM_ACC_SI, OP_BYTE},
    [0xad] = {INSN_LODS, FORM_ACC_SI, 0},
    [0xae] = {INSN_SCAS, FORM_ACC_DI, OP_BYTE},
    [0xaf] = {INSN_SCAS, FORM_ACC_DI, 0},
    [0xb0 ... 0xb7] = {INSN_MOV, FORM_REG_IMM, OP_BYTE | IMM_Z},
    [0xb8 ... 0xbf] = {INSN_MOV, FORM_REG_IMM, IMM_V},
    [0xc0] = GROUP(SHIFT, OP_BYTE | IMM_8),
    [0xc1] = GROUP(SHIFT, IMM_8),
    [0xc2] = OTHER(NONE, IMM_16), /* RET */
    [0xc3] = OTHER(NONE, 0),
    [0xc4 ... 0xc5] = OTHER(MODRM, NO_64 | MEM_ONLY), /* LES, LDS */
    [0xc6] = GROUP(MOV, OP_BYTE | IMM_Z),
    [0xc7] = GROUP(MOV, IMM_Z),
    [0xc8] = OTHER(NONE, IMM_ENTER),
    [0xc9] = OTHER(NONE, 0),
    [0xca] = OTHER(NONE, IMM_16),
    [0xcb] = OTHER(NONE, 0),
    [0xcc] = {INSN_INT, FORM_INT3, 0},
    [0xcd] = {INSN_INT, FORM_IMM, IMM_U8},
    [0xce] = OTHER(NONE, NO_64), /* INTO */
    [0xcf] = OTHER(NONE, 0),     /* IRET */
    [0xd0] = GROUP(SHIFT, OP_BYTE),
    [0xd1] = GROUP(SHIFT, 0),
    [0xd2] = GROUP(SHIFT, OP_BYTE),
    [0xd3] = GROUP(SHIFT, 0),
    [0xd4 ... 0xd5] = OTHER(NONE, NO_64 | IMM_U8), /* AAM, AAD */
    [0xd6] = OTHER(NONE, NO_64),                   /* SALC */
    [0xd7] = OTHER(NONE, 0),                       /* XLAT */
    [0xd8 ... 0xdf] = OTHER(MODRM, 0),             /* x87 */
    [0xe0 ... 0xe3] = OTHER(NONE, IMM_8),          /* LOOP, JCXZ */
    [0xe4] = {INSN_IN, FORM_IN_IMM, OP_BYTE | IMM_U8},
    [0xe5] = {INSN_IN, FORM_IN_IMM, OP_MAX4 | IMM_U8},
    [0xe6] = {INSN_OUT, FORM_OUT_IMM, OP_BYTE | IMM_U8},
    [0xe7] = {INSN_OUT, FORM_OUT_IMM, OP_MAX4 | IMM_U8},
    [0xe8 ... 0xe9] = OTHER(NONE, OP_64 | IMM_Z), /* CALL, JMP */
    [0xea] = OTHER(NONE, NO_64 | IMM_FAR),
    [0xeb] = OTHER(NONE, IMM_8),
    [0xec] = {INSN_IN, FORM_IN_DX, OP_BYTE},
    [0xed] = {INSN_IN, FORM_IN_DX, OP_MAX4},
    [0xee] = {INSN_OUT, FORM_OUT_DX, OP_BYTE},
    [0xef] = {INSN_OUT, FORM_OUT_DX, OP_MAX4},
    [0xf1] = OTHER(NONE, 0), /* INT1 */
    [0xf4] = {INSN_HLT, FORM_NONE, 0},
    [0xf5] = OTHER(NONE, 0), /* CMC */
    [0xf6] = GROUP(UNARY, OP_BYTE),
    [0xf7] = GROUP(UNARY, 0),
    [0xf8 ... 0xfd] = OTHER(NONE, 0), /* CLC, STC, CLI, STI, CLD, STD */
    [0xfe] = GROUP(INCDEC, OP_BYTE),
    [0xff] = GROUP(FF, 0),
};

const struct opcode opcode_two_byte[256] = {
    [0x00] = GROUP(0F00, 0),
    [0x01] = GROUP(0F01, 0),
    [0x02 ... 0x03] = OTHER(MODRM, 0), /* LAR, LSL */
    [0x05] = OTHER(NONE, 0),           /* SYSCALL */
    [0x06] = {INSN_CLTS, FORM_NONE, 0},
    [0x07] = OTHER(NONE, 0), /* SYSRET */
    [0x08] = {INSN_INVD, FORM_NONE, 0},
    [0x09] = {INSN_WBINVD, FORM_NONE, 0},
    [0x0d] = OTHER(MODRM, 0), /* PREFETCH */
    [0x10 ... 0x1f] = OTHER(MODRM, 0),
    [0x20] = {INSN_MOV_FROM_CR, FORM_FROM_SYS, OP_NATIVE},
    [0x21] = {INSN_MOV_FROM_DR, FORM_FROM_SYS, OP_NATIVE},
    [0x22] = {INSN_MOV_TO_CR, FORM_TO_SYS, OP_NATIVE},
    [0x23] = {INSN_MOV_TO_DR, FORM_TO_SYS, OP_NATIVE},
    [0x28 ... 0x2f] = OTHER(MODRM, 0),
    [0x30] = {INSN_WRMSR, FORM_NONE, 0},
    [0x31] = {INSN_RDTSC, FORM_NONE, 0},
    [0x32] = {INSN_RDMSR, FORM_NONE, 0},
    [0x33] = {INSN_RDPMC, FORM_NONE, 0},
    [0x34 ... 0x35] = OTHER(NONE, 0),  /* SYSENTER, SYSEXIT */
    [0x40 ... 0x6f] = OTHER(MODRM, 0), /* CMOVcc, MMX, SSE */
    [0x70 ... 0x73] = OTHER(MODRM, IMM_8),
    [0x74 ... 0x76] = OTHER(MODRM, 0),
    [0x77] = OTHER(NONE, 0), /* EMMS */
    [0x7c ... 0x7f] = OTHER(MODRM, 0),
    [0x80 ... 0x8f] = OTHER(NONE, OP_64 | IMM_Z), /* Jcc */
    [0x90 ... 0x9f] = OTHER(MODRM, OP_BYTE),      /* SETcc */
    [0xa0 ... 0xa1] = OTHER(NONE, OP_64),         /* PUSH and POP FS */
    [0xa2] = {INSN_CPUID, FORM_NONE, 0},
    [0xa3] = OTHER(MODRM, 0), /* BT */
    [0xa4] = OTHER(MODRM, IMM_8),
    [0xa5] = OTHER(MODRM, 0),             /* SHLD */
    [0xa8 ... 0xa9] = OTHER(NONE, OP_64), /* PUSH and POP GS */
    [0xaa] = OTHER(NONE, 0),              /* RSM */
    [0xab] = OTHER(MODRM, LOCKABLE),      /* BTS */
    [0xac] = OTHER(MODRM, IMM_8),         /* SHRD */
    [0xad] = OTHER(MODRM, 0),
    [0xae] = OTHER(MODRM, 0),                   /* fences, FXSAVE */
    [0xaf] = OTHER(MODRM, 0),                   /* IMUL */
    [0xb0] = OTHER(MODRM, OP_BYTE | LOCKABLE),  /* CMPXCHG */
    [0xb1] = OTHER(MODRM, LOCKABLE),
    [0xb2] = OTHER(MODRM, MEM_ONLY),            /* LSS */
    [0xb3] = OTHER(MODRM, LOCKABLE),            /* BTR */
    [0xb4 ... 0xb5] = OTHER(MODRM, MEM_ONLY),   /* LFS, LGS */
    [0xb6] = {INSN_MOVZX, FORM_REG_RM, SRC_1},
    [0xb7] = {INSN_MOVZX, FORM_REG_RM, SRC_2},
    [0xb8] = OTHER(MODRM, 0), /* POPCNT */
    [0xba] = GROUP(BT, IMM_8),
    [0xbb] = OTHER(MODRM, LOCKABLE),    /* BTC */
    [0xbc ... 0xbd] = OTHER(MODRM, 0),  /* BSF, BSR */
    [0xbe] = {INSN_MOVSX, FORM_REG_RM, SRC_1},
    [0xbf] = {INSN_MOVSX, FORM_REG_RM, SRC_2},
    [0xc0] = OTHER(MODRM, OP_BYTE | LOCKABLE), /* XADD */
    [0xc1] = OTHER(MODRM, LOCKABLE),
    [0xc2] = OTHER(MODRM, IMM_8),
    [0xc3] = OTHER(MODRM, MEM_ONLY), /* MOVNTI */
    [0xc4 ... 0xc6] = OTHER(MODRM, IMM_8),
    [0xc7] = GROUP(0FC7, 0),
    [0xc8 ... 0xcf] = OTHER(NONE, 0), /* BSWAP */
    [0xd0 ... 0xfe] = OTHER(MODRM, 0),
};

const struct opcode opcode_group[GROUP_COUNT][8] = {
    [GROUP_ALU] = {{INSN_ADD, FORM_RM_IMM, LOCKABLE},
                   {INSN_OR, FORM_RM_IMM, LOCKABLE},
                   {INSN_ADC, FORM_RM_IMM, LOCKABLE},
                   {INSN_SBB, FORM_RM_IMM, LOCKABLE},
                   {INSN_AND, FORM_RM_IMM, LOCKABLE},
                   {INSN_SUB, FORM_RM_IMM, LOCKABLE},
                   {INSN_XOR, FORM_RM_IMM, LOCKABLE},
                   {INSN_CMP, FORM_RM_IMM, 0}},
    [GROUP_POP] = {{INSN_POP, FORM_RM, OP_64}},
    [GROUP_SHIFT] = {[0 ... 7] = OTHER(MODRM, 0)},
    [GROUP_MOV] = {{INSN_MOV, FORM_RM_IMM, 0}},
    /* 1 is an alias of TEST; MUL, IMUL, DIV, IDIV follow */
    [GROUP_UNARY] = {{INSN_TEST, FORM_RM_IMM, IMM_Z},
                     {INSN_TEST, FORM_RM_IMM, IMM_Z},
                     {INSN_NOT, FORM_RM, LOCKABLE},
                     {INSN_NEG, FORM_RM, LOCKABLE},
                     [4 ... 7] = OTHER(MODRM, 0)},
    [GROUP_INCDEC] = {{INSN_INC, FORM_RM, LOCKABLE}, {INSN_DEC, FORM_RM, LOCKABLE}},
    /* CALL, CALL far, JMP, JMP far */
    [GROUP_FF] = {{INSN_INC, FORM_RM, LOCKABLE},
                  {INSN_DEC, FORM_RM, LOCKABLE},
                  OTHER(MODRM, OP_64),
                  OTHER(MODRM, MEM_ONLY),
                  OTHER(MODRM, OP_64),
                  OTHER(MODRM, MEM_ONLY),
                  {INSN_PUSH, FORM_RM_SRC, OP_64}},
    /* SLDT, STR, LLDT, LTR, VERR, VERW */
    [GROUP_0F00] = {[0 ... 2] = OTHER(MODRM, 0),
                    [3] = {INSN_LTR, FORM_RM_SRC, OP_WORD},
                    [4 ... 5] = OTHER(MODRM, 0)},
    /* Of memory; of registers: opcode_0f01_reg */
    [GROUP_0F01] = {[0 ... 3] = OTHER(MODRM, 0),
                    [4] = {INSN_SMSW, FORM_RM, OP_WORD},
                    [6] = {INSN_LMSW, FORM_RM_SRC, OP_WORD},
                    [7] = {INSN_INVLPG, FORM_RM_SRC, OP_BYTE}},
    [GROUP_BT] = {[4] = OTHER(MODRM, 0), [5 ... 7] = OTHER(MODRM, LOCKABLE)},
    /* CMPXCHG8B, XSAVES and its kin, RDRAND, RDSEED */
    [GROUP_0FC7] = {[1] = OTHER(MODRM, MEM_ONLY | LOCKABLE),
                    [3 ... 5] = OTHER(MODRM, MEM_ONLY),
                    [6 ... 7] = OTHER(MODRM, REG_ONLY)},
    [GROUP_FROM_SEG] = {[0 ... 5] = OTHER(MODRM, 0)},
    [GROUP_TO_SEG] = {[0] = OTHER(MODRM, 0), [2 ... 5] = OTHER(MODRM, 0)}, /* not CS */
};

const struct opcode opcode_0f01_reg[64] = {
    [0x01] = {INSN_VMCALL, FORM_NONE, 0},
    [0x08] = {INSN_MONITOR, FORM_NONE, 0},
    [0x09] = {INSN_MWAIT, FORM_NONE, 0},
    [0x0a ... 0x0b] = OTHER(NONE, 0), /* CLAC, STAC */
    [0x10] = OTHER(NONE, 0),          /* XGETBV */
    [0x11] = {INSN_XSETBV, FORM_NONE, 0},
    [0x18] = {INSN_VMRUN, FORM_NONE, 0},
    [0x19] = {INSN_VMMCALL, FORM_NONE, 0},
    [0x1a] = {INSN_VMLOAD, FORM_NONE, 0},
    [0x1b] = {INSN_VMSAVE, FORM_NONE, 0},
    [0x1c] = {INSN_STGI, FORM_NONE, 0},
    [0x1d] = {INSN_CLGI, FORM_NONE, 0},
    [0x1e] = {INSN_SKINIT, FORM_NONE, 0},
    [0x1f] = {INSN_INVLPGA, FORM_NONE, 0},
    [0x20 ... 0x27] = {INSN_SMSW, FORM_RM, 0},
    [0x2e ... 0x2f] = OTHER(NONE, 0), /* RDPKRU, WRPKRU */
    [0x30 ... 0x37] = {INSN_LMSW, FORM_RM_SRC, OP_WORD},
    [0x38] = OTHER(NONE, ONLY_64), /* SWAPGS */
    [0x39] = {INSN_RDTSCP, FORM_NONE, 0},
    [0x3a ... 0x3d] = OTHER(NONE, 0), /* MONITORX, MWAITX, CLZERO, RDPRU */
};
