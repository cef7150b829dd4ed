/*
 * vcpu_events.c and the interrupt half of exit_io.c: windows, acknowledge and
 * end of interrupt, ticks from the PIT's programming to the guest's handler,
 * under each policy. One VM whose guest never loses the CPU; test_vmm.c has
 * several.
 */
#include "kernel/clock.h"
#include "vmm/tests/check.h"
#include "vmm/tests/host.h"
#include "vmm/tests/host_cpu.h"
#include "vmm/tests/rig.h"
#include "vmm/vcpu_events.h"

#define NEVER (~0ull)
#define UART_LINE_NUMBER 4
#define RELOAD 11932u /* about 10 ms */
#define PERIOD (RELOAD * NS_PER_SEC / PIT_HZ)
/* The first ns that is not before tick n of a timer started at 0. */
#define TICK(n) (((n) * RELOAD * NS_PER_SEC + PIT_HZ - 1) / PIT_HZ)

static struct vm vm;
static struct vcpu *const v = &vm.vcpu;

static void begin(const char *about, const char *args)
{
    check_about("%s", about);
    rig_begin(&vm, args);
    rig_mode(&vm, RIG_FLAT32);
}

/* What a guest does at its start: the PIC to vectors 32 and 40, those lines. */
static void init_pic(u8 mask)
{
    static const struct {
        u16 port;
        u8 value;
    } writes[] = {{0x20, 0x11}, {0x21, 0x20}, {0x21, 4}, {0x21, 1},
                  {0xa0, 0x11}, {0xa1, 0x28}, {0xa1, 2}, {0xa1, 1}, {0xa1, 0xff}};

    for (u32 i = 0; i < ARRAY_SIZE(writes); i++)
        rig_out(&vm, writes[i].port, 1, writes[i].value);
    rig_out(&vm, 0x21, 1, mask);
}

static void init_pit(void)
{
    rig_out(&vm, 0x43, 1, 0x34);
    rig_out(&vm, 0x40, 1, RELOAD & 0xff);
    rig_out(&vm, 0x40, 1, RELOAD >> 8);
}

static void events(void)
{
    vcpu_events(v, clock_now(), NEVER);
}

/* The entry takes what is to be injected. */
static bool injected(u8 vector)
{
    bool is = v->interrupt.valid && v->interrupt.type == EV_INTR && v->interrupt.vector == vector;

    v->interrupt.valid = false;
    return is;
}

/* --- Interrupts ---------------------------------------------------------------------- */

static void test_window(void)
{
    begin("a window while IF=0", "");
    init_pic(0);
    events();
    CHECK(!v->ctl.intr_window);
    v->ctl_changed = false;
    pic_set_line(&vm.pic, UART_LINE_NUMBER, true);
    events();
    CHECK(v->ctl.intr_window && v->ctl_changed);
    CHECK(!v->interrupt.valid);
    CHECK_EQ(host_trace_count(EVENT_window), 1);
    events();
    CHECK_EQ(host_trace_count(EVENT_window), 1); /* it stays open, said once */
    check_about("behind an STI");
    v->rflags |= RFLAGS_IF;
    v->shadow = 1;
    events();
    CHECK(!v->interrupt.valid && v->ctl.intr_window);
    check_about("taken: the window closes");
    v->shadow = 0;
    events();
    CHECK(injected(0x24));
    CHECK(!v->ctl.intr_window);
    CHECK_EQ(host_trace_count(EVENT_window), 2);
    CHECK_EQ(host_trace_count(EVENT_irq_ack), 1);
    rig_end(&vm);
}

