/*
 * The VMM: makes the VMs of the bundle, lets the scheduler say who runs, and
 * ends when all VMs have ended or the time is up.
 */
#include "vmm/vmm.h"
#include "kernel/clock.h"
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/format.h"
#include "kernel/lapic.h"
#include "kernel/mem.h"
#include "kernel/panic.h"
#include "vmm/bench.h"
#include "vmm/doublefault.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/options.h"
#include "vmm/sched/calls.h"
#include "vmm/switch.h"
#include "vmm/vcpu_events.h"
#include "vmm/vm.h"

/* The console hears of that many generations of a VM only. */
#define SPOKEN_GENERATIONS 3
#define MAX_VMS BUNDLE_MAX_GUESTS

extern const struct hv_ops hv_svm, hv_vmx;
static const struct hv_ops *const backends[] = {&hv_svm, &hv_vmx};

const struct hv_ops *hv;
bool hv_verify;

static struct options options;
static const struct sched_ops *sched;
static struct vm vms[MAX_VMS];
static u32 vm_count, living; /* VMs made, and those of them that have not ended */
static bool all_ready;       /* poll_all() found none blocked or watched, and none blocked since */
static struct vcpu *on_cpu;  /* whose registers the processor holds */

static int choose_backend(void)
{
    struct hv_caps caps;

    for (u32 i = 0; i < ARRAY_SIZE(backends); i++)
        if (backends[i]->probe(&caps) == 0) {
            hv = backends[i];
            pt_nested = caps.ept ? &pt_ept : &pt_npt;
            shadow_fences = !caps.task_exits;
            doublefault_asks = !caps.shutdown_exits;
            return 0;
        }
    return -ENOTSUP;
}

/* How wide physical addresses are: bits above are reserved in page tables. */
static void learn_address_width(void)
{
    u32 r[4];

    cpuid(0x80000008, 0, r);
    pt_phys_bits = (u8)r[0];
}

/* --- Making VMs ------------------------------------------------------------ */

static int prepare(struct vm *vm, const struct bundle *b, u32 i, char *why, size_t why_size)
{
    *vm = (struct vm){.id = (u16)(i + 1),
                      .name = b->guest[i].name,
                      .image = bundle_image(b, i),
                      .image_size = b->guest[i].image_size,
                      .nonce = b->nonce,
                      .seed = b->seed};
    format(vm->label, sizeof(vm->label), "%s %s", vm->name, b->guest[i].args);
    return vmargs_parse(b->guest[i].args, options.mmu, &vm->args, why, why_size);
}

static int give_life(struct vm *vm, char *why, size_t why_size)
{
    int err = vm_create(vm, why, why_size);

    if (err)
        return err;
    vm->vcpu.state = VCPU_READY;
    vm->changed = 0;
    vm->watched = vm->args.watchdog || vm->args.changes;
    vclock_ready(&vm->clock, clock_now());
    living++;
    return 0;
}

static int start(struct vm *vm, char *why, size_t why_size)
{
    vm->unit = (struct sched_unit){.vm = vm->id, .lead = &vm->unit, .params = vm->args.sched};
    int err = sched_admit(sched, &vm->unit, &vm->unit.params, why, why_size);
    if (!err)
        err = give_life(vm, why, why_size);
    if (!err)
        call_add(sched, &vm->unit, clock_now(), why, why_size); /* nothing came between */
    return err;
}

static int make_vms(const struct bundle *b)
{
    char why[256];

    for (vm_count = 0; vm_count < b->guests; vm_count++) {
        struct vm *vm = &vms[vm_count];
        if (prepare(vm, b, vm_count, why, sizeof(why)) != 0 ||
            start(vm, why, sizeof(why)) != 0) {
            console_print("nestling: guest %u (%s): %s\n", vm_count + 1, vm->name, why);
            return -EINVAL;
        }
    }
    return 0;
}

/* --- Their end -------------------------------------------------------------- */

static void count_checks(struct vm *vm)
{
    if (vm->args.checks == CHECKS_IGNORE)
        return;
    vm->passed += vm->port.passed;
    vm->failed += vm->port.failed + (vm->how == END_EXITED && vm->code != 0);
}

/* For its scheduler it is the same VM: its account goes on, and making it anew was its own
 * turn. Else a guest that ends over and over would have the CPU for itself. */
