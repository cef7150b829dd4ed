/*
 * The shadow MMU on the fake backend: faults as a processor would report them, the entries
 * that come of them, writes to tables in and out of step, roles, recycling. What is in a
 * shadow table is read by a descent of the test's own.
 */
#include <string.h>
#include "vmm/cr.h"
#include "vmm/doublefault.h"
#include "vmm/exit.h"
#include "vmm/tests/check.h"
#include "vmm/tests/paged.h"

#define TABLE(n)   (RIG_ROOT + (n)*PAGE_SIZE) /* 0: the root, of level 4; 3: of level 1 */
#define PAGE_AT(n) ((n)*PAGE_SIZE)
#define FREE       0x40ull /* a page that nobody uses, and those behind it */

static u64 *guest_entry(u32 table, u32 i)
{
    return (u64 *)guestmem_ptr(&vm.mem, gpa(TABLE(table)), NULL) + i;
}

/* Rights as the guest's tables have them from the rig; paging goes on by MOV CR0. */
static void begin(const char *what, const char *args)
{
    check_about("%s", what);
    rig_begin(&vm, args);
    rig_mode(&vm, RIG_LONG);
    CHECK(cr_write_0(v, CR0_PE | CR0_PG | CR0_WP));
    CHECK(vm.shadow.active);
}

static void test_fill(void)
{
    begin("a first read, then a write", "mmu=shadow");
    CHECK_EQ(leaf(PAGE_AT(FREE)), 0);
    CHECK(hidden(PAGE_AT(FREE) + 8, 0));
    CHECK_EQ(leaf(PAGE_AT(FREE)) & PTE_ADDR, host(PAGE_AT(FREE)));
    CHECK_EQ(leaf(PAGE_AT(FREE)) & (PTE_W | PTE_U), PTE_U); /* clean: not yet writable */
    CHECK_EQ(*guest_entry(3, FREE) & (PTE_A | PTE_D), PTE_A);
    CHECK(hidden(PAGE_AT(FREE), PF_P | PF_W));
    CHECK_EQ(leaf(PAGE_AT(FREE)) & (PTE_W | PTE_U), PTE_W | PTE_U);
    CHECK_EQ(*guest_entry(3, FREE) & (PTE_A | PTE_D), PTE_A | PTE_D);
    rig_end(&vm);
}

static void test_guests_own(void)
{
    begin("faults of the guest's", "mmu=shadow");
    *guest_entry(3, FREE) = 0;
    *guest_entry(3, FREE + 1) &= ~(PTE_W | PTE_U);
    *guest_entry(3, FREE + 2) |= 1ull << 51;
    for (u32 round = 0; round < 2; round++) { /* by a walk, and then without */
        rig_fault(&vm, PAGE_AT(FREE), PF_W);
        CHECK(rig_raised(&vm, 14, PF_W));
        CHECK_EQ(hv_get(v, HV_CR2), PAGE_AT(FREE));
        rig_fault(&vm, PAGE_AT(FREE + 1), PF_P | PF_U);
        CHECK(rig_raised(&vm, 14, PF_P | PF_U));
        rig_fault(&vm, PAGE_AT(FREE + 1), PF_W); /* missing with us, forbidden by the guest */
        CHECK(rig_raised(&vm, 14, PF_P | PF_W));
        rig_fault(&vm, PAGE_AT(FREE + 2), 0);
        CHECK(rig_raised(&vm, 14, PF_P | PF_RSVD));
        CHECK_EQ(leaf(PAGE_AT(FREE + 1)), 0);
        CHECK(hidden(PAGE_AT(FREE + 3), 0));
    }
    rig_end(&vm);
}

