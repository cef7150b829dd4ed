/*
 * exit_nested.c, fetch.c and the string half of exit_io.c: pages mapped at
 * their first touch, device memory that is not there, instruction bytes found
 * through the guest's segments and tables, and the ends of VMs that reach
 * outside their memory.
 */
#include <string.h>
#include "kernel/format.h"
#include "vmm/fetch.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/tests/check.h"
#include "vmm/tests/host.h"
#include "vmm/tests/rig.h"

#define HOLE 0xfee00000ull

static struct vm vm;
static struct vcpu *const v = &vm.vcpu;

static void begin(const char *about, enum rig_mode mode)
{
    check_about("%s", about);
    rig_begin(&vm, "");
    rig_mode(&vm, mode);
}

static void *guest(u64 at)
{
    return guestmem_ptr(&vm.mem, gpa(at), NULL);
}

static void nested(u64 at, u8 access, bool in_walk)
{
    rig_exit(&vm, EXIT_NESTED,
             (struct exit){.nested = {.gpa = gpa(at), .access = access, .in_walk = in_walk}});
}

static enum walk_fault nested_walk(u64 at, u8 access, hpa_t *to)
{
    struct walk w;
    u8 bits = pt_phys_bits;

    pt_phys_bits = 52; /* the host's addresses have more than 40 bits */
    walk_init(&w, PAGING_OFF, gva(at), access);
    enum walk_fault fault = walk_nested(vm.nested.root, gpa(at), access, 0, &w);
    pt_phys_bits = bits;
    *to = w.hpa;
    return fault;
}

/* --- Nested faults ------------------------------------------------------------------- */

static void test_map(void)
{
    hpa_t to;

    begin("a page's first touch", RIG_FLAT32);
    CHECK_EQ(nested_walk(0x5000, 0, &to), FAULT_NOT_PRESENT);
    nested(0x5678, ACCESS_USER | ACCESS_WRITE, false);
    CHECK(vm.alive);
    CHECK_EQ(v->rip, RIG_CODE);
    CHECK_EQ(nested_walk(0x5abc, ACCESS_WRITE, &to), FAULT_NONE);
    CHECK(hpa_ptr(to) == guest(0x5abc));
    CHECK_EQ(nested_walk(0x5abc, ACCESS_EXEC, &to), FAULT_NONE);
    CHECK_EQ(vm.nested.mapped, 1);
    CHECK_EQ(host_trace_count(EVENT_map), 1);
    CHECK_EQ(host_trace_count(EVENT_nested_fault), 1);
    CHECK_EQ(nested_walk(0x6000, 0, &to), FAULT_NOT_PRESENT);
    check_about("the last page, by a table walk");
    nested(0xfffff, ACCESS_USER | ACCESS_WRITE, true);
    CHECK(vm.alive);
    CHECK_EQ(nested_walk(0xff000, ACCESS_WRITE, &to), FAULT_NONE);
    CHECK_EQ(vm.nested.mapped, 2);
    rig_end(&vm);
}

static void test_no_tables(void)
{
    begin("no memory for nested tables", RIG_FLAT32);
    host_frames_fail_after(0);
    nested(0x5000, 0, false);
    host_frames_fail_after(-1);
    CHECK(!vm.alive);
    CHECK_EQ(vm.how, END_KILLED);
    CHECK_STR(rig_why(&vm), "the host has no memory for its nested tables");
    rig_end(&vm);
}