static void test_second_interrupt(void)
{
    begin("another event comes first", "");
    init_pic(0);
    v->rflags |= RFLAGS_IF;
    pic_set_line(&vm.pic, UART_LINE_NUMBER, true);
    v->inject = (struct event){true, EV_EXCEPTION, 14, true, 0};
    events();
    CHECK_EQ(v->inject.vector, 14);
    CHECK(v->ctl.intr_window);
    v->inject.valid = false;
    events();
    CHECK(injected(0x24));

    check_about("in service until its EOI, through ports");
    pic_set_line(&vm.pic, UART_LINE_NUMBER, false);
    pic_set_line(&vm.pic, UART_LINE_NUMBER, true);
    pic_set_line(&vm.pic, 5, true);
    events();
    CHECK(!v->interrupt.valid && !v->ctl.intr_window);
    rig_out(&vm, 0x20, 1, 0x0b);
    CHECK_EQ(rig_in(&vm, 0x20, 1) & 0xff, 1 << UART_LINE_NUMBER);
    v->attention = false;
    rig_out(&vm, 0x20, 1, 0x20);
    CHECK(v->attention);
    CHECK_EQ(host_trace_count(EVENT_irq_eoi), 1);
    CHECK_EQ(rig_in(&vm, 0x20, 1) & 0xff, 0);
    events();
    CHECK(injected(0x24));
    check_about("a more urgent one interrupts it");
    pic_set_line(&vm.pic, 1, true);
    events();
    CHECK(injected(0x21));
    rig_end(&vm);
}

/* --- Ticks ---------------------------------------------------------------------------- */

static void test_tick(void)
{
    begin("one tick, from the PIT to the EOI", "");
    init_pic(0xfe);
    init_pit();
    v->rflags |= RFLAGS_IF;
    events();
    CHECK_EQ(host_timer_at, TICK(1));
    CHECK(!v->interrupt.valid);
    clock_test_ns = TICK(1) - 1;
    events();
    CHECK(!v->interrupt.valid);
    clock_test_ns++;
    events();
    CHECK_EQ(vm.timer.delivered, 1);
    CHECK(injected(0x20));
    CHECK_EQ(host_timer_at, TICK(2));
    check_about("the next while it is in service waits for the EOI");
    clock_test_ns = TICK(2);
    events();
    CHECK(!v->interrupt.valid && !v->ctl.intr_window);
    CHECK_EQ(vm.timer.backlog, 1);
    rig_out(&vm, 0x20, 1, 0x20);
    events();
    CHECK(injected(0x20));
    CHECK_EQ(vm.timer.delivered, 2);
    rig_end(&vm);
}

/* A tick that fell due after a CLI is late, though a device is looked at
 * before the events are. */
static void test_late_at_device(void)
{
    begin("ticks before a device is looked at", "");
    init_pic(0xfe);
    init_pit();
    v->rflags |= RFLAGS_IF;
    events();
    v->rflags &= ~RFLAGS_IF;
    clock_test_ns = TICK(1);
    rig_out(&vm, 0x43, 1, 0); /* latch the count */
    CHECK_EQ(vm.timer.due, 1);
    CHECK_EQ(vm.timer.late, 1);
    CHECK(!vm.timer.offered);
    rig_end(&vm);
}

/* The guest sets the PIC up anew, or takes the line by polling, while a tick is
 * offered: it is not lost, and not delivered twice. */
static void test_offered_and_reset(void)
{
    begin("ICW1 while a tick is offered", "");
    init_pic(0xfe);
    init_pit();
    v->rflags |= RFLAGS_IF;
    v->inject = (struct event){true, EV_EXCEPTION, 14, true, 0};
    clock_test_ns = TICK(1);
    events();
    CHECK(vm.timer.offered && pic_pending(&vm.pic));
    v->inject.valid = false;
    v->rflags &= ~RFLAGS_IF;
    init_pic(0xfe);
    v->rflags |= RFLAGS_IF;
    events();
    CHECK(injected(0x20));
    CHECK_EQ(vm.timer.delivered, 1);
    rig_end(&vm);

    begin("polled while a tick is offered", "");
    init_pic(0xfe);
    init_pit();
    v->rflags |= RFLAGS_IF;
    v->inject = (struct event){true, EV_EXCEPTION, 14, true, 0};
    clock_test_ns = TICK(1);
    events();
    v->inject.valid = false;
    v->rflags &= ~RFLAGS_IF;
    rig_out(&vm, 0x20, 1, 0x0c);
    CHECK_EQ(rig_in(&vm, 0x20, 1) & 0xff, 0x80);
    CHECK_EQ(vm.timer.delivered, 1);
    CHECK(!vm.timer.offered);
    rig_out(&vm, 0x20, 1, 0x20);
    v->rflags |= RFLAGS_IF;
    events();
    CHECK(!v->interrupt.valid);
    CHECK_EQ(vm.timer.due, 1);
    rig_end(&vm);
}

