/*
 * exit_ltr.c and exit_dr.c: what the processor would have refused is refused,
 * the rest is carried out. AMD64 Manual vol. 3, LTR; vol. 2, 4.8.3, 13.1.1.
 */
#include <string.h>
#include "vmm/tests/check.h"
#include "vmm/tests/rig.h"

#define GDT   0x9000ull
#define LIMIT 0x4f
#define FREE_TSS  0x0000890000000067ull /* limit 0x67, present, type 9 */
#define TSS_BASE  0x12345678ull
#define SPLIT_BASE ((TSS_BASE & 0xffffff) << 16 | (TSS_BASE >> 24) << 56)

static struct vm vm;
static struct vcpu *const v = &vm.vcpu;

static u64 *gdt_entry(u32 selector)
{
    return guestmem_ptr(&vm.mem, gpa(GDT + selector), NULL);
}

/* LTR AX in 64-bit mode, with a GDT in which 0x28 is a free TSS. */
static void ltr(const char *what, u16 selector, u64 low, u64 high)
{
    struct seg gdt = {.base = GDT, .limit = LIMIT};

    check_about("%s", what);
    rig_begin(&vm, "");
    rig_mode(&vm, RIG_LONG);
    hv_set_seg(v, SEG_GDTR, &gdt);
    hv_set_seg(v, SEG_TR, &(struct seg){.selector = 0x77});
    gdt_entry(0)[0] = FREE_TSS; /* must not matter */
    gdt_entry(0)[1] = 0;
    gdt_entry(0x28)[0] = low;
    gdt_entry(0x28)[1] = high;
    v->gpr[GPR_RAX] = selector;
    RIG_CODE_AT(&vm, 0x0f, 0x00, 0xd8);
    rig_exit(&vm, EXIT_DESCRIPTOR, (struct exit){0});
}

static void refused(const char *what, u16 selector, u64 low, u64 high, u8 vector, u32 error)
{
    struct seg tr;

    ltr(what, selector, low, high);
    CHECK(rig_raised(&vm, vector, error));
    CHECK_EQ(gdt_entry(0x28)[0], low);
    hv_get_seg(v, SEG_TR, &tr);
    CHECK_EQ(tr.selector, 0x77);
    rig_end(&vm);
}

static void test_ltr(void)
{
    struct seg tr;

    ltr("LTR of a free TSS", 0x28, FREE_TSS | SPLIT_BASE, 0xffff8000);
    CHECK_EQ(v->rip, RIG_CODE + 3);
    CHECK(!v->inject.valid && vm.alive);
    hv_get_seg(v, SEG_TR, &tr);
    CHECK_EQ(tr.selector, 0x28);
    CHECK_EQ(tr.base, 0xffff800012345678ull);
    CHECK_EQ(tr.limit, 0x67);
    CHECK_EQ(tr.attr, 0x8b); /* busy */
    CHECK_EQ(gdt_entry(0x28)[0], FREE_TSS | SPLIT_BASE | 1ull << 41);
    rig_end(&vm);

    refused("LTR of null", 0, FREE_TSS, 0, 13, 0);
    refused("LTR of null with RPL", 3, FREE_TSS, 0, 13, 0);
    refused("LTR from the LDT", 0x2c, FREE_TSS, 0, 13, 0x2c);
    refused("LTR behind the limit", 0x48, FREE_TSS, 0, 13, 0x48);
    refused("LTR of a busy TSS", 0x28, FREE_TSS | 1ull << 41, 0, 13, 0x28);
    refused("LTR of a data segment", 0x28, 0x0000930000000067ull, 0, 13, 0x28);
    refused("LTR of a 16-bit TSS in long mode", 0x28, FREE_TSS & ~(8ull << 40), 0, 13, 0x28);
    refused("LTR of a TSS that is not present", 0x28, FREE_TSS & ~(1ull << 47), 0, 11, 0x28);
    refused("LTR of a malformed upper half", 0x28, FREE_TSS, 1ull << 40, 13, 0x28);
}

static void test_ltr_legacy(void)
{
    struct seg gdt = {.base = GDT, .limit = LIMIT}, tr;

    check_about("LTR of a 16-bit TSS from memory, 32-bit mode");
    rig_begin(&vm, "");
    rig_mode(&vm, RIG_FLAT32);
    hv_set_seg(v, SEG_GDTR, &gdt);
    gdt_entry(0x48)[0] = FREE_TSS & ~(8ull << 40); /* the last eight bytes do */
    *(u16 *)guestmem_ptr(&vm.mem, gpa(0x8000), NULL) = 0x48;
    RIG_CODE_AT(&vm, 0x0f, 0x00, 0x1d, 0x00, 0x80, 0x00, 0x00);
    rig_exit(&vm, EXIT_DESCRIPTOR, (struct exit){0});
    CHECK_EQ(v->rip, RIG_CODE + 7);
    hv_get_seg(v, SEG_TR, &tr);
    CHECK_EQ(tr.selector, 0x48);
    CHECK_EQ(tr.attr, 0x83);
    rig_end(&vm);
}

/* MOV DRn, RAX in 64-bit mode. */
static void mov_dr(const char *what, u8 n, u64 value, u64 cr4)
{
    check_about("%s", what);
    rig_begin(&vm, "");
    rig_mode(&vm, RIG_LONG);
    hv_set(v, HV_CR4, hv_get(v, HV_CR4) | cr4);
    hv_set(v, HV_DR6, 0xffff0ff0);
    hv_set(v, HV_DR7, 0x400);
    v->gpr[GPR_RAX] = value;
    RIG_CODE_AT(&vm, 0x0f, 0x23, (u8)(0xc0 | n << 3));
    rig_exit(&vm, EXIT_DR, (struct exit){0});
}

static void test_dr(void)
{
    mov_dr("DR6 keeps its fixed bits", 6, 0, 0);
    CHECK_EQ(hv_get(v, HV_DR6), 0xffff0ff0);
    CHECK_EQ(v->rip, RIG_CODE + 3);
    rig_end(&vm);

    mov_dr("DR7 keeps its fixed bits", 7, 0xffffffff, 0);
    CHECK_EQ(hv_get(v, HV_DR7), 0xffff2fff);
    rig_end(&vm);

    mov_dr("DR5 is DR7 without CR4.DE", 5, 0x401, 0);
    CHECK_EQ(hv_get(v, HV_DR7), 0x401);
    rig_end(&vm);

    mov_dr("DR4 does not exist with CR4.DE", 4, 0, 8);
    CHECK(rig_raised(&vm, 6, -1));
    rig_end(&vm);

    mov_dr("high bits of DR7", 7, 1ull << 32, 0);
    CHECK(rig_raised(&vm, 13, 0));
    CHECK_EQ(hv_get(v, HV_DR7), 0x400);
    rig_end(&vm);
}

/* QEMU lets a few invalid forms exit: the guest is to see a #UD. */
static void test_invalid_forms(void)
{
    check_about("LOCK MOV DR7, RAX");
    rig_begin(&vm, "");
    rig_mode(&vm, RIG_LONG);
    RIG_CODE_AT(&vm, 0xf0, 0x0f, 0x23, 0xf8);
    rig_exit(&vm, EXIT_DR, (struct exit){0});
    CHECK(rig_raised(&vm, 6, -1));
    rig_end(&vm);
}

int main(void)
{
    test_ltr();
    test_ltr_legacy();
    test_dr();
    test_invalid_forms();
    return check_done("system");
}
