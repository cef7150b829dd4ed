/*
 * exit.c and the handlers beside it: what each exit does to the guest. One VM
 * on the fake backend; every exit is handed in directly.
 */
#include <string.h>
#include "kernel/clock.h"
#include "vmm/exit.h"
#include "vmm/tests/check.h"
#include "vmm/tests/host.h"
#include "vmm/tests/host_cpu.h"
#include "vmm/tests/rig.h"

static struct vm vm;
static struct vcpu *const v = &vm.vcpu;

static void begin(const char *about, enum rig_mode mode)
{
    check_about("%s", about);
    rig_begin(&vm, "");
    rig_mode(&vm, mode);
}

/* Did the guest go on behind an instruction of that length, unharmed? */
static void check_went_on(u64 len)
{
    CHECK(vm.alive);
    CHECK_EQ(v->rip, RIG_CODE + len);
    CHECK(!v->inject.valid);
}

/* --- CPUID ------------------------------------------------------------------------- */

static u64 cpuid_of(u32 leaf)
{
    v->rip = RIG_CODE;
    v->gpr[GPR_RAX] = 0xffffffff00000000 | leaf;
    v->gpr[GPR_RCX] = ~0ull;
    rig_exit(&vm, EXIT_CPUID, (struct exit){0});
    check_went_on(2);
    for (u32 r = GPR_RAX; r <= GPR_RBX; r++)
        CHECK_EQ(v->gpr[r] >> 32, 0);
    return v->gpr[GPR_RAX];
}

/* A processor that has everything: what is offered is what is left. */
static void test_cpuid(void)
{
    static const u32 leaves[] = {0, 1, 7, 0xd, 0x40000000, 0x80000000, 0x80000001, 0x80000008,
                                 0x8000000a, 0x8000001e};

    begin("CPUID", RIG_FLAT32);
    host_cpuid_clear();
    for (u32 i = 0; i < ARRAY_SIZE(leaves); i++)
        host_cpuid_set(leaves[i], ~0u, ~0u, ~0u, ~0u);
    CHECK_EQ(cpuid_of(0), 1);
    cpuid_of(1);
    CHECK_EQ(v->gpr[GPR_RCX] & (1 << 3 | 1 << 26 | 1 << 27 | 1 << 28), 0); /* MONITOR, XSAVE, AVX */
    CHECK_EQ(v->gpr[GPR_RCX] & (1 << 5 | 1 << 17 | 1 << 21 | 1 << 24), 0); /* VMX PCID x2APIC */
    CHECK_EQ(v->gpr[GPR_RCX] >> 31, 1);                                   /* a hypervisor */
    CHECK_EQ(v->gpr[GPR_RDX] & (1 << 7 | 1 << 9 | 1 << 12 | 1 << 14), 0); /* MCE APIC MTRR MCA */
    CHECK_EQ(v->gpr[GPR_RDX] & 0x0700a179, 0x0700a179); /* FPU TSC MSR PAE CX8 PGE CMOV FXSR SSE */
    CHECK_EQ(v->gpr[GPR_RBX] >> 16, 0);                /* no APIC id, one processor */
    CHECK_EQ(cpuid_of(0x80000000), 0x80000008);
    cpuid_of(0x80000001);
    CHECK_EQ(v->gpr[GPR_RCX] & 1 << 2, 0);             /* SVM */
    CHECK_EQ(v->gpr[GPR_RDX] & (1 << 25 | 1 << 27), 0); /* FFXSR, RDTSCP */
    CHECK_EQ(v->gpr[GPR_RDX] & 0x20100800, 0x20100800); /* SYSCALL, NX, long mode */
    cpuid_of(0x80000008);
    CHECK_EQ(v->gpr[GPR_RAX], 0xffff);
    CHECK_EQ(v->gpr[GPR_RBX] | v->gpr[GPR_RCX] | v->gpr[GPR_RDX], 0);
    rig_end(&vm);
}

/* Leaves beyond the last are empty, and the VMM says who it is. A processor
 * that has nothing is not made to look better. */