static void test_tables(void)
{
    begin("a table of the lowest level goes out of step", "mmu=shadow");
    CHECK(hidden(PAGE_AT(FREE), 0));
    *guest_entry(3, TABLE(3) / PAGE_SIZE) |= PTE_D; /* else it were not writable, anyway */
    CHECK(hidden(TABLE(3), 0));
    CHECK(!(leaf(TABLE(3)) & PTE_W));
    CHECK(hidden(TABLE(3), PF_P | PF_W));
    CHECK(leaf(TABLE(3)) & PTE_W);
    *guest_entry(3, FREE) = PAGE_AT(FREE + 9) | PTE_P | PTE_A | PTE_U;
    shadow_flush_address(v, PAGE_AT(FREE));
    CHECK_EQ(leaf(PAGE_AT(FREE)) & PTE_ADDR, host(PAGE_AT(FREE + 9)));
    *guest_entry(3, FREE) = 0;
    CHECK(cr_write_3(v, RIG_ROOT));
    CHECK_EQ(leaf(PAGE_AT(FREE)), 0);
    CHECK(!(leaf(TABLE(3)) & PTE_W));

    check_about("a write to an upper one is carried out");
    CHECK(hidden(PAGE_AT(FREE + 1), 0));
    CHECK(hidden(RIG_CODE, PF_I));
    RIG_CODE_AT(&vm, 0x48, 0x89, 0x07); /* mov %rax, (%rdi) */
    u64 rip = v->rip, entry = *guest_entry(2, 1);
    v->gpr[GPR_RDI] = TABLE(2) + 8;
    v->gpr[GPR_RAX] = 0x1234;
    CHECK(hidden(TABLE(2) + 8, PF_P | PF_W));
    CHECK_EQ(*guest_entry(2, 1), 0x1234);
    CHECK_EQ(v->rip, rip + 3);
    CHECK(leaf(PAGE_AT(FREE + 1)) != 0); /* that of another entry */
    *guest_entry(2, 1) = entry;
    v->rip = rip;
    v->gpr[GPR_RDI] = TABLE(2);
    v->gpr[GPR_RAX] = *guest_entry(2, 0);
    CHECK(hidden(TABLE(2), PF_P | PF_W));
    CHECK_EQ(leaf(PAGE_AT(FREE + 1)), 0);
    rig_end(&vm);
}

/* The processor may still hold that the table is writable, wherever it is mapped. */
static void test_refused_write(void)
{
    begin("a write to an upper one that the emulator does not know", "mmu=shadow");
    CHECK(hidden(PAGE_AT(FREE), 0));
    CHECK(hidden(RIG_CODE, PF_I));
    RIG_CODE_AT(&vm, 0x48, 0x0f, 0xc7, 0x0f); /* cmpxchg16b (%rdi) */
    v->gpr[GPR_RDI] = TABLE(2);
    u64 rip = v->rip;
    CHECK(hidden(TABLE(2), PF_P | PF_W));
    CHECK_EQ(v->rip, rip); /* the guest does it itself */
    CHECK(leaf(TABLE(2)) & PTE_W);
    fake_forget();
    shadow_flush_address(v, PAGE_AT(FREE + 1));
    CHECK_EQ(leaf(TABLE(2)) & PTE_W, 0);
    CHECK_EQ(fake_last(FAKE_FLUSH)->which, HV_FLUSH_ALL);
    fake_forget();
    shadow_flush_address(v, PAGE_AT(FREE + 1)); /* now all is in step */
    CHECK_EQ(fake_last(FAKE_FLUSH)->which, HV_FLUSH_ADDR);
    CHECK_EQ(fake_last(FAKE_FLUSH)->value, PAGE_AT(FREE + 1));
    rig_end(&vm);
}

static void test_misaligned_write(void)
{
    begin("a MOV of eight bytes, and where it goes, aligned to nothing", "mmu=shadow");
    CHECK(hidden(PAGE_AT(FREE), 0));
    CHECK(hidden(RIG_CODE, PF_I));
    v->rip = RIG_CODE + 3;
    RIG_CODE_AT(&vm, 0x48, 0x89, 0x07); /* mov %rax, (%rdi) */
    v->gpr[GPR_RDI] = TABLE(2) + 12;
    v->gpr[GPR_RAX] = 0x1122334455667788;
    CHECK(hidden(TABLE(2) + 12, PF_P | PF_W));
    CHECK_EQ(v->rip, RIG_CODE + 6);
    CHECK_EQ(*guest_entry(2, 1), 0x55667788ull << 32);
    CHECK_EQ(*guest_entry(2, 2), 0x11223344);
    rig_end(&vm);
}

