/*
 * A TLB that its guest fills, on the fake backend: misses as the guest gets them, the
 * hypercalls and what they refuse, the kernel's segment, spaces by CR3, entries that vanish.
 * What the processor would use is read by a descent of the test's own.
 */
#include "vmm/cr.h"
#include "vmm/exit.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/tests/check.h"
#include "vmm/tests/paged.h"

#define LOW        0x5000ull /* in the kernel's segment */
#define PAGE       0x7f0012345000ull
#define HALF       0xffff900000200000ull /* 2 MiB, in the upper half */
#define TO         0x40000ull
#define OTHER      0x41000ull
#define READ_ONLY  ACCESS_EXEC
#define ALL        (ACCESS_WRITE | ACCESS_USER | ACCESS_EXEC)
#define LARGE      0x80
#define NO_SERVICE (~0ull)

enum { WRITE = 1, FLUSH = 2, FLUSH_SPACE = 3 };

/* Nothing of the rig's tables counts: CR3 leads to where there is no memory. */
static void begin(const char *what, const char *args)
{
    check_about("%s", what);
    rig_begin(&vm, args);
    rig_mode(&vm, RIG_LONG);
    CHECK(cr_write_efer(v, EFER_LME | EFER_NXE));
    CHECK(cr_write_3(v, 1ull << 32));
    CHECK(cr_write_0(v, CR0_PE | CR0_PG));
    CHECK(vm.shadow.active);
}

static u64 call(u64 number, u64 gva, u64 to, u64 how)
{
    u64 rip = v->rip;

    v->gpr[GPR_RAX] = number;
    v->gpr[GPR_RBX] = gva;
    v->gpr[GPR_RCX] = to;
    v->gpr[GPR_RDX] = how;
    rig_exit(&vm, EXIT_HYPERCALL, (struct exit){.insn_len = 3});
    CHECK_EQ(v->rip, rip + 3);
    v->rip = rip;
    return v->gpr[GPR_RAX];
}

/* The guest gets it, with that code. */
static bool missed(u64 gva, u32 error)
{
    rig_fault(&vm, gva, error);
    return rig_raised(&vm, 14, error) && hv_get(v, HV_CR2) == gva;
}

static void test_misses(void)
{
    begin("misses are the guest's, and what forbids is", "mmu=vtlb");
    CHECK(missed(PAGE + 8, PF_W));
    CHECK(missed(PAGE + 8, PF_U | PF_I));
    CHECK_EQ(call(WRITE, PAGE, TO, READ_ONLY), VTLB_DONE);
    CHECK_EQ(leaf(PAGE) & PTE_ADDR, host(TO));
    CHECK_EQ(leaf(PAGE) & (PTE_W | PTE_U | PTE_NX), 0);
    CHECK(missed(PAGE + 8, PF_P | PF_W)); /* whatever CR0.WP says */
    CHECK(missed(PAGE, PF_P | PF_U));
    CHECK(hidden(PAGE, 0)); /* the processor's TLB is late */
    CHECK_EQ(call(WRITE, PAGE, OTHER, ACCESS_WRITE | ACCESS_USER), VTLB_DONE);
    CHECK_EQ(leaf(PAGE) & PTE_ADDR, host(OTHER));
    CHECK_EQ(leaf(PAGE) & (PTE_W | PTE_U | PTE_NX), PTE_W | PTE_U | PTE_NX);
    CHECK(missed(PAGE, PF_P | PF_I));
    CHECK(!vm.shadow.narrowed);
    rig_end(&vm);
}

