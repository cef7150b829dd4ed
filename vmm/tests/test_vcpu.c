/*
 * vcpu.c: the run loop on scripted exits, events whose delivery an exit broke
 * off, double faults, and going on behind an instruction.
 */
#include <string.h>
#include "kernel/clock.h"
#include "vmm/tests/check.h"
#include "vmm/tests/host.h"
#include "vmm/tests/host_cpu.h"
#include "vmm/tests/rig.h"

#define NEVER (~0ull)

static struct vm vm;
static struct vcpu *const v = &vm.vcpu;

static void begin(const char *about)
{
    check_about("%s", about);
    rig_begin(&vm, "");
    rig_mode(&vm, RIG_FLAT32);
}

static void push(enum exit_reason reason, u64 ns)
{
    fake_push(v, &(struct fake_step){.ns = ns, .exit = {.reason = reason}});
}

/* Run to the script's end, which ends the VM. */
static void run_out(void)
{
    CHECK_EQ(vcpu_run(v, NEVER, NEVER), STOP_ENDED);
    CHECK(strstr(rig_why(&vm), "0xe2d") != NULL);
}

/* --- The run loop ------------------------------------------------------------------ */

static void test_stops(void)
{
    begin("the slice ends");
    push(EXIT_CPUID, 700);
    push(EXIT_CPUID, 700);
    push(EXIT_CPUID, 700);
    CHECK_EQ(vcpu_run(v, 1000, NEVER), STOP_SLICE);
    CHECK_EQ(clock_now(), 1000);
    CHECK_EQ(v->exits, 2); /* one CPUID, then the host's timer */
    CHECK_EQ(v->rip, RIG_CODE + 2);
    CHECK_EQ(fake_of(v)->count, 2);
    check_about("a slice that is over lets nobody in");
    CHECK_EQ(vcpu_run(v, 1000, NEVER), STOP_SLICE);
    CHECK_EQ(v->exits, 2);
    check_about("another VM's business is due");
    CHECK_EQ(vcpu_run(v, 5000, 1500), STOP_WAKE);
    CHECK_EQ(clock_now(), 1500);
    check_about("both at once: the slice");
    CHECK_EQ(vcpu_run(v, 1500, 1500), STOP_SLICE);
    run_out();
    CHECK_EQ(clock_now(), 2100);
    rig_end(&vm);

    begin("it blocks");
    v->rflags |= RFLAGS_IF;
    push(EXIT_HLT, 10);
    CHECK_EQ(vcpu_run(v, NEVER, NEVER), STOP_BLOCKED);
    CHECK_EQ(v->state, VCPU_BLOCKED);
    rig_end(&vm);

    begin("it yields");
    v->gpr[GPR_RAX] = TESTPORT_YIELD;
    fake_push_exit(v, &(struct exit){.reason = EXIT_IO, .next_rip = RIG_CODE + 1,
                                     .io = {.port = TESTPORT_BASE, .size = 4}});
    CHECK_EQ(vcpu_run(v, NEVER, NEVER), STOP_YIELD);
    CHECK_EQ(v->rip, RIG_CODE + 1);
    check_about("once");
    push(EXIT_CPUID, 0);
    run_out();
    rig_end(&vm);

    begin("it exits");
    v->gpr[GPR_RAX] = TESTPORT_EXIT;
    fake_push_exit(v, &(struct exit){.reason = EXIT_IO, .next_rip = RIG_CODE + 1,
                                     .io = {.port = TESTPORT_BASE, .size = 4}});
    CHECK_EQ(vcpu_run(v, NEVER, NEVER), STOP_ENDED);
    CHECK_EQ(vm.how, END_EXITED);
    rig_end(&vm);
}

/* What the fake backend panics for, so that the other tests would notice. */
static void run_once(void *unused)
{
    struct exit x;
    (void)unused;

    hv->run(v, &x);
}