static void test_wakes(void)
{
    begin("HLT, woken by its tick", "");
    init_pic(0xfe);
    init_pit();
    v->rflags |= RFLAGS_IF;
    v->rip = RIG_CODE;
    rig_exit(&vm, EXIT_HLT, (struct exit){0});
    CHECK_EQ(v->state, VCPU_BLOCKED);
    CHECK(!vcpu_wakes(v, TICK(1) - 1));
    CHECK_EQ(vcpu_next_tick(v, TICK(1) - 1), TICK(1));
    CHECK(vcpu_wakes(v, TICK(1)));
    clock_test_ns = TICK(1);
    v->state = VCPU_RUNNING;
    events();
    CHECK(injected(0x20));
    CHECK_EQ(v->rip, RIG_CODE + 1);
    rig_end(&vm);

    begin("HLT, the tick masked", "");
    init_pic(0xff);
    init_pit();
    v->rflags |= RFLAGS_IF;
    v->rip = RIG_CODE;
    rig_exit(&vm, EXIT_HLT, (struct exit){0});
    CHECK(!vcpu_wakes(v, TICK(5) - 1));
    CHECK_EQ(vm.timer.due, 4);
    CHECK_EQ(vm.timer.late, 4);
    rig_end(&vm);
}

/* --- Policies ---------------------------------------------------------------------------- */

/* The guest: computes in steps, ends each interrupt some time after it came. */
static struct {
    u64 handled, masked_from, masked_to;
    enum { COMPUTE, HANDLER, RETURN } next;
} guest;

static void handler(struct vcpu *vcpu, const struct event *e)
{
    CHECK_EQ(e->type, EV_INTR);
    CHECK_EQ(e->vector, 0x20);
    CHECK(vcpu->rflags & RFLAGS_IF);
    vcpu->rflags &= ~RFLAGS_IF;
    guest.handled++;
    guest.next = HANDLER;
}

static void end_interrupt(struct vcpu *vcpu)
{
    vcpu->gpr[GPR_RAX] = 0x20;
}

/* IRET, and at times CLI and STI. */
static void set_if(struct vcpu *vcpu)
{
    u64 now = clock_now();

    if (now >= guest.masked_from && now < guest.masked_to)
        vcpu->rflags &= ~RFLAGS_IF;
    else
        vcpu->rflags |= RFLAGS_IF;
}

static bool program(struct vcpu *vcpu, struct fake_step *step)
{
    (void)vcpu;
    if (guest.next == HANDLER) {
        *step = (struct fake_step){
            .ns = 3000, .act = end_interrupt,
            .exit = {.reason = EXIT_IO, .rip = RIG_CODE, .next_rip = RIG_CODE + 1,
                     .io = {.port = 0x20, .size = 1}}};
        guest.next = RETURN;
        return true;
    }
    *step = (struct fake_step){.ns = guest.next == RETURN ? 100 : 20000, .act = set_if};
    guest.next = COMPUTE;
    return true;
}

static void check_balance(void)
{
    static const u32 kinds[] = {EVENT_timer_due, EVENT_timer_delivered, EVENT_timer_dropped};

    for (u32 i = 0; i < ARRAY_SIZE(kinds); i++)
        for (const struct trace_record *r = NULL; (r = host_trace_find(kinds[i], r));) {
            const struct trace_timer_due *t = (const void *)r->payload;
            CHECK_EQ(t->delivered + t->backlog + t->discarded, t->due);
        }
}

