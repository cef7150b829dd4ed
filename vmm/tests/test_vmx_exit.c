/*
 * vmx_exit.c: each exit reason of the manual's appendix C in neutral words, with
 * the fields that the VMCS holds at that moment. No processor.
 */
#include <string.h>
#include "vmm/tests/check.h"
#include "vmm/tests/host_vmcs.h"

static struct vcpu v = {.rip = 0x401000};

/* Translate what the hardware says; the rest of x is garbage before. */
static struct exit translate(u32 reason, u64 qualification)
{
    struct exit x;

    memset(&x, 0xa5, sizeof(x));
    vmcs_write(VMCS_QUALIFICATION, qualification);
    vmcs_write(VMCS_EXIT_LENGTH, 3);
    vmx_translate(&v, reason, &x);
    CHECK_EQ(x.rip, 0x401000);
    CHECK_EQ(x.code, reason);
    CHECK_EQ(x.info1, qualification);
    CHECK_EQ(x.next_rip, 0);
    return x;
}

/* Appendix C, in its order; length: the manual (27.2.5) says that there is one. */
static const struct {
    u8 number, reason;
    bool length;
} reasons[] = {
    {1, EXIT_INTR, false},        {2, EXIT_SHUTDOWN, false},    {3, EXIT_UNKNOWN, false},
    {4, EXIT_UNKNOWN, false},     {5, EXIT_UNKNOWN, false},     {6, EXIT_UNKNOWN, false},
    {7, EXIT_INTR_WINDOW, false}, {8, EXIT_NMI_WINDOW, false},  {9, EXIT_TASK_SWITCH, false},
    {10, EXIT_CPUID, true},       {11, EXIT_VIRT_INSN, true},   {12, EXIT_HLT, true},
    {13, EXIT_WBINVD, true},      {14, EXIT_INVLPG, true},      {15, EXIT_RDPMC, true},
    {16, EXIT_RDTSC, true},       {17, EXIT_UNKNOWN, false},    {18, EXIT_HYPERCALL, true},
    {19, EXIT_VIRT_INSN, true},   {20, EXIT_VIRT_INSN, true},   {21, EXIT_VIRT_INSN, true},
    {22, EXIT_VIRT_INSN, true},   {23, EXIT_VIRT_INSN, true},   {24, EXIT_VIRT_INSN, true},
    {25, EXIT_VIRT_INSN, true},   {26, EXIT_VIRT_INSN, true},   {27, EXIT_VIRT_INSN, true},
    {28, EXIT_CR, true},          {29, EXIT_DR, true},          {30, EXIT_IO, true},
    {31, EXIT_MSR, true},         {32, EXIT_MSR, true},         {36, EXIT_MONITOR, true},
    {37, EXIT_STEP, false},       {39, EXIT_MONITOR, true},     {40, EXIT_PAUSE, true},
    {41, EXIT_UNKNOWN, false},    {43, EXIT_UNKNOWN, false},    {44, EXIT_UNKNOWN, false},
    {46, EXIT_DESCRIPTOR, true},  {47, EXIT_DESCRIPTOR, true},  {48, EXIT_NESTED, false},
    {49, EXIT_NESTED, false},     {50, EXIT_VIRT_INSN, true},   {51, EXIT_RDTSC, true},
    {52, EXIT_PREEMPTION, false}, {53, EXIT_VIRT_INSN, true},   {54, EXIT_WBINVD, true},
    {55, EXIT_XSETBV, true},      {57, EXIT_UNKNOWN, false},    {63, EXIT_UNKNOWN, false},
    {64, EXIT_UNKNOWN, false},    {200, EXIT_UNKNOWN, false},
};

static void test_reasons(void)
{
    host_vmcs_clear();
    for (u32 i = 0; i < ARRAY_SIZE(reasons); i++) {
        check_about("reason %u", reasons[i].number);
        struct exit x = translate(reasons[i].number, 0);
        CHECK_EQ(x.reason, reasons[i].reason);
        CHECK_EQ(x.insn_len, reasons[i].length ? 3 : 0);
        CHECK(!x.pending.valid);
    }
}

