/*
 * The emulator's rules that the host's processor cannot show in 64-bit mode:
 * 16- and 32-bit addresses and their wrap, segments, faults in the middle of a
 * REP, chunks, ports, and what must not have changed after a fault.
 */
#include <string.h>
#include "vmm/tests/check.h"
#include "vmm/tests/emu_guest.h"

#define BASE 0x100000ull
#define RUN(...)                                                                                   \
    emu_guest_run(&g, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}), &fault)

static struct emu_guest g;
static struct emu_fault fault;

static void begin(const char *about, u8 mode, u64 base)
{
    check_about("%s", about);
    emu_guest_init(&g, mode, base);
    for (u32 i = 0; i < GUEST_SIZE; i++)
        g.bytes[i] = (u8)(i ^ i >> 8);
}

static u32 long_at(u64 off)
{
    u32 value;

    memcpy(&value, g.bytes + off, 4);
    return value;
}

static void check_fault(u8 vector, u32 error, u64 cr2)
{
    CHECK_EQ(fault.vector, vector);
    CHECK(fault.has_error);
    CHECK_EQ(fault.error, error);
    CHECK_EQ(fault.cr2, cr2);
}

/* --- Addresses ------------------------------------------------------------------ */

static void test_addresses_16(void)
{
    begin("16-bit address wraps", 2, 0);
    g.gpr[GPR_RBX] = 0xfff0;
    g.gpr[GPR_RSI] = 0x1234;
    CHECK_EQ(RUN(0x8a, 0x40, 0x10), 0); /* mov al, [bx+si+0x10] */
    CHECK_EQ(g.gpr[GPR_RAX] & 0xff, g.bytes[0x1234]);

    begin("segment base", 2, 0);
    g.seg[SEG_DS].base = 0x200;
    g.seg[SEG_SS].base = 0x300;
    g.gpr[GPR_RBP] = 0x10;
    CHECK_EQ(RUN(0x8a, 0x46, 0x01), 0); /* mov al, [bp+1] */
    CHECK_EQ(g.gpr[GPR_RAX] & 0xff, g.bytes[0x311]);
    CHECK_EQ(RUN(0x3e, 0x8a, 0x46, 0x01), 0); /* ds: */
    CHECK_EQ(g.gpr[GPR_RAX] & 0xff, g.bytes[0x211]);
    CHECK_EQ(RUN(0xa0, 0x05, 0x00), 0); /* mov al, [5] */
    CHECK_EQ(g.gpr[GPR_RAX] & 0xff, g.bytes[0x205]);

    begin("a word at 0xffff is past the limit", 2, 0xf000);
    g.gpr[GPR_RBX] = 0xffff;
    CHECK_EQ(RUN(0x8b, 0x07), -EFAULT);
    check_fault(13, 0, 0);
    CHECK_EQ(RUN(0x8a, 0x07), 0);
    CHECK_EQ(g.gpr[GPR_RAX] & 0xff, g.bytes[0xfff]);
}

static void test_addresses_32(void)
{
    begin("32-bit linear addresses wrap at 4 GiB", 4, 0);
    g.seg[SEG_DS].base = 0xffffff00;
    g.gpr[GPR_RBX] = 0x180;
    CHECK_EQ(RUN(0x8a, 0x03), 0); /* mov al, [ebx] */
    CHECK_EQ(g.gpr[GPR_RAX] & 0xff, g.bytes[0x80]);

    begin("the second half of an access wraps", 4, 0xffffffffull & ~PAGE_MASK);
    g.seg[SEG_DS].base = 0xfffffffe;
    CHECK_EQ(RUN(0xa1, 0, 0, 0, 0), -EFAULT); /* mov eax, [0]: 2 bytes at the top, 2 at 0 */
    check_fault(14, 0, 0);

    begin("32-bit addresses in 64-bit mode", 8, BASE);
    g.gpr[GPR_RBX] = 0xdead000000000000ull | (BASE + 0x44);
    CHECK_EQ(RUN(0x67, 0x8a, 0x03), 0);
    CHECK_EQ(g.gpr[GPR_RAX] & 0xff, g.bytes[0x44]);

    begin("relative to the next instruction", 8, BASE);
    g.ctx.rip = BASE + 0x100;
    CHECK_EQ(RUN(0xc6, 0x05, 0x10, 0, 0, 0, 0xee), 0); /* mov byte [rip+0x10], 0xee */
    CHECK_EQ(g.bytes[0x117], 0xee);
}