/* A changed entry that the processor may hold for another address, too. */
static void test_shared_table(void)
{
    begin("a table of the lowest level that two paths lead to", "mmu=shadow");
    *guest_entry(2, 1) = *guest_entry(2, 0);
    *guest_entry(3, TABLE(3) / PAGE_SIZE) |= PTE_D;
    CHECK(hidden(PAGE_AT(FREE), 0));
    CHECK(hidden(TABLE(3), PF_W)); /* out of step */
    for (u32 paths = 1; paths <= 2; paths++) {
        *guest_entry(3, FREE) ^= PAGE_AT(FREE) ^ PAGE_AT(FREE + 9);
        fake_forget();
        shadow_flush_address(v, PAGE_AT(FREE));
        CHECK_EQ(leaf(PAGE_AT(FREE)) & PTE_ADDR, host(*guest_entry(3, FREE) & PTE_ADDR));
        CHECK_EQ(fake_last(FAKE_FLUSH)->which, paths == 2 ? HV_FLUSH_ALL : HV_FLUSH_ADDR);
        CHECK(hidden((1 << 21) + PAGE_AT(FREE + 1), 0));
        CHECK(hidden(TABLE(3), PF_P | PF_W));
    }
    rig_end(&vm);
}

/* INVLPG finds no way to the entry that it is for; later there is one again. */
static void test_late_path(void)
{
    for (u32 cut = 1; cut <= 2; cut++) {
        begin("a path that is cut while INVLPG comes", "mmu=shadow");
        u64 upper = *guest_entry(cut, 0);
        *guest_entry(3, TABLE(3) / PAGE_SIZE) |= PTE_D;
        CHECK(hidden(PAGE_AT(FREE), 0));
        CHECK(hidden(TABLE(3), PF_W)); /* out of step */
        *guest_entry(3, FREE) ^= PAGE_AT(FREE) ^ PAGE_AT(FREE + 9);
        *guest_entry(cut, 0) = 0;
        shadow_wrote(v, gpa(TABLE(cut)), 0, 8);
        shadow_flush_address(v, PAGE_AT(FREE));
        *guest_entry(cut, 0) = upper;
        shadow_wrote(v, gpa(TABLE(cut)), upper, 8);
        CHECK(hidden(PAGE_AT(FREE + 1), 0));
        CHECK(leaf(PAGE_AT(FREE + 1)) != 0);
        CHECK_EQ(leaf(PAGE_AT(FREE)) & PTE_ADDR, host(PAGE_AT(FREE + 9)));
        rig_end(&vm);
    }
}

/* MOV RAX to entry i of a table: did it cost an exit? */
static bool write_exits(u32 table, u32 i)
{
    u64 rip = v->rip, at = TABLE(table) + i * 8;

    if (leaf(at) & PTE_W)
        return false;
    v->gpr[GPR_RDI] = at;
    v->gpr[GPR_RAX] = *guest_entry(table, i);
    CHECK(hidden(at, PF_P | PF_W));
    v->rip = rip;
    return true;
}

/* An upper table is written over and over; in use it stays protected. */
static void test_flood(void)
{
    begin("a table in use is written over", "mmu=shadow");
    u64 *to = guestmem_ptr(&vm.mem, gpa(TABLE(8)), NULL);
    to[0] = *guest_entry(0, 0);
    RIG_CODE_AT(&vm, 0x48, 0x89, 0x07); /* mov %rax, (%rdi) */
    CHECK(hidden(RIG_CODE, PF_I));
    *guest_entry(3, TABLE(1) / PAGE_SIZE) |= PTE_D;
    *guest_entry(3, TABLE(8) / PAGE_SIZE) |= PTE_D;
    for (u32 i = 8; i < 40; i++)
        CHECK(write_exits(1, i));

    check_about("one that another root leads to");
    CHECK(cr_write_3(v, TABLE(8)));
    CHECK(hidden(PAGE_AT(FREE), 0));
    CHECK(cr_write_3(v, RIG_ROOT));
    u32 exits = 0;
    for (u32 i = 8; i < 40; i++)
        exits += write_exits(8, i);
    CHECK_EQ(exits, 4); /* three are carried out, one makes it writable */
    CHECK(!vm.shadow.narrowed);
    CHECK(cr_write_3(v, TABLE(8)));
    CHECK(hidden(TABLE(8), 0));
    CHECK(!(leaf(TABLE(8)) & PTE_W)); /* used again: protected again */
    rig_end(&vm);
}