static void test_flushes(void)
{
    begin("one address, and all of a space", "mmu=vtlb");
    for (u32 i = 0; i < 3; i++)
        CHECK_EQ(call(WRITE, PAGE + i * PAGE_SIZE, TO, ALL), VTLB_DONE);
    CHECK_EQ(call(FLUSH, PAGE, 0, 0), VTLB_DONE);
    CHECK_EQ(call(FLUSH, PAGE, 0, 0), VTLB_DONE); /* there is none */
    CHECK_EQ(leaf(PAGE), 0);
    shadow_flush_address(v, PAGE + PAGE_SIZE); /* INVLPG */
    CHECK_EQ(leaf(PAGE + PAGE_SIZE), 0);
    CHECK(leaf(PAGE + 2 * PAGE_SIZE) != 0);
    CHECK_EQ(call(FLUSH_SPACE, 0, 0, 0), VTLB_DONE);
    CHECK_EQ(leaf(PAGE + 2 * PAGE_SIZE), 0);
    CHECK_EQ(call(WRITE, PAGE, TO, ALL), VTLB_DONE);
    CHECK_EQ(leaf(PAGE + 2 * PAGE_SIZE), 0); /* its table is the same, and began anew */
    CHECK(leaf(PAGE) != 0);

    check_about("CR3 names a space and flushes nothing");
    CHECK(cr_write_3(v, 3ull << 32));
    CHECK_EQ(leaf(PAGE), 0);
    CHECK(missed(PAGE, 0));
    CHECK_EQ(call(WRITE, PAGE, OTHER, ALL), VTLB_DONE);
    CHECK(cr_write_3(v, 1ull << 32));
    CHECK_EQ(leaf(PAGE) & PTE_ADDR, host(TO));
    CHECK(cr_write_3(v, 3ull << 32 | 0xfff));
    CHECK_EQ(leaf(PAGE) & PTE_ADDR, host(OTHER));
    rig_end(&vm);
}

static void test_large(void)
{
    begin("2 MiB at once", "mem=1M,2M@4M,1M@6M,1M@8M mmu=vtlb");
    CHECK_EQ(call(WRITE, HALF, 4u << 20, ACCESS_WRITE | LARGE), VTLB_DONE);
    for (u64 off = 0; off < 2u << 20; off += PAGE_SIZE) {
        CHECK_EQ(leaf(HALF + off) & PTE_ADDR, host((4u << 20) + off));
        CHECK_EQ(leaf(HALF + off) & (PTE_W | PTE_U | PTE_NX), PTE_W | PTE_NX);
    }
    check_about("2 MiB that are not all memory");
    CHECK_EQ(call(WRITE, HALF, 6u << 20, ALL | LARGE), VTLB_NO_MEMORY);
    CHECK_EQ(leaf(HALF) & PTE_ADDR, host(4u << 20)); /* nothing was done */
    CHECK_EQ(call(WRITE, HALF + PAGE_SIZE, 4u << 20, ALL | LARGE), VTLB_MALFORMED);
    CHECK_EQ(call(WRITE, HALF, (4u << 20) + PAGE_SIZE, ALL | LARGE), VTLB_MALFORMED);
    rig_end(&vm);
}

