/*
 * The decoder's rules that a comparison with objdump does not show: what is
 * asked for when bytes are missing, the limit of 15 bytes, prefixes in any
 * order, LOCK, segments in 64-bit mode. Operands in bulk: test_insn_oracle.py.
 */
#include <string.h>
#include "vmm/insn.h"
#include "vmm/tests/check.h"

#define CODE(...) (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__})

static struct insn in;

static int decode(u8 mode, const u8 *code, size_t n)
{
    return insn_decode(code, (u32)n, mode, &in);
}

/* Every shorter piece asks for more bytes, and trailing bytes change nothing. */
static void test_missing_bytes(void)
{
    static const u8 code[] = {0x66, 0x65, 0x48, 0x81, 0x84, 0x88, 1, 2, 3, 4, 5, 6, 7, 8};
    u8 longer[sizeof(code) + 2];

    for (u32 n = 0; n < sizeof(code); n++) {
        check_about("%u of %zu bytes", n, sizeof(code));
        CHECK_EQ(decode(8, code, n), -ERANGE);
    }
    check_about("whole");
    CHECK_EQ(decode(8, code, sizeof(code)), 0);
    CHECK_EQ(in.len, sizeof(code));
    memcpy(longer, code, sizeof(code));
    longer[sizeof(code)] = longer[sizeof(code) + 1] = 0x66;
    CHECK_EQ(decode(8, longer, sizeof(longer)), 0);
    CHECK_EQ(in.len, sizeof(code));
}

static void test_length_limit(void)
{
    u8 code[20];

    memset(code, 0x2e, sizeof(code));
    code[14] = 0x90;
    check_about("14 prefixes and NOP");
    CHECK_EQ(decode(8, code, sizeof(code)), 0);
    CHECK_EQ(in.len, 15);
    code[14] = 0x2e;
    code[15] = 0x90;
    check_about("15 prefixes and NOP");
    CHECK_EQ(decode(8, code, sizeof(code)), -EINVAL);
    CHECK_EQ(decode(8, code, 15), -EINVAL);
    CHECK_EQ(decode(8, code, 14), -ERANGE);
    check_about("an immediate that ends at byte 16");
    memset(code, 0x66, sizeof(code));
    code[8] = 0x48;
    code[9] = 0x81;
    code[10] = 0xc0;
    CHECK_EQ(decode(8, code, sizeof(code)), 0);
    CHECK_EQ(in.len, 15);
    code[8] = 0x66;
    code[9] = 0x48;
    code[10] = 0x81;
    code[11] = 0xc0;
    CHECK_EQ(decode(8, code, sizeof(code)), -EINVAL);
}

static void test_prefixes(void)
{
    check_about("REX counts only just before the opcode");
    CHECK_EQ(decode(8, CODE(0x48, 0x66, 0x89, 0xc8)), 0);
    CHECK_EQ(in.opsize, 2);
    CHECK(in.high_byte_legacy);
    CHECK_EQ(decode(8, CODE(0x41, 0x48, 0x89, 0xc8)), 0);
    CHECK_EQ(in.opsize, 8);
    CHECK_EQ(in.rm_reg, GPR_RAX);
    check_about("REX.W is stronger than 66");
    CHECK_EQ(decode(8, CODE(0x66, 0x48, 0x89, 0xc8)), 0);
    CHECK_EQ(in.opsize, 8);
    check_about("40 is INC outside 64-bit mode");
    CHECK_EQ(decode(4, CODE(0x41, 0x90)), 0);
    CHECK_EQ(in.op, INSN_INC);
    CHECK_EQ(in.reg, GPR_RCX);
    check_about("the last of F2 and F3, the last segment");
    CHECK_EQ(decode(4, CODE(0xf2, 0x26, 0xf3, 0x64, 0xa4)), 0);
    CHECK_EQ(in.rep, REP_EQ);
    CHECK_EQ(in.seg, SEG_FS);
    check_about("ES, CS, SS, DS mean nothing in 64-bit mode");
    CHECK_EQ(decode(8, CODE(0x65, 0x2e, 0x8a, 0x00)), 0);
    CHECK_EQ(in.seg, SEG_GS);
    CHECK_EQ(decode(8, CODE(0x2e, 0x8a, 0x45, 0x00)), 0);
    CHECK_EQ(in.seg, SEG_SS);
    check_about("the destination of strings stays in ES");
    CHECK_EQ(decode(4, CODE(0x64, 0xab)), 0);
    CHECK_EQ(in.seg, SEG_ES);
    CHECK_EQ(decode(4, CODE(0x64, 0x6c)), 0);
    CHECK_EQ(in.seg, SEG_ES);
    CHECK_EQ(decode(4, CODE(0x36, 0x6e)), 0);
    CHECK_EQ(in.seg, SEG_SS);
}