static void test_roles(void)
{
    begin("CR0.WP clear, and set again", "mmu=shadow");
    *guest_entry(3, FREE) &= ~PTE_W;
    CHECK(hidden(PAGE_AT(FREE), 0));
    rig_fault(&vm, PAGE_AT(FREE), PF_P | PF_W);
    CHECK(rig_raised(&vm, 14, PF_P | PF_W));
    v->inject.valid = false;
    CHECK(cr_write_0(v, CR0_PE | CR0_PG));
    CHECK_EQ(leaf(PAGE_AT(FREE)), 0); /* another role, another shadow */
    CHECK(hidden(PAGE_AT(FREE), PF_W));
    CHECK_EQ(leaf(PAGE_AT(FREE)) & (PTE_W | PTE_U), PTE_W);
    CHECK(hidden(PAGE_AT(FREE), PF_P | PF_U));
    CHECK_EQ(leaf(PAGE_AT(FREE)) & (PTE_W | PTE_U), PTE_U);
    CHECK(cr_write_0(v, CR0_PE | CR0_PG | CR0_WP));
    CHECK_EQ(leaf(PAGE_AT(FREE)) & (PTE_W | PTE_U), PTE_U);
    rig_end(&vm);
}

/* No machine shows these bits of CR4 to its guests, so they are set behind cr.c's back. */
static void supervisor(u64 cr4, u64 cr0)
{
    hv_set(v, HV_CR4, CR4_PAE | cr4);
    CHECK(cr_write_0(v, CR0_PE | CR0_PG | cr0));
}

static void refused(u64 gva, u32 error)
{
    rig_fault(&vm, gva, error);
    CHECK(rig_raised(&vm, 14, error));
}

static void test_smep_and_smap(void)
{
    begin("SMEP: the kernel executes no user's page", "mmu=shadow");
    CHECK(hidden(PAGE_AT(FREE), PF_I));
    supervisor(CR4_SMEP, CR0_WP);
    CHECK_EQ(leaf(PAGE_AT(FREE)), 0); /* another role, another shadow */
    CHECK(hidden(PAGE_AT(FREE), PF_U | PF_I));
    refused(PAGE_AT(FREE), PF_P | PF_I);
    CHECK(hidden(PAGE_AT(FREE), PF_P | PF_W));

    check_about("nor one that is the kernel's alone for a while");
    *guest_entry(3, FREE + 1) &= ~PTE_W;
    *guest_entry(3, FREE + 2) &= ~(PTE_W | PTE_U);
    supervisor(CR4_SMEP, 0);
    CHECK(hidden(PAGE_AT(FREE + 1), PF_W));
    CHECK_EQ(leaf(PAGE_AT(FREE + 1)) & (PTE_W | PTE_U | PTE_NX), PTE_W | PTE_NX);
    CHECK(hidden(PAGE_AT(FREE + 2), PF_W));
    CHECK_EQ(leaf(PAGE_AT(FREE + 2)) & (PTE_W | PTE_U | PTE_NX), PTE_W);
    supervisor(0, 0);
    CHECK(hidden(PAGE_AT(FREE + 1), PF_W));
    CHECK_EQ(leaf(PAGE_AT(FREE + 1)) & (PTE_W | PTE_U | PTE_NX), PTE_W);

    check_about("SMAP: nor reads it, but with RFLAGS.AC");
    supervisor(CR4_SMAP, CR0_WP);
    CHECK_EQ(leaf(PAGE_AT(FREE)), 0);
    CHECK(hidden(PAGE_AT(FREE), PF_U));
    refused(PAGE_AT(FREE), PF_P);
    v->rflags |= RFLAGS_AC;
    CHECK(hidden(PAGE_AT(FREE), PF_P));
    rig_end(&vm);
}

/* Pieces outlive the large page's entry; a new one, clean again, must not find what a kernel's
 * write with CR0.WP clear has left there. */