static void test_cpuid_leaves(void)
{
    static const u32 hidden[] = {2, 7, 0xd, 0x40000001, 0x80000005, 0x8000000a, 0x8000001e, ~0u};
    char name[13] = "";

    begin("CPUID leaves", RIG_FLAT32);
    for (u32 i = 0; i < ARRAY_SIZE(hidden); i++) {
        CHECK_EQ(cpuid_of(hidden[i]), 0);
        CHECK_EQ(v->gpr[GPR_RBX] | v->gpr[GPR_RCX] | v->gpr[GPR_RDX], 0);
    }
    CHECK_EQ(cpuid_of(0x40000000), 0x40000000);
    memcpy(name, &v->gpr[GPR_RBX], 4);
    memcpy(name + 4, &v->gpr[GPR_RCX], 4);
    memcpy(name + 8, &v->gpr[GPR_RDX], 4);
    CHECK_STR(name, "NestlingVMM.");
    host_cpuid_clear();
    cpuid_of(1);
    CHECK_EQ(v->gpr[GPR_RCX], 1u << 31);
    CHECK_EQ(v->gpr[GPR_RDX], 0);
    rig_end(&vm);
}

/* --- MSRs -------------------------------------------------------------------------- */

static bool rdmsr_of(u32 msr, u64 *value)
{
    v->rip = RIG_CODE;
    v->inject.valid = false;
    v->gpr[GPR_RCX] = 0xabcd00000000 | msr;
    v->gpr[GPR_RAX] = v->gpr[GPR_RDX] = 0x5555555555555555;
    rig_exit(&vm, EXIT_MSR, (struct exit){0});
    *value = (u32)v->gpr[GPR_RAX] | v->gpr[GPR_RDX] << 32;
    if (!rig_raised(&vm, 13, 0)) {
        check_went_on(2);
        CHECK_EQ((v->gpr[GPR_RAX] | v->gpr[GPR_RDX]) >> 32, 0);
        return true;
    }
    CHECK_EQ(v->rip, RIG_CODE);
    CHECK_EQ(v->gpr[GPR_RAX], 0x5555555555555555);
    CHECK_EQ(v->gpr[GPR_RDX], 0x5555555555555555);
    return false;
}

static bool wrmsr_of(u32 msr, u64 value)
{
    v->rip = RIG_CODE;
    v->inject.valid = false;
    v->gpr[GPR_RCX] = msr;
    v->gpr[GPR_RAX] = 0xeeee000000000000 | (u32)value;
    v->gpr[GPR_RDX] = 0xeeee000000000000 | value >> 32;
    rig_exit(&vm, EXIT_MSR, (struct exit){.msr.write = true});
    if (!rig_raised(&vm, 13, 0)) {
        check_went_on(2);
        return true;
    }
    CHECK_EQ(v->rip, RIG_CODE);
    return false;
}

static void test_msr(void)
{
    static const u32 unknown[] = {0, 0x11, 0x1a, 0x200, 0x2ff, 0x480, 0x800, 0x4000,
                                  0xc0010114, 0xc0010117, 0xc0000103, ~0u};
    u64 value;

    begin("MSR", RIG_FLAT32);
    RIG_CODE_AT(&vm, 0x0f, 0x32);
    for (u32 i = 0; i < ARRAY_SIZE(unknown); i++) {
        check_about("MSR %#x", unknown[i]);
        CHECK(!rdmsr_of(unknown[i], &value));
        CHECK(!wrmsr_of(unknown[i], 0));
    }
    check_about("MSR APIC_BASE");
    CHECK(rdmsr_of(0x1b, &value) && value == 0);
    CHECK(!wrmsr_of(0x1b, 0xfee00800));
    check_about("MSR PAT");
    CHECK(rdmsr_of(0x277, &value) && value == 0x0007040600070406);
    CHECK(wrmsr_of(0x277, 0x0001040506070100));
    CHECK(!wrmsr_of(0x277, 0x0200000000000000));
    CHECK(!wrmsr_of(0x277, 0x03));
    CHECK(!wrmsr_of(0x277, 0x0800));
    CHECK(rdmsr_of(0x277, &value) && value == 0x0001040506070100);
    rig_end(&vm);
}

static void test_msr_efer(void)
{
    u64 value;

    begin("MSR EFER", RIG_FLAT32);
    RIG_CODE_AT(&vm, 0x0f, 0x30);
    CHECK(rdmsr_of(0xc0000080, &value) && value == 0);
    CHECK(wrmsr_of(0xc0000080, 0x901));
    CHECK(rdmsr_of(0xc0000080, &value) && value == 0x901);
    CHECK(!wrmsr_of(0xc0000080, 0x1001)); /* SVME */
    CHECK(!wrmsr_of(0xc0000080, 2));
    CHECK(rdmsr_of(0xc0000080, &value) && value == 0x901);
    rig_end(&vm);
}