/* A mapping that is there but forbids it: mapping it again would not help. */
static void test_forbidden(void)
{
    static const struct {
        u8 access;
        bool misconfig;
        const char *why;
    } rows[] = {
        {ACCESS_USER | ACCESS_WRITE, false,
         "writing gPA 0x5008 is forbidden by its nested tables, though it is mapped"},
        {ACCESS_USER | ACCESS_EXEC, false,
         "executing gPA 0x5008 is forbidden by its nested tables, though it is mapped"},
        {ACCESS_USER, false,
         "reading gPA 0x5008 is forbidden by its nested tables, though it is mapped"},
        {ACCESS_USER, true, "reading gPA 0x5008 is forbidden by its nested tables, though no entry "
                            "of that kind is made"},
    };

    for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
        begin(rows[i].why, RIG_FLAT32);
        nested(0x5008, rows[i].access, false);
        CHECK(vm.alive);
        CHECK(nested_protect(&vm.nested, gpa(0x5000), 0));
        rig_exit(&vm, EXIT_NESTED,
                 (struct exit){.nested = {.gpa = gpa(0x5008), .access = rows[i].access,
                                          .present = !rows[i].misconfig,
                                          .misconfig = rows[i].misconfig}});
        CHECK(!vm.alive);
        CHECK_EQ(vm.how, END_KILLED);
        CHECK_STR(rig_why(&vm), rows[i].why);
        rig_end(&vm);
    }
}

static void check_end(u64 at, u8 access, bool in_walk, const char *part)
{
    char number[32];

    begin(part, RIG_FLAT32);
    nested(at, access, in_walk);
    CHECK(!vm.alive);
    CHECK_EQ(vm.how, END_UNSUPPORTED);
    CHECK(strstr(rig_why(&vm), part) != NULL);
    format(number, sizeof(number), "%#lx", at);
    CHECK(strstr(rig_why(&vm), number) != NULL);
    CHECK(strstr(host_console(), part) != NULL);
    rig_end(&vm);
}

static void test_outside(void)
{
    check_end(HOLE, ACCESS_WRITE, true, "page tables");
    check_end(HOLE, ACCESS_EXEC, false, "executes");
    check_end(1ull << 40, ACCESS_EXEC, false, "executes");
    begin("delivering into a hole", RIG_FLAT32);
    rig_exit(&vm, EXIT_NESTED,
             (struct exit){.pending = {.valid = true, .vector = 0x20},
                           .nested = {.gpa = gpa(HOLE), .access = ACCESS_WRITE}});
    CHECK_EQ(vm.how, END_UNSUPPORTED);
    CHECK(strstr(rig_why(&vm), "vector 32") != NULL);
    rig_end(&vm);
    begin("an access by code that is not there", RIG_FLAT32);
    v->rip = 0x200000;
    nested(HOLE, 0, false);
    CHECK(strstr(rig_why(&vm), "cannot read the instruction") != NULL);
    rig_end(&vm);
    begin("an instruction that is not emulated", RIG_FLAT32);
    RIG_CODE_AT(&vm, 0x0f, 0xae, 0x05, 0, 0, 0xe0, 0xfe); /* FXSAVE [HOLE] */
    nested(HOLE, ACCESS_WRITE, false);
    CHECK_EQ(vm.how, END_UNSUPPORTED);
    rig_end(&vm);
}

/* --- Memory that is not there ------------------------------------------------------------ */