static void test_canonical(void)
{
    begin("addresses that are not canonical", 8, BASE);
    g.gpr[GPR_RBX] = 0x0000800000000000ull;
    CHECK_EQ(RUN(0x8a, 0x03), -EFAULT);
    check_fault(13, 0, 0);
    g.gpr[GPR_RBX] = 0x00007ffffffffffeull; /* its last bytes are not */
    CHECK_EQ(RUN(0x8b, 0x03), -EFAULT);
    check_fault(13, 0, 0);
    g.gpr[GPR_RBP] = 0x1234567890abcdefull;
    CHECK_EQ(RUN(0x8b, 0x45, 0), -EFAULT); /* mov eax, [rbp] */
    check_fault(12, 0, 0);
    CHECK_EQ(g.reads, 0);
    begin("FS and GS have a base, DS has not", 8, BASE);
    g.seg[SEG_DS].base = 0x40;
    g.seg[SEG_GS].base = BASE + 0x30;
    g.gpr[GPR_RBX] = 3;
    CHECK_EQ(RUN(0x65, 0x8a, 0x03), 0);
    CHECK_EQ(g.gpr[GPR_RAX] & 0xff, g.bytes[0x33]);
    g.gpr[GPR_RBX] = BASE;
    CHECK_EQ(RUN(0x3e, 0x8a, 0x03), 0);
    CHECK_EQ(g.gpr[GPR_RAX] & 0xff, g.bytes[0]);
}

/* --- Segments --------------------------------------------------------------------- */

static int store_byte_at(u64 offset)
{
    g.gpr[GPR_RBX] = offset;
    return RUN(0x88, 0x03); /* mov [ebx], al */
}

static int load_byte_at(u64 offset)
{
    g.gpr[GPR_RBX] = offset;
    return RUN(0x8a, 0x03);
}

static void test_segments(void)
{
    begin("limits", 4, 0);
    g.seg[SEG_DS].limit = 0xfff;
    CHECK_EQ(load_byte_at(0xfff), 0);
    CHECK_EQ(load_byte_at(0x1000), -EFAULT);
    check_fault(13, 0, 0);
    g.gpr[GPR_RBX] = 0xffd;
    CHECK_EQ(RUN(0x8b, 0x03), -EFAULT); /* mov eax, [ebx] */
    check_about("expand-down: above the limit only");
    g.seg[SEG_DS].attr |= 4;
    CHECK_EQ(load_byte_at(0xfff), -EFAULT);
    CHECK_EQ(load_byte_at(0x1000), 0);
    g.seg[SEG_DS].attr &= (u16)~SEG_ATTR_DB;
    CHECK_EQ(load_byte_at(0x10000), -EFAULT);

    begin("types", 4, 0);
    g.seg[SEG_DS].attr &= (u16)~2; /* read-only */
    CHECK_EQ(load_byte_at(1), 0);
    CHECK_EQ(store_byte_at(1), -EFAULT);
    check_fault(13, 0, 0);
    g.gpr[GPR_RBX] = 1;
    CHECK_EQ(RUN(0x2e, 0x8a, 0x03), 0); /* code that can be read */
    CHECK_EQ(RUN(0x2e, 0x88, 0x03), -EFAULT);
    g.seg[SEG_CS].attr &= (u16)~2; /* execute-only */
    CHECK_EQ(RUN(0x2e, 0x8a, 0x03), -EFAULT);
    g.seg[SEG_SS].attr = 0; /* a null selector */
    CHECK_EQ(RUN(0x36, 0x8a, 0x03), -EFAULT);
    check_fault(12, 0, 0);
    check_about("no types in real mode");
    g.ctx.protected_mode = false;
    CHECK_EQ(RUN(0x2e, 0x88, 0x03), 0);
}