static void test_contract(void)
{
    begin("the contract of run()");
    push(EXIT_CPUID, 0);
    push(EXIT_CPUID, 0);
    CHECK(!host_panics(run_once, NULL));
    v->ctl.tsc_offset = 1;
    CHECK(host_panics(run_once, NULL));
    hv->configure(v);
    v->loaded = false;
    CHECK(host_panics(run_once, NULL));
    v->loaded = true;
    vm.alive = false;
    CHECK(host_panics(run_once, NULL));
    vm.alive = true;
    CHECK_EQ(hv->inject(v, &(struct event){true, EV_INTR, 0x20, false, 0}), 0);
    CHECK_EQ(hv->inject(v, &(struct event){true, EV_INTR, 0x21, false, 0}), -EBUSY);
    CHECK(host_panics(run_once, NULL));
    v->rflags |= RFLAGS_IF;
    v->shadow = 1;
    CHECK(host_panics(run_once, NULL));
    v->shadow = 0;
    CHECK(!host_panics(run_once, NULL));
    rig_end(&vm);
}

/* The settings go to the backend when they change, and only then. */
static void test_configure(void)
{
    begin("configure");
    push(EXIT_CPUID, 1);
    push(EXIT_CPUID, 1);
    run_out();
    CHECK_EQ(fake_count(FAKE_CONFIGURE), 0);
    rig_end(&vm);

    begin("configure after a write to the TSC");
    v->gpr[GPR_RCX] = 0x10;
    v->gpr[GPR_RAX] = v->gpr[GPR_RDX] = 0;
    fake_push_exit(v, &(struct exit){.reason = EXIT_MSR, .insn_len = 2, .msr = {.write = true}});
    push(EXIT_CPUID, 1);
    push(EXIT_CPUID, 1);
    clock_test_ns = 1000;
    run_out();
    CHECK_EQ(fake_count(FAKE_CONFIGURE), 1);
    CHECK_EQ(fake_last(FAKE_CONFIGURE)->ctl.tsc_offset, 0 - 1000ull);
    rig_end(&vm);
}

static void test_trace(void)
{
    const struct trace_record *r;

    begin("trace of entry and exit");
    fake_push(v, &(struct fake_step){
                     .ns = 5,
                     .exit = {.reason = EXIT_CPUID, .code = 0x72, .info1 = 7, .info2 = 8}});
    run_out();
    CHECK_EQ(host_trace_count(EVENT_entry), 2);
    CHECK_EQ(host_trace_count(EVENT_exit), 2);
    r = host_trace_find(EVENT_exit, NULL);
    const struct trace_exit *x = (const void *)r->payload;
    CHECK_EQ(host_record_vm(r), 1);
    CHECK_EQ(x->reason, EXIT_CPUID);
    CHECK_EQ(x->rip, RIG_CODE);
    CHECK_EQ(x->code, 0x72);
    CHECK_EQ(x->info1, 7);
    CHECK_EQ(x->info2, 8);
    rig_end(&vm);
}

/* --- Events whose delivery was broken off ------------------------------------------------- */

/* An exit (of a page's first touch) while this event was delivered. */
static void push_broken_off(struct event e)
{
    fake_push_exit(v, &(struct exit){.reason = EXIT_NESTED,
                                     .pending = e,
                                     .nested = {.gpa = gpa(0x3000), .access = ACCESS_WRITE}});
}

static void check_reinjected(const char *about, struct event e)
{
    begin(about);
    v->rflags |= RFLAGS_IF;
    push_broken_off(e);
    push(EXIT_CPUID, 0);
    run_out();
    CHECK_EQ(fake_count(FAKE_INJECT), 1);
    CHECK_EQ(host_trace_count(EVENT_reinject), 1);
    if (fake_last(FAKE_INJECT))
        CHECK_MEM(&fake_last(FAKE_INJECT)->event, &e, sizeof(e));
    CHECK_EQ(fake_call_at(0)->what, FAKE_RUN);
    CHECK_EQ(fake_call_at(1)->what, FAKE_INJECT);
    CHECK_EQ(fake_call_at(2)->what, FAKE_RUN);
    rig_end(&vm);
}

static void check_executed_again(const char *about, struct event e)
{
    begin(about);
    push_broken_off(e);
    push(EXIT_CPUID, 0);
    run_out();
    CHECK_EQ(fake_count(FAKE_INJECT), 0);
    CHECK_EQ(host_trace_count(EVENT_reinject), 0);
    CHECK_EQ(fake_call_at(1)->what, FAKE_RUN);
    CHECK_EQ(fake_call_at(1)->rip, RIG_CODE);
    rig_end(&vm);
}