static void test_mmio(void)
{
    begin("MOV EAX, [HOLE]", RIG_FLAT32);
    v->gpr[GPR_RAX] = 0x1122334455667788;
    RIG_CODE_AT(&vm, 0xa1, 0, 0, 0xe0, 0xfe);
    nested(HOLE, ACCESS_USER, false);
    CHECK(vm.alive);
    CHECK_EQ(v->rip, RIG_CODE + 5);
    CHECK_EQ(v->gpr[GPR_RAX], 0xffffffff);
    CHECK_EQ(host_trace_count(EVENT_mmio), 1);

    check_about("MOV AL, [HOLE]");
    v->rip = RIG_CODE;
    v->gpr[GPR_RAX] = 0x1122334455667788;
    RIG_CODE_AT(&vm, 0xa0, 0, 0, 0xe0, 0xfe);
    nested(HOLE, ACCESS_USER, false);
    CHECK_EQ(v->gpr[GPR_RAX], 0x11223344556677ff);

    check_about("MOV [HOLE], ECX vanishes");
    v->rip = RIG_CODE;
    v->gpr[GPR_RCX] = 0xcafe;
    RIG_CODE_AT(&vm, 0x89, 0x0d, 0, 0, 0xe0, 0xfe);
    nested(HOLE, ACCESS_USER | ACCESS_WRITE, false);
    CHECK(vm.alive);
    CHECK_EQ(v->rip, RIG_CODE + 6);
    const struct trace_record *r = NULL, *last = NULL;
    while ((r = host_trace_find(EVENT_mmio, r)))
        last = r;
    const struct trace_mmio *mmio = (const void *)last->payload;
    CHECK_EQ(mmio->gpa, HOLE);
    CHECK_EQ(mmio->write, 1);
    CHECK_EQ(mmio->size, 4);
    CHECK_EQ((u32)mmio->value, 0xcafe);

    check_about("INC dword [HOLE] sets the flags of 0");
    v->rip = RIG_CODE;
    v->rflags = 2;
    RIG_CODE_AT(&vm, 0xff, 0x05, 0, 0, 0xe0, 0xfe);
    nested(HOLE, ACCESS_USER | ACCESS_WRITE, false);
    CHECK_EQ(v->rip, RIG_CODE + 6);
    CHECK(v->rflags & 1 << 6); /* ZF */
    rig_end(&vm);
}

/* From memory into the hole, with one page in between that is not mapped. */
static void test_mmio_fault(void)
{
    begin("MOVS whose source is not mapped", RIG_LONG);
    u64 *leaf = guest(RIG_ROOT + 3 * PAGE_SIZE);
    leaf[9] = 0;
    leaf[10] = HOLE | 7;
    v->gpr[GPR_RSI] = 0x9000;
    v->gpr[GPR_RDI] = 0xa000;
    RIG_CODE_AT(&vm, 0x48, 0xa5);
    nested(HOLE, ACCESS_USER | ACCESS_WRITE, false);
    CHECK(rig_raised(&vm, 14, 0));
    CHECK_EQ(hv_get(v, HV_CR2), 0x9000);
    CHECK_EQ(v->rip, RIG_CODE);
    CHECK_EQ(v->gpr[GPR_RSI], 0x9000);

    check_about("... and is, then");
    v->inject.valid = false;
    leaf[9] = 0x9000 | 7;
    nested(HOLE, ACCESS_USER | ACCESS_WRITE, false);
    CHECK(!v->inject.valid);
    CHECK_EQ(v->rip, RIG_CODE + 2);
    CHECK_EQ(v->gpr[GPR_RSI], 0x9008);
    CHECK(leaf[9] & PTE_A);
    CHECK((leaf[10] & (PTE_A | PTE_D)) == (PTE_A | PTE_D));
    rig_end(&vm);
}

/* The emulator's own walk reaches tables that do not exist. */
static void test_mmio_walk_outside(void)
{
    begin("a source whose table lies outside", RIG_LONG);
    u64 *upper = guest(RIG_ROOT + 2 * PAGE_SIZE), *leaf = guest(RIG_ROOT + 3 * PAGE_SIZE);
    upper[1] = HOLE | 7;
    leaf[10] = HOLE | 7;
    v->gpr[GPR_RSI] = 0x200000;
    v->gpr[GPR_RDI] = 0xa000;
    RIG_CODE_AT(&vm, 0x48, 0xa5);
    nested(HOLE, ACCESS_USER | ACCESS_WRITE, false);
    CHECK(!vm.alive);
    CHECK_EQ(vm.how, END_UNSUPPORTED);
    CHECK(strstr(rig_why(&vm), "page table") != NULL);
    rig_end(&vm);
}

