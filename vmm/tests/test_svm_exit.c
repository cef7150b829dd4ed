/*
 * svm_exit.c: each exit code of the manual's appendix C in neutral words, with
 * the fields that the control block holds at that moment. No processor.
 */
#include <string.h>
#include "vmm/tests/check.h"
#include "vmm/svm/svm.h"

static struct vmcb block;
static struct svm_vcpu own = {.vmcb = &block};
static struct vcpu v = {.rip = 0x401000, .backend = &own};

/* What svm.c finds by comparing control registers. */
static bool host_state;
bool svm_holds_host_state(const struct vmcb *b)
{
    CHECK(b == &block);
    return host_state;
}

/* Translate what the hardware says; the rest of x is garbage before. */
static struct exit translate(u64 code, u64 info1, u64 info2, u64 intinfo)
{
    struct exit x;

    memset(&x, 0xa5, sizeof(x));
    x.pending.valid = true;
    block.exitcode = code;
    block.exitinfo1 = info1;
    block.exitinfo2 = info2;
    block.exitintinfo = intinfo;
    block.rip = v.rip;
    svm_translate(&v, &block, &x);
    CHECK_EQ(x.rip, 0x401000);
    CHECK_EQ(x.code, code);
    CHECK_EQ(x.info1, info1);
    CHECK_EQ(x.info2, info2);
    CHECK_EQ(x.insn_len, 0);
    return x;
}

/* Codes without details. Appendix C; what is not here is in the ranges below. */
static const struct {
    u64 code;
    enum exit_reason reason;
} plain[] = {
    {0x60, EXIT_INTR},      {0x61, EXIT_NMI},         {0x62, EXIT_UNKNOWN}, /* SMI */
    {0x63, EXIT_UNKNOWN},   /* INIT */                {0x64, EXIT_INTR_WINDOW},
    {0x65, EXIT_UNKNOWN},   /* CR0_SEL_WRITE */       {0x66, EXIT_DESCRIPTOR},
    {0x67, EXIT_DESCRIPTOR}, {0x68, EXIT_DESCRIPTOR}, {0x69, EXIT_DESCRIPTOR},
    {0x6a, EXIT_DESCRIPTOR}, {0x6b, EXIT_DESCRIPTOR}, {0x6c, EXIT_DESCRIPTOR},
    {0x6d, EXIT_DESCRIPTOR}, {0x6e, EXIT_RDTSC},      {0x6f, EXIT_RDPMC},
    {0x70, EXIT_UNKNOWN},   /* PUSHF */               {0x71, EXIT_UNKNOWN}, /* POPF */
    {0x72, EXIT_CPUID},     {0x73, EXIT_UNKNOWN},     /* RSM */
    {0x74, EXIT_UNKNOWN},   /* IRET */                {0x75, EXIT_SOFT_INT},
    {0x76, EXIT_WBINVD},    {0x77, EXIT_PAUSE},       {0x78, EXIT_HLT},
    {0x79, EXIT_INVLPG},    {0x7a, EXIT_VIRT_INSN},   {0x7d, EXIT_TASK_SWITCH},
    {0x7e, EXIT_UNKNOWN},   /* FERR_FREEZE */         {0x7f, EXIT_SHUTDOWN},
    {0x80, EXIT_VIRT_INSN}, /* VMRUN */               {0x81, EXIT_HYPERCALL},
    {0x82, EXIT_VIRT_INSN}, /* VMLOAD */              {0x83, EXIT_VIRT_INSN}, /* VMSAVE */
    {0x84, EXIT_VIRT_INSN}, /* STGI */                {0x85, EXIT_VIRT_INSN}, /* CLGI */
    {0x86, EXIT_VIRT_INSN}, /* SKINIT */              {0x87, EXIT_RDTSC},     /* RDTSCP */
    {0x88, EXIT_UNKNOWN},   /* ICEBP */               {0x89, EXIT_WBINVD},
    {0x8a, EXIT_MONITOR},   {0x8b, EXIT_MONITOR},     {0x8c, EXIT_MONITOR},
    {0x8d, EXIT_XSETBV},    {0x8e, EXIT_UNKNOWN},     /* RDPRU */
    {0xff, EXIT_UNKNOWN},   {0x100, EXIT_UNKNOWN},    {0x401, EXIT_UNKNOWN}, /* AVIC */
    {0x1ull << 40, EXIT_UNKNOWN},
};