/* What a guest writes into its TSC it reads from there on, the time added. */
static void test_msr_tsc(void)
{
    u64 value;

    begin("MSR TSC", RIG_FLAT32);
    RIG_CODE_AT(&vm, 0x0f, 0x32);
    clock_test_ns = 5000;
    v->ctl.tsc_offset = 0 - 2000ull;
    CHECK(rdmsr_of(0x10, &value) && value == 3000);
    v->ctl_changed = false;
    CHECK(wrmsr_of(0x10, 100));
    CHECK(v->ctl_changed);
    clock_test_ns += 50;
    CHECK(rdmsr_of(0x10, &value) && value == 150);
    CHECK_EQ(v->tsc_written, 0 - 2900ull);
    CHECK_EQ(v->ctl.tsc_offset, 0 - 4900ull);
    rig_end(&vm);
}

/* --- Control registers ------------------------------------------------------------------ */

static void cr_exit(const void *code, u32 n)
{
    rig_code(&vm, code, n);
    rig_exit(&vm, EXIT_CR, (struct exit){0});
}
#define CR_EXIT(...) cr_exit((const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

static void test_mov_cr(void)
{
    begin("MOV CR0, EBX", RIG_FLAT32);
    v->gpr[GPR_RBX] = 0xffffffff00000003;
    CR_EXIT(0x0f, 0x22, 0xc3);
    check_went_on(3);
    CHECK_EQ(hv_get(v, HV_CR0), 0x13);

    check_about("MOV EDI, CR0");
    v->rip = RIG_CODE;
    CR_EXIT(0x0f, 0x20, 0xc7);
    check_went_on(3);
    CHECK_EQ(v->gpr[GPR_RDI], 0x13);

    check_about("MOV CR4, EBX: #GP");
    v->rip = RIG_CODE;
    v->gpr[GPR_RBX] = 1 << 20;
    CR_EXIT(0x0f, 0x22, 0xe3);
    CHECK(rig_raised(&vm, 13, 0));
    CHECK_EQ(v->rip, RIG_CODE);
    CHECK_EQ(hv_get(v, HV_CR4), 0);
    rig_end(&vm);

    begin("MOV CR3, R15", RIG_LONG);
    v->gpr[GPR_R15] = 0x123000;
    CR_EXIT(0x41, 0x0f, 0x22, 0xdf);
    check_went_on(4);
    CHECK_EQ(hv_get(v, HV_CR3), 0x123000);
    CHECK_EQ(fake_last(FAKE_FLUSH)->which, HV_FLUSH_ALL);
    rig_end(&vm);
}

static void test_mov_cr8(void)
{
    begin("MOV CR8, RAX", RIG_LONG);
    v->gpr[GPR_RAX] = 9;
    CR_EXIT(0x44, 0x0f, 0x22, 0xc0);
    check_went_on(4);
    CHECK_EQ(hv_get(v, HV_TPR), 9);
    v->rip = RIG_CODE;
    v->gpr[GPR_RAX] = 16;
    rig_exit(&vm, EXIT_CR, (struct exit){0});
    CHECK(rig_raised(&vm, 13, 0));
    CHECK_EQ(hv_get(v, HV_TPR), 9);
    rig_end(&vm);
}

static void test_clts_lmsw(void)
{
    begin("CLTS", RIG_FLAT32);
    hv_set(v, HV_CR0, 0x1b);
    CR_EXIT(0x0f, 0x06);
    check_went_on(2);
    CHECK_EQ(hv_get(v, HV_CR0), 0x13);

    check_about("LMSW AX cannot clear PE");
    v->rip = RIG_CODE;
    v->gpr[GPR_RAX] = 0xfff8;
    CR_EXIT(0x0f, 0x01, 0xf0);
    check_went_on(3);
    CHECK_EQ(hv_get(v, HV_CR0), 0x19);
    rig_end(&vm);

    for (int stepping = 0; stepping < 2; stepping++) {
        begin(stepping ? "LMSW [0x8000], single-stepped" : "LMSW [0x8000]", RIG_FLAT32);
        v->rflags |= stepping ? RFLAGS_TF : 0;
        v->gpr[GPR_RAX] = 0x1234567890;
        *(u16 *)guestmem_ptr(&vm.mem, gpa(0x8000), NULL) = 0xe;
        CR_EXIT(0x0f, 0x01, 0x35, 0x00, 0x80, 0x00, 0x00);
        CHECK_EQ(v->rip, RIG_CODE + 7);
        CHECK_EQ(hv_get(v, HV_CR0), 0x1f);
        CHECK_EQ(v->gpr[GPR_RAX], 0x1234567890);
        CHECK_EQ(v->inject.valid, stepping);
        CHECK_EQ(v->rflags & RFLAGS_TF, stepping ? RFLAGS_TF : 0);
        rig_end(&vm);
    }

    begin("LMSW from memory that is not mapped", RIG_LONG);
    CR_EXIT(0x0f, 0x01, 0x34, 0x25, 0x00, 0x00, 0x40, 0x00);
    CHECK(rig_raised(&vm, 14, 0));
    CHECK_EQ(hv_get(v, HV_CR2), 0x400000);
    CHECK_EQ(v->rip, RIG_CODE);
    rig_end(&vm);
}