static void test_user_rights(void)
{
    begin("user code at a supervisor's page", RIG_LONG);
    struct seg ss = {0x1b, 0xcf3, 0xffffffff, 0};
    u64 *leaf = guest(RIG_ROOT + 3 * PAGE_SIZE);
    hv_set_seg(v, SEG_SS, &ss);
    CHECK_EQ(vcpu_cpl(v), 3);
    leaf[9] = 0x9000 | PTE_P | PTE_W;
    leaf[10] = HOLE | 7;
    v->gpr[GPR_RSI] = 0x9000;
    v->gpr[GPR_RDI] = 0xa000;
    RIG_CODE_AT(&vm, 0x48, 0xa5);
    nested(HOLE, ACCESS_USER | ACCESS_WRITE, false);
    CHECK(rig_raised(&vm, 14, PF_P | PF_U));
    rig_end(&vm);
}

/* --- Instruction bytes -------------------------------------------------------------------- */

static void test_fetch_modes(void)
{
    struct insn insn;
    struct seg cs = {0x1000, 0x9b, 0xffff, 0x10000};

    begin("code in real mode: base and offset", RIG_REAL);
    hv_set_seg(v, SEG_CS, &cs);
    v->rip = 0x234;
    memcpy(guest(0x10234), "\x0f\x22\xc0", 3);
    CHECK_EQ(fetch_insn(v, &insn), 0);
    CHECK_EQ(insn.op, INSN_MOV_TO_CR);
    CHECK_EQ(insn.mode, 2);
    rig_end(&vm);

    begin("code across two pages that are apart", RIG_LONG);
    u64 *leaf = guest(RIG_ROOT + 3 * PAGE_SIZE);
    leaf[0x21] = 0x33000 | 7;
    v->rip = 0x20ffe;
    memcpy(guest(0x20ffe), "\x41\x0f", 2);
    memcpy(guest(0x33000), "\x22\xdf", 2);
    CHECK_EQ(fetch_insn(v, &insn), 0);
    CHECK_EQ(insn.op, INSN_MOV_TO_CR);
    CHECK_EQ(insn.len, 4);
    CHECK_EQ(insn.reg, GPR_R15);
    check_about("the second page is missing");
    leaf[0x21] = 0;
    CHECK_EQ(fetch_insn(v, &insn), -EFAULT);
    check_about("and is not needed");
    memcpy(guest(0x20ffe), "\x0f\xa2", 2);
    CHECK_EQ(fetch_insn(v, &insn), 0);
    CHECK_EQ(insn.op, INSN_CPUID);
    check_about("no such instruction");
    memcpy(guest(0x20ffe), "\x0f\x0b", 2); /* UD2 is one, whatever it does */
    CHECK(fetch_insn(v, &insn) == 0 || insn.op == INSN_OTHER);
    memcpy(guest(0x20ffe), "\x06\x06", 2); /* PUSH ES: none in 64-bit mode */
    CHECK_EQ(fetch_insn(v, &insn), -EINVAL);
    rig_end(&vm);

    begin("64-bit code has no base, and no end at 4 GiB", RIG_LONG);
    cs = (struct seg){8, 0xa9b, ~0u, 0x1000};
    hv_set_seg(v, SEG_CS, &cs);
    memcpy(guest(0x9000), "\x0f\xa2", 2);
    v->rip = 0x9000;
    CHECK_EQ(fetch_insn(v, &insn), 0);
    CHECK_EQ(insn.op, INSN_CPUID);
    v->rip = 0x100009000; /* not mapped, but would be if it wrapped */
    CHECK_EQ(fetch_insn(v, &insn), -EFAULT);
    rig_end(&vm);

    begin("the last bytes of memory", RIG_FLAT32);
    v->rip = 0xffffe;
    memcpy(guest(0xffffe), "\x0f\xa2", 2);
    CHECK_EQ(fetch_insn(v, &insn), 0);
    v->rip = 0xfffff;
    memcpy(guest(0xfffff), "\x0f", 1);
    CHECK_EQ(fetch_insn(v, &insn), -EFAULT);
    v->rip = 0x100000;
    CHECK_EQ(fetch_insn(v, &insn), -EFAULT);
    rig_end(&vm);
}

/* --- String I/O --------------------------------------------------------------------------- */