/* --- Faults ----------------------------------------------------------------------- */

static void test_faults_change_nothing(void)
{
    begin("a write that crosses into an absent page", 8, BASE);
    g.absent[1] = true;
    g.gpr[GPR_RBX] = BASE + 0xffe;
    g.gpr[GPR_RAX] = 0x99999999;
    CHECK_EQ(RUN(0x89, 0x03), -EFAULT);
    check_fault(14, 2, BASE + 0x1000);
    CHECK_EQ(g.bytes[0xffe], 0xfe ^ 0x0f);
    CHECK_EQ(g.writes, 0);

    begin("read-modify-write faults as a write, before it reads", 8, BASE);
    g.read_only[0] = true;
    g.gpr[GPR_RBX] = BASE;
    CHECK_EQ(RUN(0x83, 0x03, 0x01), -EFAULT); /* add dword [rbx], 1 */
    check_fault(14, 3, BASE);
    CHECK_EQ(g.reads, 0);
    CHECK_EQ(g.rflags, 2);
    CHECK_EQ(RUN(0x87, 0x03), -EFAULT); /* xchg */
    check_fault(14, 3, BASE);
    CHECK_EQ(g.gpr[GPR_RAX], 0);
    CHECK_EQ(RUN(0x83, 0x3b, 0x01), 0); /* cmp only reads */

    begin("POP to a bad address leaves rSP", 8, BASE);
    g.gpr[GPR_RSP] = BASE + 0x800;
    g.gpr[GPR_RBX] = 8;
    CHECK_EQ(RUN(0x8f, 0x03), -EFAULT);
    check_fault(14, 2, 8);
    CHECK_EQ(g.gpr[GPR_RSP], BASE + 0x800);
    check_about("PUSH below an absent page leaves rSP");
    g.gpr[GPR_RSP] = BASE;
    g.gpr[GPR_RBX] = BASE;
    CHECK_EQ(RUN(0xff, 0x33), -EFAULT);
    check_fault(14, 2, BASE - 8);
    CHECK_EQ(g.gpr[GPR_RSP], BASE);
}

static void test_fault_in_rep(void)
{
    begin("REP MOVSD faults in its fourth iteration", 4, 0x10000);
    g.absent[3] = true;
    g.gpr[GPR_RSI] = 0x10000;
    g.gpr[GPR_RDI] = 0x13000 - 12;
    g.gpr[GPR_RCX] = 10;
    CHECK_EQ(RUN(0xf3, 0xa5), -EFAULT);
    check_fault(14, 2, 0x13000);
    CHECK_EQ(g.gpr[GPR_RCX], 7);
    CHECK_EQ(g.gpr[GPR_RSI], 0x1000c);
    CHECK_EQ(g.gpr[GPR_RDI], 0x13000);
    CHECK_EQ(long_at(0x3000 - 4), long_at(8));

    begin("downwards, across 0 of a 16-bit segment", 2, 0x20000);
    g.seg[SEG_ES].base = 0x20000;
    g.rflags |= 1 << 10;
    g.gpr[GPR_RAX] = 0x5a;
    g.gpr[GPR_RDI] = 0xaaaa0001; /* only DI counts */
    g.gpr[GPR_RCX] = 0xbbbb0003;
    CHECK_EQ(RUN(0xf3, 0xaa), -EFAULT); /* 1, 0, then 0xffff: outside the window */
    check_fault(14, 2, 0x2ffff);
    CHECK_EQ(g.gpr[GPR_RDI], 0xaaaaffff);
    CHECK_EQ(g.gpr[GPR_RCX], 0xbbbb0001);
    CHECK_EQ(g.bytes[0], 0x5a);
    CHECK_EQ(g.bytes[1], 0x5a);
}