static void test_plain(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(plain); i++) {
        check_about("code %#llx", (unsigned long long)plain[i].code);
        struct exit x = translate(plain[i].code, 0, 0, 0);
        CHECK_EQ(x.reason, plain[i].reason);
        CHECK_EQ(x.next_rip, 0);
        CHECK(!x.pending.valid);
    }
}

static void test_registers(void)
{
    for (u64 code = 0; code < 0x40; code++) {
        check_about("code %#llx", (unsigned long long)code);
        struct exit x = translate(code, 0, 0, 0);
        CHECK_EQ(x.reason, code < 0x20 ? EXIT_CR : EXIT_DR);
        CHECK_EQ(x.cr.n, code % 16);
        CHECK_EQ(x.cr.write, code % 32 >= 16);
        CHECK(!x.cr.known);
    }
}

static void test_exceptions(void)
{
    for (u64 vector = 0; vector < 32; vector++) {
        check_about("vector %llu", (unsigned long long)vector);
        struct exit x = translate(0x40 + vector, 0x1234500000017, 0xdeadbeef000, 0);
        CHECK_EQ(x.reason, EXIT_EXCEPTION);
        CHECK_EQ(x.exc.vector, vector);
        CHECK_EQ(x.exc.error, 0x17);
        CHECK_EQ(x.exc.addr, 0xdeadbeef000);
    }
}

static void test_msr(void)
{
    check_about("MSR");
    CHECK_EQ(translate(0x7c, 0, 0, 0).reason, EXIT_MSR);
    CHECK(!translate(0x7c, 0, 0, 0).msr.write);
    CHECK(translate(0x7c, 1, 0, 0).msr.write);
}

/* EXITINFO1, 15.10.2: IN 0, STR 2, REP 3, SZ8 4, SZ16 5, SZ32 6, A16 7 ... */
static void test_io(void)
{
    static const struct {
        u64 info1;
        u16 port;
        u8 size;
        bool in, string, rep;
    } rows[] = {
        {0x3f8ull << 16 | 1 << 4, 0x3f8, 1, false, false, false},
        {0xffffull << 16 | 1 << 5 | 1, 0xffff, 2, true, false, false},
        {0x5e0ull << 16 | 1 << 6 | 1, 0x5e0, 4, true, false, false},
        {0x3f8ull << 16 | 1 << 4 | 1 << 2, 0x3f8, 1, false, true, false},
        {0x1f0ull << 16 | 1 << 5 | 1 << 2 | 1 << 3 | 1, 0x1f0, 2, true, true, true},
        {0ull << 16 | 1 << 4 | 1 << 9 | 3 << 10, 0, 1, false, false, false}, /* A64, segment */
    };

    for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
        check_about("I/O row %u", i);
        struct exit x = translate(0x7b, rows[i].info1, 0x401002, 0);
        CHECK_EQ(x.reason, EXIT_IO);
        CHECK_EQ(x.io.port, rows[i].port);
        CHECK_EQ(x.io.size, rows[i].size);
        CHECK_EQ(x.io.in, rows[i].in);
        CHECK_EQ(x.io.string, rows[i].string);
        CHECK_EQ(x.io.rep, rows[i].rep);
        CHECK_EQ(x.next_rip, 0x401002);
    }
}