static void come_again(struct vm *vm, enum vcpu_state was, u64 since)
{
    char why[256];

    vm->generation++;
    vm->quiet = vm->generation > SPOKEN_GENERATIONS;
    u32 changed = vm->changed;
    int err = give_life(vm, why, sizeof(why));
    u64 now = clock_now();
    if (was == VCPU_RUNNING)
        call_charge(sched, &vm->unit, now - since, now);
    if (err) {
        call_remove(sched, &vm->unit, now);
        console_print("[%u %s] cannot be created anew: %s\n", vm->id, vm->name, why);
        return;
    }
    if (changed) /* what it began with was admitted then, and may not be now */
        call_set(sched, &vm->unit, &vm->args.sched, now, why, sizeof(why));
    if (was == VCPU_BLOCKED)
        call_wake(sched, &vm->unit, now);
}

/* An ended VM goes; if it may, it comes again. */
static void bury(struct vm *vm)
{
    enum vcpu_state was = vm->vcpu.state;
    bool again = vm->generation < vm->args.restart;
    u64 since = clock_now();

    if (on_cpu == &vm->vcpu)
        on_cpu = NULL;
    vm->vcpu.loaded = false;
    living--;
    if (!again)
        call_remove(sched, &vm->unit, since);
    count_checks(vm);
    if (!vm->quiet)
        vm_show_screen(vm);
    vm_destroy(vm);
    if (again)
        come_again(vm, was, since);
}

/* --- Who runs ---------------------------------------------------------------- */

/* The unit is a part of its VM. */
static struct vm *vm_of(struct sched_unit *u)
{
    return (struct vm *)((u8 *)u - offsetof(struct vm, unit));
}

static void wake(struct vm *vm, u64 now)
{
    vm->vcpu.state = VCPU_READY;
    vclock_ready(&vm->clock, now);
    call_wake(sched, &vm->unit, now);
    TRACE(sched_wake, vm->id, 0, .why = WAKE_INTERRUPT);
}

/* Wake a blocked VM if it has a reason, or the time at which it may have one. */
static u64 poll_blocked(struct vm *vm, u64 now)
{
    if (!vcpu_wakes(&vm->vcpu, now))
        return vcpu_next_tick(&vm->vcpu, now);
    wake(vm, now);
    return ~0ull;
}

static void switch_to(struct vcpu *v)
{
    if (on_cpu == v)
        return;
    if (on_cpu)
        switch_save(on_cpu);
    switch_load(v);
    on_cpu = v;
}

/* The vCPU gets the CPU: ticks that fell due while it waited are late, and
 * the time is stolen. */
static void begin_run(struct vm *vm, u64 now)
{
    struct vcpu *v = &vm->vcpu;

    vcpu_ticks(v, now);
    vclock_unready(&vm->clock, now);
    v->state = VCPU_RUNNING;
    u64 offset = vclock_tsc_offset(&vm->clock, vm->args.tsc) + v->tsc_written;
    if (v->ctl.tsc_offset != offset) {
        v->ctl.tsc_offset = offset;
        v->ctl_changed = true;
    }
    switch_to(v);
}

static void end_run(struct vm *vm, enum vcpu_stop stop, u64 from, u64 now)
{
    struct vcpu *v = &vm->vcpu;

    call_charge(sched, &vm->unit, now - from, now);
    if (stop == STOP_BLOCKED) {
        call_block(sched, &vm->unit, now);
        all_ready = false;
    } else if (stop != STOP_ENDED) {
        vcpu_ticks(v, now);
        v->state = VCPU_READY;
        vclock_ready(&vm->clock, now);
        if (stop == STOP_YIELD)
            call_timer(sched, &vm->unit, now);
    }
}

static const enum sched_why why_of[] = {[STOP_SLICE] = WHY_SLICE_END,
                                        [STOP_WAKE] = WHY_WOKEN,
                                        [STOP_BLOCKED] = WHY_BLOCKED,
                                        [STOP_YIELD] = WHY_YIELDED,
                                        [STOP_ENDED] = WHY_ENDED};

/* A VM whose own clock has gone on for too long without a word at the test port
 * is ended, if it is to be: it hangs. The time at which it may be. */
static u64 poll_watchdog(struct vm *vm, u64 *now)
{
    u64 own = vclock_ns(&vm->clock, CLOCK_APPARENT, *now);

    if (vm->heard != vm->port.accesses) {
        vm->heard = vm->port.accesses;
        vm->heard_at = own;
    }
    if (own - vm->heard_at < vm->args.watchdog)
        return *now + vm->args.watchdog - (own - vm->heard_at);
    vm_end(vm, END_KILLED, 0, "its watchdog: no word at the test port for %lu us",
           (own - vm->heard_at) / 1000);
    bury(vm);
    *now = clock_now();
    return ~0ull;
}