static void test_pending(void)
{
    check_reinjected("an interrupt", (struct event){true, EV_INTR, 0x20, false, 0});
    check_reinjected("an NMI", (struct event){true, EV_NMI, 2, false, 0});
    check_reinjected("a page fault", (struct event){true, EV_EXCEPTION, 14, true, 6});
    check_reinjected("#UD", (struct event){true, EV_EXCEPTION, 6, false, 0});
    check_executed_again("INT 0x80", (struct event){true, EV_SOFT_INT, 0x80, false, 0});
    check_executed_again("INT3", (struct event){true, EV_EXCEPTION, 3, false, 0});
    check_executed_again("INTO", (struct event){true, EV_EXCEPTION, 4, false, 0});
}

/* A tick is due at the same moment: the event that was broken off comes first,
 * the tick when the guest takes interrupts again. */
static void test_pending_first(void)
{
    begin("before anything new");
    v->rflags |= RFLAGS_IF;
    rig_out(&vm, 0x21, 1, 0xef);
    pic_set_line(&vm.pic, 4, true);
    v->rip = RIG_CODE;
    v->inject = (struct event){true, EV_EXCEPTION, 14, true, 2};
    push(EXIT_CPUID, 0);
    run_out();
    const struct fake_call *inject = NULL;
    u32 injected = 0;
    for (u32 i = 0; fake_call_at(i); i++) {
        if (fake_call_at(i)->what != FAKE_INJECT)
            continue;
        inject = fake_call_at(i);
        CHECK_EQ(inject->event.vector, injected ? 0x0c : 14);
        injected++;
    }
    CHECK_EQ(injected, 2);
    rig_end(&vm);
}

/* The guest's handler, entered through an interrupt gate. */
static void mask(struct vcpu *vcpu, const struct event *e)
{
    (void)e;
    vcpu->rflags &= ~RFLAGS_IF;
}

static void unmask(struct vcpu *vcpu)
{
    vcpu->rflags |= RFLAGS_IF;
}

/* An interrupt was on its way when an instruction exited that makes a fault:
 * the fault goes in first, and the interrupt is not lost over it. */
static void test_fault_before_interrupt(void)
{
    struct event tick = {true, EV_INTR, 0x20, false, 0};

    begin("#GP while an interrupt waits");
    v->rflags |= RFLAGS_IF;
    fake_of(v)->on_event = mask;
    v->gpr[GPR_RCX] = 0xdead; /* no such MSR */
    fake_push_exit(v, &(struct exit){.reason = EXIT_MSR, .pending = tick});
    push(EXIT_CPUID, 0);
    fake_push(v, &(struct fake_step){.act = unmask, .exit = {.reason = EXIT_INTR_WINDOW}});
    push(EXIT_CPUID, 0);
    run_out();
    u8 vectors[4] = {0};
    u32 n = 0;
    for (u32 i = 0; fake_call_at(i); i++)
        if (fake_call_at(i)->what == FAKE_INJECT && n < 4)
            vectors[n++] = fake_call_at(i)->event.vector;
    CHECK_EQ(n, 2);
    CHECK_EQ(vectors[0], 13);
    CHECK_EQ(vectors[1], 0x20);
    rig_end(&vm);

    begin("MOV CR8 while an interrupt waits");
    rig_mode(&vm, RIG_LONG);
    v->rflags |= RFLAGS_IF;
    RIG_CODE_AT(&vm, 0x44, 0x0f, 0x22, 0xc0);
    fake_push_exit(v, &(struct exit){.reason = EXIT_CR, .pending = tick});
    push(EXIT_CPUID, 0);
    run_out();
    CHECK_EQ(fake_call_at(0)->what, FAKE_RUN);
    CHECK(v->rip >= RIG_CODE + 4); /* it is done, not met again */
    CHECK_EQ(fake_count(FAKE_INJECT), 1);
    rig_end(&vm);
}

/* --- Double faults ------------------------------------------------------------------- */