static void test_lock(void)
{
    check_about("LOCK");
    CHECK_EQ(decode(8, CODE(0xf0, 0x01, 0x08)), 0); /* add [rax], ecx */
    CHECK(in.lock);
    CHECK_EQ(decode(8, CODE(0xf0, 0x01, 0xc8)), -EINVAL); /* add eax, ecx */
    CHECK_EQ(decode(8, CODE(0xf0, 0x03, 0x08)), -EINVAL); /* add ecx, [rax] */
    CHECK_EQ(decode(8, CODE(0xf0, 0x39, 0x08)), -EINVAL); /* cmp [rax], ecx */
    CHECK_EQ(decode(8, CODE(0xf0, 0x89, 0x08)), -EINVAL); /* mov [rax], ecx */
    CHECK_EQ(decode(8, CODE(0xf0, 0x87, 0x08)), 0);       /* xchg [rax], ecx */
    CHECK_EQ(decode(8, CODE(0xf0, 0xff, 0x00)), 0);       /* inc [rax] */
    CHECK_EQ(decode(8, CODE(0xf0, 0x0f, 0xb1, 0x08)), 0); /* cmpxchg [rax], ecx */
    CHECK_EQ(decode(8, CODE(0xf0, 0x90)), -EINVAL);
    CHECK_EQ(decode(4, CODE(0xf0, 0x0f, 0x20, 0xc0)), 0); /* mov eax, cr8 */
    CHECK_EQ(in.sysreg, 8);
    CHECK_EQ(decode(4, CODE(0xf0, 0x0f, 0x20, 0xd0)), -EINVAL);
}

/* What the VMM decodes because SVM does not say it. */
static void test_exits(void)
{
    check_about("exits");
    CHECK_EQ(decode(8, CODE(0x41, 0x0f, 0x20, 0xd9)), 0); /* mov r9, cr3 */
    CHECK_EQ(in.op, INSN_MOV_FROM_CR);
    CHECK_EQ(in.sysreg, 3);
    CHECK_EQ(in.reg, GPR_R9);
    CHECK_EQ(in.opsize, 8);
    CHECK_EQ(decode(2, CODE(0x0f, 0x22, 0x00)), 0); /* mod is not looked at */
    CHECK_EQ(in.op, INSN_MOV_TO_CR);
    CHECK_EQ(in.len, 3);
    CHECK_EQ(in.opsize, 4);
    CHECK_EQ(decode(8, CODE(0x0f, 0x01, 0x3c, 0x25, 0, 0x10, 0, 0)), 0); /* invlpg [0x1000] */
    CHECK_EQ(in.op, INSN_INVLPG);
    CHECK_EQ(in.disp, 0x1000);
    CHECK_EQ(decode(8, CODE(0x66, 0x0f, 0x01, 0xf1)), 0); /* lmsw cx */
    CHECK_EQ(in.op, INSN_LMSW);
    CHECK_EQ(in.rm_reg, GPR_RCX);
    CHECK_EQ(in.opsize, 2);
    CHECK_EQ(decode(8, CODE(0xcc)), 0);
    CHECK_EQ(in.op, INSN_INT);
    CHECK_EQ(in.imm, 3);
    CHECK_EQ(decode(8, CODE(0xcd, 0x80)), 0);
    CHECK_EQ(in.imm, 0x80);
    CHECK_EQ(decode(8, CODE(0x0f, 0x0b)), -EINVAL);
    CHECK_STR(insn_name(INSN_VMMCALL), "vmmcall");
    CHECK_STR(insn_name((enum insn_op)99), "unknown");
}

static void test_operands(void)
{
    check_about("16-bit addresses");
    CHECK_EQ(decode(2, CODE(0x8b, 0x46, 0xfe)), 0); /* mov ax, [bp-2] */
    CHECK_EQ(in.base, GPR_RBP);
    CHECK_EQ(in.seg, SEG_SS);
    CHECK_EQ(in.disp, -2);
    CHECK_EQ(decode(2, CODE(0x8b, 0x0e, 0x34, 0x92)), 0); /* mov cx, [0x9234] */
    CHECK_EQ(in.base, INSN_NO_REG);
    CHECK_EQ((u16)in.disp, 0x9234);
    CHECK_EQ(in.seg, SEG_DS);
    CHECK_EQ(decode(4, CODE(0x67, 0xa1, 0xf0, 0xff)), 0); /* mov eax, [0xfff0] */
    CHECK_EQ(in.addrsize, 2);
    CHECK_EQ(in.disp, 0xfff0);
    check_about("64-bit addresses");
    CHECK_EQ(decode(8, CODE(0x8b, 0x05, 0xfc, 0xff, 0xff, 0xff)), 0); /* mov eax, [rip-4] */
    CHECK_EQ(in.base, INSN_RIP);
    CHECK_EQ(in.disp, -4);
    CHECK_EQ(decode(8, CODE(0x43, 0x8b, 0x44, 0xe5, 0x10)), 0); /* mov eax, [r13+r12*8+16] */
    CHECK_EQ(in.base, GPR_R13);
    CHECK_EQ(in.index, GPR_R12);
    CHECK_EQ(in.scale, 8);
    CHECK_EQ(decode(8, CODE(0x48, 0xc7, 0x00, 0xff, 0xff, 0xff, 0xff)), 0);
    CHECK_EQ(in.imm, ~0ull);
    check_about("which register is which");
    CHECK_EQ(decode(8, CODE(0x01, 0xd1)), 0); /* add ecx, edx */
    CHECK(in.rm_dst);
    CHECK_EQ(in.rm_reg, GPR_RCX);
    CHECK_EQ(in.reg, GPR_RDX);
    CHECK_EQ(decode(8, CODE(0x03, 0xd1)), 0); /* add edx, ecx */
    CHECK(!in.rm_dst);
    CHECK_EQ(in.rm_reg, GPR_RCX);
    CHECK_EQ(in.reg, GPR_RDX);
}

int main(void)
{
    test_missing_bytes();
    test_length_limit();
    test_prefixes();
    test_lock();
    test_exits();
    test_operands();
    return check_done("insn");
}