/* Parameters that a VM is to have by now; what cannot be is said, and it goes on
 * with those it has. The time of the next. */
static u64 poll_changes(struct vm *vm, u64 now)
{
    char why[256];

    for (; vm->changed < vm->args.changes; vm->changed++) {
        u64 at = vm->args.later[vm->changed].at;
        if (at > now)
            return at;
        if (call_set(sched, &vm->unit, &vm->args.later[vm->changed].sched, now, why, sizeof(why))) {
            console_print("[%u %s] keeps its parameters: %s\n", vm->id, vm->name, why);
            TRACE_TEXT(note, vm->id, 0, why, .value = at);
        }
    }
    return ~0ull;
}

static u64 poll_watched(struct vm *vm, u64 *now)
{
    u64 next = vm->args.watchdog ? poll_watchdog(vm, now) : ~0ull;

    return vm->alive ? min_u64(next, poll_changes(vm, *now)) : next;
}

/* See to those that do not run: who wakes, who hangs. The time at which one of
 * them is to be looked at again. Not inlined: not every turn comes here. */
static __attribute__((noinline)) u64 poll_all(u64 *now)
{
    u64 next = ~0ull;

    all_ready = true;
    for (struct vm *vm = vms; vm < vms + vm_count; vm++) {
        if (!vm->alive)
            continue;
        all_ready &= !vm->watched && vm->vcpu.state != VCPU_BLOCKED;
        if (vm->watched)
            next = min_u64(next, poll_watched(vm, now));
        if (vm->alive && vm->vcpu.state == VCPU_BLOCKED)
            next = min_u64(next, poll_blocked(vm, *now));
    }
    return next;
}

static u64 poll(u64 *now)
{
    return all_ready ? ~0ull : poll_all(now);
}

/* Nobody can run: wait for the next tick of anybody, or for the end. */
static void idle(u64 until)
{
    timer_arm(until);
    while (!timer_fired() && clock_now() < until)
        cpu_idle();
}

static void run_vms(void)
{
    enum sched_why why = WHY_FIRST;
    struct sched_unit *prev = NULL;
    u64 now = clock_now();

    for (;;) {
        u64 next = poll(&now);
        if (!living || now >= options.time)
            return;
        struct sched_choice c = call_pick(sched, 0, prev, why, now);
        prev = c.unit;
        if (!c.unit) {
            idle(min_u64(min_u64(next, c.until), options.time));
            why = WHY_WOKEN;
            now = clock_now();
            continue;
        }
        struct vm *vm = vm_of(c.unit);
        begin_run(vm, now);
        enum vcpu_stop stop = vcpu_run(&vm->vcpu, min_u64(c.until, options.time), next);
        u64 from = now;
        now = clock_now();
        end_run(vm, stop, from, now);
        why = why_of[stop];
        if (stop == STOP_ENDED) {
            bury(vm);
            now = clock_now();
        }
    }
}

static enum host_status finish(void)
{
    bool time_up = living > 0;
    u32 failed = 0;

    for (u32 i = 0; i < vm_count; i++) {
        struct vm *vm = &vms[i];
        if (vm->alive) {
            vm_end(vm, END_TIME_UP, 0, "the time is up");
            count_checks(vm);
            vm_show_screen(vm);
        }
        failed += vm->failed;
    }
    return failed ? STATUS_FAILED : time_up ? STATUS_TIME : STATUS_ENDED;
}

enum host_status vmm_main(const struct bundle *b)
{
    char why[256];

    if (choose_backend() != 0) {
        console_print("nestling: this processor has neither SVM with nested paging nor VMX\n");
        return STATUS_REFUSED;
    }
    learn_address_width();
    if (options_parse(b->cmdline, &options, why, sizeof(why)) != 0) {
        console_print("nestling: options: %s\n", why);
        return STATUS_REFUSED;
    }
    hv_verify = options.verify == VERIFY_REGISTERS;
    if (hv->cpu_on() != 0) {
        console_print("nestling: the processor's extension cannot be switched on\n");
        return STATUS_REFUSED;
    }
    trace_select(options.trace.text, options.trace.len);
    if (options.bench == BENCH_RECORD)
        bench_record();
    if (options.bench == BENCH_SCHED)
        bench_sched(options.sched, options.charge);
    sched = options.sched;
    call_init(sched, &(struct sched_setup){options.slice, 1, options.charge});
    if (make_vms(b) != 0)
        return STATUS_REFUSED;
    run_vms();
    return finish();
}