static void test_cr_undecodable(void)
{
    begin("a NOP that exits like a MOV CR", RIG_FLAT32);
    CR_EXIT(0x90);
    CHECK_EQ(vm.how, END_UNSUPPORTED);
    CHECK(strstr(rig_why(&vm), "0x7c00") != NULL);
    rig_end(&vm);

    begin("code that cannot be read", RIG_FLAT32);
    v->rip = 0x80000000;
    rig_exit(&vm, EXIT_CR, (struct exit){0});
    CHECK_EQ(vm.how, END_UNSUPPORTED);
    CHECK(strstr(rig_why(&vm), "0x80000000") != NULL);
    rig_end(&vm);

    begin("MOV EAX, CR2 is no CR0", RIG_FLAT32);
    CR_EXIT(0x0f, 0x20, 0xd0);
    CHECK(!vm.alive || v->gpr[GPR_RAX] != hv_get(v, HV_CR0));
    rig_end(&vm);
}

/* --- HLT ---------------------------------------------------------------------------- */

static void test_hlt(void)
{
    begin("HLT with IF=0", RIG_FLAT32);
    rig_exit(&vm, EXIT_HLT, (struct exit){0});
    CHECK(!vm.alive);
    CHECK_EQ(vm.how, END_HALTED);
    CHECK(strstr(host_console(), "halted with interrupts off") != NULL);
    rig_end(&vm);

    begin("HLT with IF=1", RIG_FLAT32);
    v->rflags |= RFLAGS_IF;
    rig_exit(&vm, EXIT_HLT, (struct exit){0});
    check_went_on(1);
    CHECK_EQ(v->state, VCPU_BLOCKED);
    CHECK_EQ(host_trace_count(EVENT_sched_block), 1);
    rig_end(&vm);

    begin("HLT with IF=0 that is single-stepped", RIG_FLAT32);
    v->rflags |= RFLAGS_TF;
    rig_exit(&vm, EXIT_HLT, (struct exit){0});
    CHECK(vm.alive);
    CHECK_EQ(v->state, VCPU_RUNNING);
    CHECK(v->inject.valid);
    CHECK_EQ(v->inject.vector, 1);
    rig_end(&vm);

    begin("HLT with an interrupt waiting", RIG_FLAT32);
    v->rflags |= RFLAGS_IF;
    rig_out(&vm, 0x21, 1, 0xef); /* the UART's line 4 */
    pic_set_line(&vm.pic, 4, true);
    v->rip = RIG_CODE;
    v->attention = false;
    rig_exit(&vm, EXIT_HLT, (struct exit){0});
    check_went_on(1);
    CHECK_EQ(v->state, VCPU_RUNNING);
    CHECK(v->attention);
    rig_end(&vm);
}

/* --- The small ones --------------------------------------------------------------------- */

static void test_exceptions_for(const char *about, enum exit_reason reason, u8 vector, s64 error)
{
    begin(about, RIG_FLAT32);
    rig_exit(&vm, reason, (struct exit){0});
    CHECK(rig_raised(&vm, vector, error));
    CHECK_EQ(v->rip, RIG_CODE);
    rig_end(&vm);
}

static void test_refused(void)
{
    test_exceptions_for("MONITOR", EXIT_MONITOR, 6, -1);
    test_exceptions_for("VMRUN and its kind", EXIT_VIRT_INSN, 6, -1);
    test_exceptions_for("XSETBV", EXIT_XSETBV, 6, -1);
    test_exceptions_for("RDPMC", EXIT_RDPMC, 13, 0);
}