static void test_refused(void)
{
    static const struct {
        u64 number, gva, to, how, result;
    } calls[] = {
        {WRITE, PAGE + 8, TO, ALL, VTLB_MALFORMED},
        {WRITE, PAGE, TO + 8, ALL, VTLB_MALFORMED},
        {WRITE, PAGE, TO, ALL | 8, VTLB_MALFORMED},
        {WRITE, PAGE, TO, ALL | 1ull << 63, VTLB_MALFORMED},
        {WRITE, 1ull << 47, TO, ALL, VTLB_MALFORMED},
        {WRITE, LOW, TO, ALL, VTLB_MALFORMED},
        {WRITE, VTLB_SEGMENT - PAGE_SIZE, TO, ALL, VTLB_MALFORMED},
        {WRITE, VTLB_SEGMENT, TO, ALL, VTLB_DONE},
        {WRITE, PAGE, 1u << 20, ALL, VTLB_NO_MEMORY},
        {WRITE, PAGE, ~PAGE_MASK, ALL, VTLB_NO_MEMORY},
        {0, PAGE, TO, ALL, NO_SERVICE},
        {4, PAGE, TO, ALL, NO_SERVICE},
        {1ull << 32 | WRITE, PAGE, TO, ALL, NO_SERVICE},
    };

    begin("what is refused", "mmu=vtlb");
    for (u32 i = 0; i < ARRAY_SIZE(calls); i++) {
        check_about("call %u", i);
        CHECK_EQ(call(calls[i].number, calls[i].gva, calls[i].to, calls[i].how), calls[i].result);
        CHECK_EQ(leaf(PAGE), 0);
    }
    check_about("NX without EFER.NXE");
    CHECK(cr_write_efer(v, EFER_LME));
    CHECK_EQ(call(WRITE, PAGE, TO, ACCESS_WRITE), VTLB_MALFORMED);
    CHECK_EQ(call(WRITE, PAGE, TO, ALL), VTLB_DONE);
    CHECK(missed(PAGE + PAGE_SIZE, 0)); /* and its code has no bit 4: */
    rig_fault(&vm, PAGE + PAGE_SIZE, PF_I);
    CHECK(rig_raised(&vm, 14, 0));

    check_about("a user's call");
    struct seg ss;
    hv_get_seg(v, SEG_SS, &ss);
    ss.attr |= 3u << 5;
    hv_set_seg(v, SEG_SS, &ss);
    CHECK_EQ(call(WRITE, PAGE, OTHER, ALL), NO_SERVICE);
    CHECK_EQ(leaf(PAGE) & PTE_ADDR, host(TO));
    rig_end(&vm);

    check_about("other guests, and before paging");
    rig_begin(&vm, "mmu=shadow");
    CHECK_EQ(call(WRITE, PAGE, TO, ALL), NO_SERVICE);
    rig_end(&vm);
    rig_begin(&vm, "mmu=vtlb");
    CHECK_EQ(call(WRITE, PAGE, TO, ALL), NO_SERVICE);
    rig_end(&vm);
}

static void test_segment(void)
{
    begin("the kernel's segment", "mmu=vtlb");
    CHECK(hidden(LOW + 4, PF_W));
    CHECK_EQ(leaf(LOW) & PTE_ADDR, host(LOW));
    CHECK_EQ(leaf(LOW) & (PTE_W | PTE_U | PTE_NX), PTE_W);
    CHECK(missed(LOW, PF_P | PF_U));
    rig_fault(&vm, LOW + PAGE_SIZE, PF_U); /* filled or not is no matter */
    CHECK(rig_raised(&vm, 14, PF_P | PF_U));

    check_about("where there is no memory");
    RIG_CODE_AT(&vm, 0x48, 0x8b, 0x07); /* mov (%rdi), %rax */
    CHECK(hidden(RIG_CODE, PF_I));
    v->gpr[GPR_RDI] = 2u << 20;
    CHECK(hidden(2u << 20, 0));
    CHECK_EQ(v->gpr[GPR_RAX], ~0ull);
    CHECK_EQ(v->rip, RIG_CODE + 3);
    rig_end(&vm);
}

/* The VMM's own accesses, for instructions that it carries out. */
static void test_emulated(void)
{
    struct guest_paging paging;
    struct walk w;

    begin("walks of the VMM's", "mmu=vtlb");
    paging = vcpu_paging(v);
    CHECK_EQ(walk_shadow(v, &paging, gva(PAGE), 0, &w), FAULT_NOT_PRESENT);
    CHECK_EQ(call(WRITE, PAGE, TO, READ_ONLY), VTLB_DONE);
    CHECK_EQ(walk_shadow(v, &paging, gva(PAGE + 5), 0, &w), FAULT_NONE);
    CHECK_EQ(w.gpa.v, TO + 5);
    CHECK_EQ(w.refs, 4);
    CHECK_EQ(walk_shadow(v, &paging, gva(PAGE), ACCESS_WRITE, &w), FAULT_WRITE);
    CHECK_EQ(w.error, PF_P | PF_W);
    CHECK_EQ(walk_shadow(v, &paging, gva(LOW), ACCESS_WRITE, &w), FAULT_NONE);
    CHECK_EQ(w.gpa.v, LOW);
    CHECK_EQ(walk_shadow(v, &paging, gva(1ull << 47), 0, &w), FAULT_NON_CANONICAL);
    rig_end(&vm);
}