/* --- Strings ---------------------------------------------------------------------- */

static void test_chunks(void)
{
    begin("a REP without end is done in chunks", 8, BASE);
    g.gpr[GPR_RSI] = BASE;
    g.gpr[GPR_RCX] = 1ull << 40;
    CHECK_EQ(RUN(0xf3, 0xac), -EBUSY);
    CHECK_EQ(g.gpr[GPR_RCX], (1ull << 40) - EMU_CHUNK);
    CHECK_EQ(g.gpr[GPR_RSI], BASE + EMU_CHUNK);
    CHECK_EQ(g.reads, EMU_CHUNK);
    g.gpr[GPR_RCX] = EMU_CHUNK;
    CHECK_EQ(RUN(0xf3, 0xac), 0);
    CHECK_EQ(g.gpr[GPR_RCX], 0);
    g.gpr[GPR_RCX] = 0;
    g.reads = 0;
    CHECK_EQ(RUN(0xf3, 0xac), 0);
    CHECK_EQ(g.reads, 0);

    begin("CX, ECX or RCX counts", 2, 0);
    g.gpr[GPR_RCX] = 0x70000;
    CHECK_EQ(RUN(0xf3, 0xaa), 0);
    CHECK_EQ(g.writes, 0);
    CHECK_EQ(RUN(0x67, 0xf3, 0xaa), -EBUSY);
    CHECK_EQ(g.gpr[GPR_RCX], 0x70000 - EMU_CHUNK);

    begin("REPNE SCASB stops at the byte", 4, 0);
    memset(g.bytes, 'a', 100);
    g.bytes[5] = 'b';
    g.gpr[GPR_RAX] = 'b';
    g.gpr[GPR_RCX] = 100;
    CHECK_EQ(RUN(0xf2, 0xae), 0);
    CHECK_EQ(g.gpr[GPR_RDI], 6);
    CHECK_EQ(g.gpr[GPR_RCX], 94);
    CHECK_EQ(g.rflags & 0x40, 0x40);
}

static void test_ports(void)
{
    begin("REP INSW", 2, 0);
    g.gpr[GPR_RDX] = 0xffff01f0;
    g.gpr[GPR_RDI] = 0x100;
    g.gpr[GPR_RCX] = 3;
    CHECK_EQ(RUN(0xf3, 0x6d), 0);
    CHECK_EQ(g.ports, 3);
    CHECK_EQ(g.port[2].port, 0x1f0);
    CHECK_EQ(g.port[2].size, 2);
    CHECK(g.port[2].in);
    CHECK_EQ(long_at(0x100), 0x23122211);
    CHECK_EQ(long_at(0x104) & 0xffff, 0x2413);
    CHECK_EQ(g.gpr[GPR_RDI], 0x106);

    begin("REP OUTSB with a segment override", 4, 0);
    g.seg[SEG_FS].base = 0x1000;
    g.gpr[GPR_RDX] = 0xe9;
    g.gpr[GPR_RSI] = 0x20;
    g.gpr[GPR_RCX] = 300;
    CHECK_EQ(RUN(0x64, 0xf3, 0x6e), -EBUSY);
    CHECK_EQ(g.ports, EMU_CHUNK);
    CHECK(!g.port[0].in);
    CHECK_EQ(g.port[1].value, g.bytes[0x1000 + 0x20 + 1]);
    CHECK_EQ(g.gpr[GPR_RCX], 300 - EMU_CHUNK);

    begin("INS does not read a port whose value cannot be stored", 4, 0);
    g.read_only[0] = true;
    CHECK_EQ(RUN(0x6c), -EFAULT);
    check_fault(14, 3, 0);
    CHECK_EQ(g.ports, 0);
    begin("REX.W does not make a port wider", 8, BASE);
    g.gpr[GPR_RDI] = BASE;
    CHECK_EQ(RUN(0x48, 0x6d), 0);
    CHECK_EQ(g.port[0].size, 4);
    CHECK_EQ(g.gpr[GPR_RDI], BASE + 4);
}