static void test_skipped(void)
{
    begin("WBINVD", RIG_FLAT32);
    RIG_CODE_AT(&vm, 0x0f, 0x09);
    rig_exit(&vm, EXIT_WBINVD, (struct exit){0});
    check_went_on(2);
    v->rip = RIG_CODE;
    check_about("PAUSE");
    RIG_CODE_AT(&vm, 0xf3, 0x90);
    rig_exit(&vm, EXIT_PAUSE, (struct exit){0});
    check_went_on(2);
    v->rip = RIG_CODE;
    check_about("WBINVD behind prefixes");
    RIG_CODE_AT(&vm, 0x66, 0x2e, 0x0f, 0x09);
    rig_exit(&vm, EXIT_WBINVD, (struct exit){0});
    check_went_on(4);
    v->rip = RIG_CODE;
    check_about("the processor says the length");
    rig_exit(&vm, EXIT_WBINVD, (struct exit){.insn_len = 7});
    check_went_on(7);
    v->rip = RIG_CODE;
    check_about("VMMCALL");
    v->gpr[GPR_RAX] = 1;
    RIG_CODE_AT(&vm, 0x0f, 0x01, 0xd9);
    rig_exit(&vm, EXIT_HYPERCALL, (struct exit){0});
    check_went_on(3);
    CHECK_EQ(v->gpr[GPR_RAX], ~0ull);
    rig_end(&vm);
}

static void test_interrupts(void)
{
    static const enum exit_reason reasons[] = {EXIT_INTR, EXIT_PREEMPTION};

    for (u32 i = 0; i < ARRAY_SIZE(reasons); i++) {
        begin("the host's timer", RIG_FLAT32);
        u64 taken = host_timer_taken;
        host_timer_at = 0;
        v->attention = false;
        rig_exit(&vm, reasons[i], (struct exit){0});
        check_went_on(0);
        CHECK_EQ(host_timer_taken, taken + 1);
        CHECK(v->attention);
        rig_end(&vm);
    }
    begin("an interrupt window", RIG_FLAT32);
    v->attention = false;
    rig_exit(&vm, EXIT_INTR_WINDOW, (struct exit){0});
    check_went_on(0);
    CHECK(v->attention);
    rig_end(&vm);
}

static void test_ends(void)
{
    static const enum exit_reason nobodys[] = {
        EXIT_NONE, EXIT_EXCEPTION, EXIT_SOFT_INT,
        EXIT_UNKNOWN, EXIT_STEP, EXIT_RDTSC, EXIT_INVLPG};

    for (u32 i = 0; i < ARRAY_SIZE(nobodys); i++) {
        begin("an exit that nobody handles", RIG_FLAT32);
        rig_exit(&vm, nobodys[i], (struct exit){.code = 0x71});
        CHECK(!vm.alive);
        CHECK_EQ(vm.how, END_UNSUPPORTED);
        CHECK(strstr(rig_why(&vm), "0x71") != NULL);
        rig_end(&vm);
    }
    begin("a triple fault", RIG_FLAT32);
    rig_exit(&vm, EXIT_SHUTDOWN, (struct exit){0});
    CHECK_EQ(vm.how, END_TRIPLE_FAULT);
    CHECK_STR(rig_why(&vm), "triple fault near rip 0x7c00");
    rig_end(&vm);
    begin("a refused entry", RIG_FLAT32);
    rig_exit(&vm, EXIT_ENTRY_FAILED,
             (struct exit){.fail = {"DR6", 0x100000000, "bits 63 to 32 of DR6 must be 0", "15.5.1"}});
    CHECK_EQ(vm.how, END_BAD_ENTRY);
    CHECK_STR(rig_why(&vm), "entry refused: DR6 = 0x100000000: bits 63 to 32 of DR6 must be 0 "
                            "(AMD64 Manual vol. 2, 15.5.1)");
    CHECK_EQ(host_trace_count(EVENT_entry_failed), 1);
    rig_end(&vm);
    begin("an entry that our own side refused: no field, no section", RIG_FLAT32);
    rig_exit(&vm, EXIT_ENTRY_FAILED, (struct exit){.fail = {.why = "there is no such check"}});
    CHECK_STR(rig_why(&vm), "entry refused: there is no such check");
    rig_end(&vm);
}

int main(void)
{
    test_cpuid();
    test_cpuid_leaves();
    test_msr();
    test_msr_efer();
    test_msr_tsc();
    test_mov_cr();
    test_mov_cr8();
    test_clts_lmsw();
    test_cr_undecodable();
    test_hlt();
    test_refused();
    test_skipped();
    test_interrupts();
    test_ends();
    return check_done("exit");
}