static void test_msr(void)
{
    check_about("MSR");
    CHECK(!translate(VMX_RDMSR, 0).msr.write);
    CHECK(translate(VMX_WRMSR, 0).msr.write);
}

/* Qualification, table 27-5: size less 1 in 2-0, IN 3, string 4, REP 5, port 31-16. */
static void test_io(void)
{
    static const struct {
        u64 q;
        u16 port;
        u8 size;
        bool in, string, rep;
    } cases[] = {
        {0x03f80000, 0x3f8, 1, false, false, false}, {0x00600008, 0x60, 1, true, false, false},
        {0x01f00039, 0x1f0, 2, true, true, true},    {0x05e00003, 0x5e0, 4, false, false, false},
        {0xffff0013, 0xffff, 4, false, true, false}, {0x00200048, 0x20, 1, true, false, false},
    };

    for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
        check_about("I/O %#llx", (unsigned long long)cases[i].q);
        struct exit x = translate(VMX_IO, cases[i].q);
        CHECK_EQ(x.io.port, cases[i].port);
        CHECK_EQ(x.io.size, cases[i].size);
        CHECK_EQ(x.io.in, cases[i].in);
        CHECK_EQ(x.io.string, cases[i].string);
        CHECK_EQ(x.io.rep, cases[i].rep);
    }
}

/* Table 27-3: number 3-0, type 5-4 (to, from, CLTS, LMSW). Table 27-4: number 2-0,
 * from the register 4. */
static void test_registers(void)
{
    check_about("control and debug registers");
    for (u8 type = 0; type < 4; type++) {
        struct exit x = translate(VMX_CR, 0x300 | (u64)type << 4 | 4);
        CHECK_EQ(x.cr.n, 4);
        CHECK_EQ(x.cr.write, type != 1);
        CHECK(!x.cr.known);
    }
    CHECK_EQ(translate(VMX_CR, 8).cr.n, 8);
    CHECK_EQ(translate(VMX_DR, 0x307).cr.n, 7);
    CHECK(translate(VMX_DR, 0x307).cr.write);
    CHECK(!translate(VMX_DR, 0x316).cr.write);
}

static void test_exceptions(void)
{
    check_about("exceptions");
    host_vmcs_clear();
    vmcs_write(VMCS_EXIT_EVENT, EVENT_VALID | EVENT_ERROR_VALID | EVENT_FAULT << 8 | 14);
    vmcs_write(VMCS_EXIT_ERROR, 0x17);
    struct exit x = translate(VMX_EXCEPTION, 0xdeadbeef000);
    CHECK_EQ(x.reason, EXIT_EXCEPTION);
    CHECK_EQ(x.exc.vector, 14);
    CHECK_EQ(x.exc.error, 0x17);
    CHECK_EQ(x.exc.addr, 0xdeadbeef000);
    vmcs_write(VMCS_EXIT_EVENT, EVENT_VALID | EVENT_TRAP << 8 | 3);
    x = translate(VMX_EXCEPTION, 0);
    CHECK_EQ(x.exc.vector, 3);
    CHECK_EQ(x.exc.error, 0); /* what is left over in the field means nothing */
    vmcs_write(VMCS_EXIT_EVENT, EVENT_VALID | EVENT_NMI << 8 | 2);
    CHECK_EQ(translate(VMX_EXCEPTION, 0).reason, EXIT_NMI);
}