/* --- Stack ------------------------------------------------------------------------- */

static void test_stack(void)
{
    begin("a 16-bit stack of 32-bit code", 4, 0);
    g.seg[SEG_SS].attr &= (u16)~SEG_ATTR_DB;
    g.gpr[GPR_RSP] = 0x12340100;
    g.gpr[GPR_RBX] = 0x40;
    CHECK_EQ(RUN(0xff, 0x33), 0); /* push dword [ebx] */
    CHECK_EQ(g.gpr[GPR_RSP], 0x123400fc);
    CHECK_EQ(long_at(0xfc), long_at(0x40));
    CHECK_EQ(RUN(0x8f, 0x43, 0x10), 0); /* pop dword [ebx+16] */
    CHECK_EQ(g.gpr[GPR_RSP], 0x12340100);
    CHECK_EQ(long_at(0x50), long_at(0x40));

    begin("POP [rsp] uses rSP after the POP", 8, BASE);
    g.gpr[GPR_RSP] = BASE + 0x100;
    CHECK_EQ(RUN(0x8f, 0x04, 0x24), 0);
    CHECK_EQ(long_at(0x108), long_at(0x100));
    check_about("PUSH rsp pushes its old value; POP rsp its new one");
    CHECK_EQ(RUN(0x54), 0);
    CHECK_EQ(long_at(0x100), BASE + 0x108);
    CHECK_EQ(RUN(0x5c), 0);
    CHECK_EQ(g.gpr[GPR_RSP], BASE + 0x108);
    check_about("PUSH imm8 is sign-extended");
    CHECK_EQ(RUN(0x6a, 0xfe), 0);
    CHECK_EQ(long_at(0x104), 0xffffffff);
    CHECK_EQ(long_at(0x100), 0xfffffffe);
    check_about("the stack wraps at 64 KiB");
    begin("", 2, 0xf000);
    g.gpr[GPR_RSP] = 0;
    CHECK_EQ(RUN(0x68, 0x34, 0x12), 0);
    CHECK_EQ(g.gpr[GPR_RSP], 0xfffe);
    CHECK_EQ(long_at(0xffe) & 0xffff, 0x1234);
}

static void test_others(void)
{
    begin("not emulated", 8, BASE);
    CHECK_EQ(RUN(0x0f, 0xa2), -ENOTSUP);             /* cpuid */
    CHECK_EQ(RUN(0x0f, 0xaf, 0x03), -ENOTSUP);       /* imul eax, [rbx] */
    CHECK_EQ(RUN(0xf3, 0x0f, 0x6f, 0x03), -ENOTSUP); /* movdqu xmm0, [rbx] */
    CHECK_EQ(g.reads + g.writes, 0);
    begin("AH to BH", 4, 0);
    g.gpr[GPR_RAX] = 0x1122;
    g.gpr[GPR_RBX] = 0x20;
    CHECK_EQ(RUN(0x88, 0x23), 0); /* mov [ebx], ah */
    CHECK_EQ(g.bytes[0x20], 0x11);
    CHECK_EQ(RUN(0x8a, 0x63, 0x01), 0); /* mov ah, [ebx+1] */
    CHECK_EQ(g.gpr[GPR_RAX], 0x2122);
}

int main(void)
{
    test_addresses_16();
    test_addresses_32();
    test_canonical();
    test_segments();
    test_faults_change_nothing();
    test_fault_in_rep();
    test_chunks();
    test_ports();
    test_stack();
    test_others();
    return check_done("emulate");
}