static void start_guest(const char *about, const char *args, u64 masked_from, u64 masked_to)
{
    begin(about, args);
    init_pic(0xfe);
    init_pit();
    v->rip = RIG_CODE;
    guest.handled = 0;
    guest.masked_from = masked_from;
    guest.masked_to = masked_to;
    guest.next = COMPUTE;
    fake_of(v)->more = program;
    fake_of(v)->on_event = handler;
    v->rflags |= RFLAGS_IF;
}

static void run_until(u64 until)
{
    CHECK_EQ(vcpu_run(v, until, NEVER), STOP_SLICE);
    CHECK_EQ(clock_now(), until);
    vcpu_ticks(v, until);
}

static u64 ticks_by(u64 ns)
{
    return (u64)((u128)ns * PIT_HZ / (RELOAD * NS_PER_SEC));
}

/* Masked for half a second, from between two ticks to between two others: what
 * each policy makes of it. */
static void test_policy(const char *args, u64 discarded, u64 backlog)
{
    u64 begin_ns = TICK(50) + 5000000, end_ns = TICK(100) + 5000000, all = TICK(200) - 1;

    start_guest(args, args, begin_ns, end_ns);
    run_until(begin_ns);
    CHECK_EQ(guest.handled, ticks_by(begin_ns));
    CHECK_EQ(vm.timer.backlog, 0);
    run_until(end_ns);
    u64 lost = ticks_by(end_ns) - ticks_by(begin_ns);
    CHECK_EQ(vm.timer.due, ticks_by(end_ns));
    CHECK_EQ(vm.timer.backlog, lost);
    CHECK_EQ(guest.handled, ticks_by(begin_ns));
    run_until(all);
    CHECK_EQ(vm.timer.due, ticks_by(all));
    CHECK_EQ(vm.timer.delivered, guest.handled);
    CHECK_EQ(vm.timer.discarded, discarded * lost / 100 - (discarded > 0 && backlog > 0));
    CHECK_EQ(vm.timer.backlog, discarded ? 0 : backlog * lost / 100 - (backlog > 0));
    CHECK(vtimer_balanced(&vm.timer));
    check_balance();
    rig_end(&vm);
}

/* A guest that owes ticks under slew and masks interrupts again is left to
 * compute: the real timer does not fire for what it cannot take. */
static void test_slew_masked_again(void)
{
    start_guest("slew, masked while ticks are owed", "ticks=slew", 0, TICK(10) + PERIOD / 4);
    run_until(TICK(10) + PERIOD / 2);
    CHECK(vm.timer.backlog > 0);
    guest.masked_from = clock_now();
    guest.masked_to = clock_now() + PERIOD / 4; /* no tick falls due meanwhile */
    u64 exits = v->exits;
    run_until(guest.masked_to);
    CHECK(v->exits - exits < 5);
    run_until(NS_PER_SEC);
    CHECK_EQ(vm.timer.backlog, 0);
    CHECK_EQ(vm.timer.discarded, 0);
    CHECK_EQ(guest.handled, vm.timer.due);
    check_balance();
    rig_end(&vm);
}

int main(void)
{
    test_window();
    test_second_interrupt();
    test_tick();
    test_late_at_device();
    test_offered_and_reset();
    test_wakes();
    test_policy("ticks=discard pit=wall", 100, 0);
    test_policy("ticks=merge pit=wall", 100, 100);
    test_policy("ticks=delay pit=wall", 0, 100);
    test_policy("ticks=slew pit=wall", 0, 0);
    test_policy("ticks=discard pit=apparent", 100, 0);
    test_policy("ticks=merge pit=apparent", 100, 100);
    test_policy("ticks=delay pit=apparent", 0, 100);
    test_policy("ticks=slew pit=apparent", 0, 0);
    test_slew_masked_again();
    return check_done("events");
}