static void test_clean_again(void)
{
    u64 large = 1 << 21;

    begin("a large page that only the kernel has written, and its D cleared", "mmu=shadow");
    *guest_entry(2, 1) = PTE_P | PTE_A | PTE_U | PTE_PS;
    supervisor(0, 0);
    CHECK(hidden(large, PF_W));
    CHECK_EQ(leaf(large) & (PTE_W | PTE_U), PTE_W);
    CHECK(*guest_entry(2, 1) & PTE_D);
    *guest_entry(2, 1) &= ~PTE_D;
    shadow_wrote(v, gpa(TABLE(2) + 8), *guest_entry(2, 1), 8);
    CHECK_EQ(leaf(large), 0);
    CHECK(hidden(large + PAGE_SIZE, 0));
    CHECK_EQ(leaf(large) & PTE_W, 0);
    CHECK_EQ(*guest_entry(2, 1) & PTE_D, 0);
    rig_end(&vm);
}

/* Each root is a copy of the rig's, with the tables below it shared but for the last. */
static void test_recycling(void)
{
    begin("sixty roots on as few pages as may be", "mmu=shadow shadowpages=32");
    for (u32 i = 0; i < 60; i++) {
        u64 root = TABLE(8 + i), *to = guestmem_ptr(&vm.mem, gpa(root), NULL);
        to[0] = *guest_entry(0, 0);
        CHECK(cr_write_3(v, root));
        CHECK(hidden(PAGE_AT(FREE), 0));
        CHECK_EQ(leaf(PAGE_AT(FREE)) & PTE_ADDR, host(PAGE_AT(FREE)));
    }
    CHECK_EQ(vm.shadow.fresh, 32);
    rig_end(&vm);
}

/* All that the delivery of an event may touch is reached in the end, on the smallest pool. */
static void test_ten_paths(void)
{
    begin("ten pages below as many entries of the root", "mmu=shadow shadowpages=32");
    u32 faults = 0, there = 0;

    for (u32 i = 1; i <= 10; i++)
        for (u32 level = 0; level < 4; level++)
            *guest_entry(level ? 3 + 3 * i + level : 0, level ? 0 : i) =
                (level < 3 ? TABLE(4 + 3 * i + level) : PAGE_AT(FREE)) | PTE_P | PTE_W | PTE_U;
    while (there < 10 && faults < 100) {
        for (there = 0; there < 10 && leaf((there + 1ull) << RIG_TOP); there++)
            ;
        if (there < 10) {
            CHECK(hidden((there + 1ull) << RIG_TOP, 0));
            faults++;
        }
    }
    CHECK_EQ(there, 10);
    rig_end(&vm);
}

static void test_not_canonical(void)
{
    begin("INVLPG of what is no address", "mmu=shadow");
    *guest_entry(3, TABLE(3) / PAGE_SIZE) |= PTE_D;
    CHECK(hidden(PAGE_AT(FREE), 0));
    CHECK(hidden(TABLE(3), PF_W)); /* out of step */
    u64 old = leaf(PAGE_AT(FREE));
    *guest_entry(3, FREE) ^= PAGE_AT(FREE) ^ PAGE_AT(FREE + 9);
    rig_exit(&vm, EXIT_INVLPG,
             (struct exit){.insn_len = 3, .invlpg = {1ull << 48 | PAGE_AT(FREE), true}});
    CHECK_EQ(leaf(PAGE_AT(FREE)), old); /* as in the processor's TLB, which drops nothing */
    rig_end(&vm);
}

/* Where the third fault would end more than the VM. */
static void test_no_way_for_double_fault(void)
{
    begin("a page fault while one is delivered, and no gate for #DF", "mmu=shadow");
    doublefault_asks = true;
    *guest_entry(3, FREE) = 0;
    hv_set_seg(v, SEG_IDTR, &(struct seg){.limit = 0});
    v->inject = (struct event){true, EV_EXCEPTION, VECTOR_PF, true, 0};
    v->attention = true;
    rig_exit(&vm, EXIT_EXCEPTION,
             (struct exit){.exc = {.vector = VECTOR_PF, .error = PF_W, .addr = PAGE_AT(FREE)}});
    CHECK(!vm.alive && vm.how == END_TRIPLE_FAULT);
    doublefault_asks = false;
    rig_end(&vm);
}

int main(void)
{
    test_fill();
    test_guests_own();
    test_tables();
    test_refused_write();
    test_misaligned_write();
    test_shared_table();
    test_late_path();
    test_not_canonical();
    test_flood();
    test_roles();
    test_smep_and_smap();
    test_clean_again();
    test_recycling();
    test_ten_paths();
    test_no_way_for_double_fault();
    return check_done("shadow");
}