/* EXITINFO1, 15.25.6: P 0, RW 1, US 2, RSV 3, ID 4, 32 final, 33 in walk. */
static void test_nested(void)
{
    static const struct {
        u64 info1;
        u8 access;
        bool present, in_walk;
    } rows[] = {
        {1ull << 32 | 4, ACCESS_USER, false, false},
        {1ull << 32 | 6, ACCESS_USER | ACCESS_WRITE, false, false},
        {1ull << 32 | 0x14, ACCESS_USER | ACCESS_EXEC, false, false},
        {1ull << 32 | 7, ACCESS_USER | ACCESS_WRITE, true, false},
        {1ull << 33 | 6, ACCESS_USER | ACCESS_WRITE, false, true},
        {1ull << 32, 0, false, false},
    };

    for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
        check_about("NPF row %u", i);
        struct exit x = translate(0x400, rows[i].info1, 0xfee00123, 0);
        CHECK_EQ(x.reason, EXIT_NESTED);
        CHECK_EQ(x.nested.gpa.v, 0xfee00123);
        CHECK_EQ(x.nested.gva.v, 0);
        CHECK_EQ(x.nested.access, rows[i].access);
        CHECK_EQ(x.nested.present, rows[i].present);
        CHECK_EQ(x.nested.in_walk, rows[i].in_walk);
        CHECK(!x.nested.misconfig);
    }
}

/* EXITINTINFO, 15.7.2: vector, type 8-10, EV 11, V 31, error 32-63. */
static void test_pending(void)
{
    static const struct {
        u64 intinfo;
        struct event e;
    } rows[] = {
        {1u << 31 | 0x20, {true, EV_INTR, 0x20, false, 0}},
        {1u << 31 | 2 << 8 | 2, {true, EV_NMI, 2, false, 0}},
        {0x12ull << 32 | 1u << 31 | 1 << 11 | 3 << 8 | 14, {true, EV_EXCEPTION, 14, true, 0x12}},
        {1u << 31 | 4 << 8 | 0x80, {true, EV_SOFT_INT, 0x80, false, 0}},
    };

    for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
        check_about("pending row %u", i);
        struct exit x = translate(0x400, 1ull << 32, 0, rows[i].intinfo);
        CHECK(x.pending.valid);
        CHECK_EQ(x.pending.type, rows[i].e.type);
        CHECK_EQ(x.pending.vector, rows[i].e.vector);
        CHECK_EQ(x.pending.has_error, rows[i].e.has_error);
        if (x.pending.has_error)
            CHECK_EQ(x.pending.error, rows[i].e.error);
        check_about("stale row %u", i); /* bit 31 clear: left from before */
        CHECK(!translate(0x400, 1ull << 32, 0, rows[i].intinfo & ~(1ull << 31)).pending.valid);
    }
}

/* A control block that VMRUN takes. */
static void good_block(struct vmcb *b)
{
    memset(b, 0, sizeof(*b));
    b->efer = EFER_SVME;
    b->intercepts2 = INTERCEPT_VMRUN;
    b->guest_asid = 1;
    b->cr0 = 0x11;
    b->dr6 = 0xffff0ff0;
    b->dr7 = 0x400;
    b->g_pat = 0x0007040600070406ull;
}

/* The save area holds the host's state by then: only the copy tells. */
static void test_invalid(void)
{
    static const u64 codes[] = {0xffffffff, ~0ull}; /* QEMU's, and hardware's */

    for (u32 i = 0; i < ARRAY_SIZE(codes); i++) {
        check_about("INVALID as %#llx", (unsigned long long)codes[i]);
        good_block(&own.copy);
        good_block(&block);
        block.dr7 = 1ull << 32; /* broken, but not what was entered with */
        struct exit x = translate(codes[i], 0, 0, 0);
        CHECK_EQ(x.reason, EXIT_CR); /* in mid-guest: a MOV to CR3 */
        CHECK_EQ(x.cr.n, 3);
        CHECK(x.cr.write && !x.cr.known);
        host_state = true; /* refused, for what no copy shows */
        x = translate(codes[i], 0, 0, 0);
        CHECK_EQ(x.reason, EXIT_ENTRY_FAILED);
        CHECK_STR(x.fail.field, "the guest's state");
        host_state = false;
        own.copy.dr6 = 1ull << 63 | 5;
        x = translate(codes[i], 0, 0, 0);
        CHECK_EQ(x.reason, EXIT_ENTRY_FAILED);
        CHECK_STR(x.fail.field, "DR6");
        CHECK_EQ(x.fail.value, 1ull << 63 | 5);
    }
}

int main(void)
{
    test_plain();
    test_registers();
    test_exceptions();
    test_msr();
    test_io();
    test_nested();
    test_pending();
    test_invalid();
    return check_done("svm_exit");
}