static void string_exit(bool in, bool rep)
{
    rig_exit(&vm, EXIT_IO,
             (struct exit){.io = {.port = 0xe9, .size = 1, .in = in, .string = true, .rep = rep}});
}

static void test_outs(void)
{
    begin("REP OUTSB to the console", RIG_FLAT32);
    memcpy(guest(0x9000), "welcome\n", 8);
    v->gpr[GPR_RSI] = 0x9000;
    v->gpr[GPR_RCX] = 8;
    v->gpr[GPR_RDX] = 0xe9;
    RIG_CODE_AT(&vm, 0xf3, 0x6e);
    string_exit(false, true);
    CHECK_EQ(v->rip, RIG_CODE + 2);
    CHECK_EQ(v->gpr[GPR_RCX], 0);
    CHECK_EQ(v->gpr[GPR_RSI], 0x9008);
    CHECK_STR(host_console(), "[1 rig] welcome\n");
    CHECK_EQ(host_trace_count(EVENT_io), 8);
    rig_end(&vm);
}

static void test_outs_that_ends_the_vm(void)
{
    begin("REP OUTSB asks the keyboard controller for a reset", RIG_FLAT32);
    memset(guest(0x9000), 0xfe, 4);
    v->gpr[GPR_RSI] = 0x9000;
    v->gpr[GPR_RCX] = 4;
    v->gpr[GPR_RDX] = 0x64;
    RIG_CODE_AT(&vm, 0xf3, 0x6e);
    string_exit(false, true);
    CHECK(!vm.alive);
    CHECK_EQ(vm.how, END_RESET);
    CHECK_EQ(host_trace_count(EVENT_io), 1);
    rig_end(&vm);
}

/* A long one is done in parts, so that no guest keeps the host for ever. */
static void test_ins_in_parts(void)
{
    begin("REP INSB of 64 KiB", RIG_FLAT32);
    v->gpr[GPR_RDI] = 0x20000;
    v->gpr[GPR_RCX] = 0x10000;
    v->gpr[GPR_RDX] = 0x3fd; /* the UART's line status */
    RIG_CODE_AT(&vm, 0xf3, 0x6c);
    u32 exits = 0;
    while (v->rip == RIG_CODE && vm.alive && exits++ < 10000) {
        u64 left = v->gpr[GPR_RCX];
        string_exit(true, true);
        if (!CHECK(left - v->gpr[GPR_RCX] <= EMU_CHUNK && left > v->gpr[GPR_RCX]))
            break;
    }
    CHECK_EQ(v->rip, RIG_CODE + 2);
    CHECK_EQ(v->gpr[GPR_RCX], 0);
    CHECK_EQ(v->gpr[GPR_RDI], 0x30000);
    CHECK_EQ(exits, 0x10000 / EMU_CHUNK);
    CHECK_EQ(*(u8 *)guest(0x2ffff), 0x60);
    CHECK_EQ(*(u8 *)guest(0x30000), 0);
    rig_end(&vm);

    begin("INSB into a hole", RIG_FLAT32);
    v->gpr[GPR_RDI] = HOLE;
    v->gpr[GPR_RDX] = 0x3fd;
    RIG_CODE_AT(&vm, 0x6c);
    string_exit(true, false);
    CHECK(vm.alive);
    CHECK_EQ(v->rip, RIG_CODE + 1);
    rig_end(&vm);

    begin("string I/O that is none", RIG_FLAT32);
    RIG_CODE_AT(&vm, 0x90);
    string_exit(true, false);
    CHECK_EQ(vm.how, END_UNSUPPORTED);
    rig_end(&vm);
}

int main(void)
{
    test_map();
    test_no_tables();
    test_forbidden();
    test_outside();
    test_mmio();
    test_mmio_fault();
    test_mmio_walk_outside();
    test_user_rights();
    test_fetch_modes();
    test_outs();
    test_outs_that_ends_the_vm();
    test_ins_in_parts();
    return check_done("fetch");
}