/* Table 27-7; the examples are Bochs's. */
static void test_violations(void)
{
    static const struct {
        u64 q;
        u8 access;
        bool in_walk, present, gva;
    } cases[] = {
        {0x181, ACCESS_USER, false, false, true},
        {0x182, ACCESS_USER | ACCESS_WRITE, false, false, true},
        {0x184, ACCESS_USER | ACCESS_EXEC, false, false, true},
        {0x18a, ACCESS_USER | ACCESS_WRITE, false, true, true}, /* read-only */
        {0x82, ACCESS_USER | ACCESS_WRITE, true, false, true},
        {0x81, ACCESS_USER, true, false, true},
        {0x01, ACCESS_USER, false, false, false}, /* no linear address: PDPTE load */
        {0x1a2, ACCESS_USER | ACCESS_WRITE, false, true, true}, /* execute-only */
    };

    host_vmcs_clear();
    vmcs_write(VMCS_GUEST_PHYS_ADDR, 0x12345678);
    vmcs_write(VMCS_GUEST_LINEAR_ADDR, 0xffff800000001234);
    for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
        check_about("violation %#llx", (unsigned long long)cases[i].q);
        struct exit x = translate(VMX_EPT_VIOLATION, cases[i].q);
        CHECK_EQ(x.nested.gpa.v, 0x12345678);
        CHECK_EQ(x.nested.gva.v, cases[i].gva ? 0xffff800000001234 : 0);
        CHECK_EQ(x.nested.access, cases[i].access);
        CHECK_EQ(x.nested.in_walk, cases[i].in_walk);
        CHECK_EQ(x.nested.present, cases[i].present);
        CHECK(!x.nested.misconfig);
    }
    check_about("misconfiguration");
    struct exit x = translate(VMX_EPT_MISCONFIG, 0);
    CHECK_EQ(x.reason, EXIT_NESTED);
    CHECK_EQ(x.nested.gpa.v, 0x12345678);
    CHECK(x.nested.misconfig);
    CHECK(!x.nested.in_walk);
}

/* An event whose delivery was broken off: its type as hv.h has it. */
static void test_pending(void)
{
    static const struct {
        u32 event;
        u8 type;
    } cases[] = {
        {EVENT_INTR << 8 | 0x21, EV_INTR},   {EVENT_NMI << 8 | 2, EV_NMI},
        {EVENT_FAULT << 8 | 13, EV_EXCEPTION}, {EVENT_INT << 8 | 0x80, EV_SOFT_INT},
        {EVENT_ICEBP << 8 | 1, EV_SOFT_INT}, {EVENT_TRAP << 8 | 3, EV_SOFT_INT},
    };

    host_vmcs_clear();
    vmcs_write(VMCS_IDT_ERROR, 0x18);
    for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
        check_about("event %#x", cases[i].event);
        vmcs_write(VMCS_IDT_EVENT, EVENT_VALID | cases[i].event);
        struct exit x = translate(VMX_EPT_VIOLATION, 0x181);
        CHECK(x.pending.valid);
        CHECK_EQ(x.pending.type, cases[i].type);
        CHECK_EQ(x.pending.vector, (u8)cases[i].event);
        CHECK(!x.pending.has_error);
        vmcs_write(VMCS_IDT_EVENT, EVENT_VALID | EVENT_ERROR_VALID | cases[i].event);
        x = translate(VMX_EPT_VIOLATION, 0x181);
        CHECK(x.pending.has_error);
        CHECK_EQ(x.pending.error, 0x18);
        vmcs_write(VMCS_IDT_EVENT, cases[i].event); /* not valid: stale */
        CHECK(!translate(VMX_EPT_VIOLATION, 0x181).pending.valid);
    }
}

static void test_refused(void)
{
    check_about("refused entry");
    host_vmcs_good();
    vmcs_write(VMCS_GUEST_RFLAGS, 0);
    vmcs_write(VMCS_IDT_EVENT, EVENT_VALID | 0x20); /* of an earlier exit */
    struct exit x = translate(EXIT_REFUSED | VMX_BAD_GUEST, 0);
    CHECK_EQ(x.reason, EXIT_ENTRY_FAILED);
    CHECK_STR(x.fail.field, "guest RFLAGS");
    CHECK(!x.pending.valid);
}

int main(void)
{
    test_reasons();
    test_msr();
    test_io();
    test_registers();
    test_exceptions();
    test_violations();
    test_pending();
    test_refused();
    return check_done("vmx_exit");
}