static void test_narrow(void)
{
    for (u64 cr4 = 0; cr4 <= CR4_PAE; cr4 += CR4_PAE) {
        check_about("32-bit, CR4 %#lx", cr4);
        rig_begin(&vm, "mmu=vtlb");
        rig_mode(&vm, RIG_FLAT32);
        CHECK(cr_write_3(v, 0xfffff000)); /* with PAE: no pointers are read there */
        CHECK(cr_write_4(v, cr4));
        CHECK(cr_write_0(v, CR0_PE | CR0_PG));
        CHECK(hidden(LOW, 0));
        CHECK(missed(0xffc00000, PF_W));
        CHECK_EQ(call(WRITE, 0xffc00000, TO, ALL), VTLB_DONE);
        CHECK_EQ(rig_leaf(&vm, 0xffc00000, 30) & PTE_ADDR, host(TO));
        CHECK_EQ(call(0xabc00000000 | WRITE, 0xff00000000 | 0xffe00000, TO, ALL), VTLB_DONE);
        CHECK_EQ(rig_leaf(&vm, 0xffe00000, 30) & PTE_ADDR, host(TO));
        rig_end(&vm);
    }
}

/* What is told to be there may be gone, and is never another space's. */
static void test_vanishing(void)
{
    begin("forty spaces on thirty-two pages", "mmu=vtlb shadowpages=32");
    for (u32 round = 0; round < 3; round++)
        for (u64 i = 0; i < 40; i++) {
            CHECK(cr_write_3(v, i << 12));
            u64 mine = TO + i * PAGE_SIZE, at = PAGE + (i % 3 << 30);
            CHECK(!leaf(at) || (leaf(at) & PTE_ADDR) == host(mine));
            CHECK_EQ(call(WRITE, at, mine, ALL), VTLB_DONE);
            CHECK_EQ(leaf(at) & PTE_ADDR, host(mine));
            CHECK(hidden(LOW, 0));
            CHECK_EQ(leaf(at) & PTE_ADDR, host(mine)); /* the newest stay */
        }
    CHECK_EQ(vm.shadow.fresh, 32);
    rig_end(&vm);
}

static void put(u64 at, u64 value)
{
    CHECK_EQ(guestmem_write(&vm.mem, gpa(at), &value, 8), 0);
}

/* Its IDT, GDT and stack are found by what the segment says; CR3 is a name. */
static void test_double_fault(void)
{
    begin("a double fault that exits, and whose way is in the segment", "mmu=vtlb");
    hv_set_seg(v, SEG_IDTR, &(struct seg){.limit = 0xfff, .base = LOW});
    hv_set_seg(v, SEG_GDTR, &(struct seg){.limit = 0xfff, .base = LOW + PAGE_SIZE});
    put(LOW + 8 * 16, 0x00008e0000080000 | RIG_CODE);
    put(LOW + PAGE_SIZE + 8, 0x00af9b000000ffff);
    v->gpr[GPR_RSP] = LOW + 3 * PAGE_SIZE;
    rig_exit(&vm, EXIT_EXCEPTION, (struct exit){.exc = {.vector = VECTOR_DF}});
    CHECK(rig_raised(&vm, VECTOR_DF, 0));
    rig_end(&vm);
}

int main(void)
{
    pt_phys_bits = 52; /* the shadow's tables lie where this program's memory does */
    test_misses();
    test_flushes();
    test_large();
    test_refused();
    test_segment();
    test_emulated();
    test_narrow();
    test_vanishing();
    test_double_fault();
    return check_done("vtlb");
}