/* AMD64 Manual vol. 2, 8.2.9: the first exception down, the second across. */
static void test_double_fault(void)
{
    static const u8 vectors[] = {0, 1, 3, 6, 7, 10, 11, 12, 13, 14, 16, 17, 19};
    static const bool contributory[20] = {[0] = 1, [10] = 1, [11] = 1, [12] = 1, [13] = 1};

    begin("double faults");
    for (u32 i = 0; i < ARRAY_SIZE(vectors); i++)
        for (u32 j = 0; j < ARRAY_SIZE(vectors); j++) {
            u8 first = vectors[i], second = vectors[j];
            bool both = (first == 14 && (second == 14 || contributory[second])) ||
                        (contributory[first] && contributory[second]);
            check_about("vector %u, then %u", first, second);
            v->inject = (struct event){true, EV_EXCEPTION, first, false, 0};
            vcpu_raise(v, second, true, 0x18);
            CHECK(rig_raised(&vm, both ? 8 : second, both ? 0 : 0x18));
        }
    check_about("an interrupt is no exception");
    v->inject = (struct event){true, EV_INTR, 13, false, 0};
    vcpu_raise_gp(v);
    CHECK(rig_raised(&vm, 13, 0));
    check_about("an exception behind a double fault");
    vcpu_raise(v, 8, true, 0);
    v->inject = (struct event){true, EV_EXCEPTION, 8, true, 0};
    vcpu_raise_pf(v, 0x1000, 2);
    CHECK_EQ(vm.how, END_TRIPLE_FAULT);
    rig_end(&vm);
}

static void test_raise(void)
{
    begin("raising");
    vcpu_raise_ud(v);
    CHECK(rig_raised(&vm, 6, -1));
    v->inject.valid = false;
    vcpu_raise_pf(v, 0xdead000, 7);
    CHECK(rig_raised(&vm, 14, 7));
    CHECK_EQ(hv_get(v, HV_CR2), 0xdead000);
    push(EXIT_CPUID, 0);
    run_out();
    CHECK_EQ(fake_count(FAKE_INJECT), 1);
    CHECK_EQ(fake_call_at(1)->what, FAKE_INJECT);
    const struct trace_inject *t =
        (const void *)host_trace_find(EVENT_inject, NULL)->payload;
    CHECK_EQ(t->vector, 14);
    CHECK_EQ(t->error, 7);
    rig_end(&vm);
}

/* --- Behind an instruction ----------------------------------------------------------- */

static void test_advance(void)
{
    begin("advance");
    v->shadow = 1;
    vcpu_advance(v, 3);
    CHECK_EQ(v->rip, RIG_CODE + 3);
    CHECK_EQ(v->shadow, 0);
    CHECK(!v->inject.valid);
    check_about("32-bit code wraps at 4 GiB");
    v->rip = 0xfffffffe;
    vcpu_advance(v, 3);
    CHECK_EQ(v->rip, 1);
    check_about("single step");
    v->rflags |= RFLAGS_TF;
    vcpu_advance(v, 1);
    CHECK(rig_raised(&vm, 1, -1));
    CHECK_EQ(hv_get(v, HV_DR6), 0xffff4ff0);
    rig_end(&vm);

    check_about("64-bit code does not");
    rig_begin(&vm, "");
    rig_mode(&vm, RIG_LONG);
    v->rip = 0xfffffffe;
    vcpu_advance(v, 3);
    CHECK_EQ(v->rip, 0x100000001);
    rig_end(&vm);
}

static void test_mode(void)
{
    static const struct {
        enum rig_mode mode;
        u16 ss;
        u8 size, cpl;
    } rows[] = {
        {RIG_REAL, 0xcf3, 2, 0}, /* without PE there is no CPL */
        {RIG_FLAT32, 0xc93, 4, 0},
        {RIG_FLAT32, 0xcf3, 4, 3},
        {RIG_LONG, 0xcf3, 8, 3},
    };

    for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
        rig_begin(&vm, "");
        check_about("mode row %u", i);
        rig_mode(&vm, rows[i].mode);
        hv_set_seg(v, SEG_SS, &(struct seg){0x10, rows[i].ss, ~0u, 0});
        CHECK_EQ(vcpu_mode(v), rows[i].size);
        CHECK_EQ(vcpu_cpl(v), rows[i].cpl);
        struct guest_paging p = vcpu_paging(v);
        CHECK_EQ(p.cr0, hv_get(v, HV_CR0));
        CHECK_EQ(p.cr3, hv_get(v, HV_CR3));
        CHECK_EQ(p.cr4, hv_get(v, HV_CR4));
        CHECK_EQ(p.efer, hv_get(v, HV_EFER));
        rig_end(&vm);
    }
}

int main(void)
{
    test_stops();
    test_contract();
    test_configure();
    test_trace();
    test_pending();
    test_pending_first();
    test_fault_before_interrupt();
    test_double_fault();
    test_raise();
    test_advance();
    test_mode();
    return check_done("vcpu");
}
