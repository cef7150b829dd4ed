/*
 * A backend without hardware: see fake.h. What it must keep of the contract in
 * hv.h it checks, so that a mistake of the VMM's core ends a test at once.
 */
#include "vmm/fake/fake.h"
#include "kernel/clock.h"
#include "kernel/frame.h"
#include "kernel/mem.h"
#include "kernel/panic.h"
#include "vmm/tests/host_cpu.h"
#include "vmm/vm.h"

#define FAKE_PATIENCE 100 /* exits without progress */
#define FAKE_FRAMES ((sizeof(struct fake_vcpu) + PAGE_SIZE - 1) / PAGE_SIZE)

/* Weak: vmm.c has its own. The other name is the one that vmm.c asks first. */
__attribute__((weak)) const struct hv_ops *hv = &fake_ops;
extern const struct hv_ops hv_svm __attribute__((weak, alias("fake_ops")));
extern const struct hv_ops hv_vmx __attribute__((weak, alias("fake_ops")));

void (*fake_on_init)(struct vcpu *);

/* --- The record of calls ---------------------------------------------------- */

static struct fake_call calls[FAKE_CALLS];
static u32 call_count;
static u32 counts[FAKE_FLUSH + 1];
static struct fake_call last[FAKE_FLUSH + 1];

static struct fake_call *record(const struct vcpu *v, enum fake_what what)
{
    counts[what]++;
    last[what] = (struct fake_call){.what = what, .vm = v->vm->id, .rip = v->rip};
    return &last[what];
}

/* The call's details are in place: keep it in order, too. */
static void keep(const struct fake_call *call)
{
    if (call_count < FAKE_CALLS)
        calls[call_count++] = *call;
}

void fake_forget(void)
{
    call_count = 0;
    memset(counts, 0, sizeof(counts));
}

u32 fake_count(enum fake_what what)
{
    return counts[what];
}

const struct fake_call *fake_last(enum fake_what what)
{
    return counts[what] ? &last[what] : NULL;
}

const struct fake_call *fake_call_at(u32 i)
{
    return i < call_count ? &calls[i] : NULL;
}

/* --- The script -------------------------------------------------------------- */

void fake_push(struct vcpu *v, const struct fake_step *step)
{
    struct fake_vcpu *f = fake_of(v);

    ASSERT(f->count < FAKE_STEPS);
    f->step[(f->first + f->count++) % FAKE_STEPS] = *step;
}

void fake_push_exit(struct vcpu *v, const struct exit *x)
{
    fake_push(v, &(struct fake_step){.exit = *x});
}

/* The step that is due, or NULL at the script's end. */
static struct fake_step *current(struct vcpu *v)
{
    struct fake_vcpu *f = fake_of(v);
    struct fake_step step = {0};

    if (!f->count && f->more && f->more(v, &step))
        fake_push(v, &step);
    return f->count ? &f->step[f->first] : NULL;
}

static struct fake_step finish(struct vcpu *v)
{
    struct fake_vcpu *f = fake_of(v);
    struct fake_step step = f->step[f->first];

    f->first = (f->first + 1) % FAKE_STEPS;
    f->count--;
    f->done = 0;
    f->stuck = 0;
    return step;
}

/* --- Entering ------------------------------------------------------------------- */

static bool interruptible(const struct vcpu *v)
{
    return v->rflags & RFLAGS_IF && !v->shadow;
}

/* The contract of run(): settings configured, one vCPU loaded, an interrupt
 * only where it can be taken. */
static void check_entry(struct vcpu *v)
{
    const struct fake_vcpu *f = fake_of(v);

    if (!v->vm->alive)
        panic("fake: a VM that has ended is run");
    if (!v->loaded)
        panic("fake: a vCPU is run that is not loaded");
    if (memcmp(&f->ctl, &v->ctl, sizeof(f->ctl)) != 0)
        panic("fake: settings changed without configure()");
    if (f->waiting.valid && f->waiting.type == EV_INTR && !interruptible(v))
        panic("fake: an interrupt is injected that the guest does not take");
}

static void deliver(struct vcpu *v)
{
    struct fake_vcpu *f = fake_of(v);
    struct event e = f->waiting;

    f->waiting.valid = false;
    v->shadow = 0;
    if (e.valid && f->on_event)
        f->on_event(v, &e);
}

/* An exit that is no step's own. A guest that comes no further is a mistake of
 * the VMM: an interrupt that is taken for ever. */
static bool leave(struct vcpu *v, struct exit *x, enum exit_reason reason)
{
    struct fake_vcpu *f = fake_of(v);

    if (++f->stuck > FAKE_PATIENCE)
        panic("fake: the guest exits again and again and comes no further");
    *x = (struct exit){.reason = reason, .rip = v->rip};
    return true;
}

/* Let the step's time pass, or what of it the host's timer leaves. True: it
 * passed as a whole. */
static bool pass_time(struct vcpu *v, const struct fake_step *step)
{
    struct fake_vcpu *f = fake_of(v);
    u64 now = clock_now(), left = step->ns - f->done;

    if (host_timer_at > now && left < host_timer_at - now) {
        host_clock_advance(left);
        return true;
    }
    if (host_timer_at > now) {
        f->done += host_timer_at - now;
        f->stuck = 0;
        host_clock_advance(host_timer_at - now);
    }
    return false;
}

/* One step at most. True: x is the exit. */
static bool run_step(struct vcpu *v, struct exit *x)
{
    const struct fake_vcpu *f = fake_of(v);
    struct fake_step *step = current(v);

    if (f->ctl.intr_window && interruptible(v))
        return leave(v, x, EXIT_INTR_WINDOW);
    if (!step) {
        leave(v, x, EXIT_UNKNOWN);
        x->code = FAKE_SCRIPT_END;
        return true;
    }
    if (!pass_time(v, step))
        return leave(v, x, EXIT_INTR);
    struct fake_step done = finish(v);
    if (done.act)
        done.act(v);
    *x = done.exit;
    if (!x->rip)
        x->rip = v->rip;
    v->rip = x->rip;
    return x->reason != EXIT_NONE;
}

static void fake_run(struct vcpu *v, struct exit *x)
{
    keep(record(v, FAKE_RUN));
    check_entry(v);
    deliver(v);
    while (!run_step(v, x))
        ;
}

/* --- The other functions ---------------------------------------------------------- */

static int fake_probe(struct hv_caps *caps)
{
    *caps = (struct hv_caps){.name = "fake",
                             .asids = 16,
                             .nested = true,
                             .task_exits = true,
                             .shutdown_exits = true};
    return 0;
}

static int fake_cpu_on(void)
{
    return 0;
}

/* Registers after a reset, as far as the core asks for them. */
static int fake_vcpu_init(struct vcpu *v)
{
    hpa_t frames = frames_alloc(FAKE_FRAMES, PAGE_SIZE, OWNER_VM_TABLE + v->vm->id);

    if (!frames.v)
        return -ENOMEM;
    v->backend = hpa_ptr(frames);
    memset(v->backend, 0, FAKE_FRAMES * PAGE_SIZE);
    fake_of(v)->reg[HV_PAT] = 0x0007040600070406ull;
    fake_of(v)->reg[HV_DR6] = 0xffff0ff0;
    fake_of(v)->reg[HV_DR7] = 0x400;
    fake_of(v)->ctl = v->ctl;
    keep(record(v, FAKE_INIT));
    if (fake_on_init)
        fake_on_init(v);
    return 0;
}

static void fake_vcpu_fini(struct vcpu *v)
{
    keep(record(v, FAKE_FINI));
    if (v->backend)
        frames_free(ptr_hpa(v->backend), FAKE_FRAMES, OWNER_VM_TABLE + v->vm->id);
    v->backend = NULL;
}

static void fake_configure(struct vcpu *v)
{
    fake_of(v)->ctl = v->ctl;
    struct fake_call *call = record(v, FAKE_CONFIGURE);
    call->ctl = v->ctl;
    keep(call);
}

static void fake_load(struct vcpu *v)
{
    keep(record(v, FAKE_LOAD));
}

static void fake_save(struct vcpu *v)
{
    keep(record(v, FAKE_SAVE));
}

static int fake_inject(struct vcpu *v, const struct event *e)
{
    struct fake_vcpu *f = fake_of(v);

    if (f->waiting.valid)
        return -EBUSY;
    f->waiting = *e;
    struct fake_call *call = record(v, FAKE_INJECT);
    call->event = *e;
    keep(call);
    return 0;
}

static u64 fake_reg(struct vcpu *v, enum hv_reg r, const u64 *set)
{
    u64 *place = &fake_of(v)->reg[r];

    ASSERT(r < HV_REG_COUNT);
    if (set) {
        *place = *set;
        struct fake_call *call = record(v, FAKE_SET_REG);
        call->which = r;
        call->value = *set;
        keep(call);
    }
    return *place;
}

static void fake_seg(struct vcpu *v, enum hv_seg s, struct seg *seg, bool set)
{
    ASSERT(s <= SEG_IDTR);
    if (!set) {
        *seg = fake_of(v)->seg[s];
        return;
    }
    fake_of(v)->seg[s] = *seg;
    struct fake_call *call = record(v, FAKE_SET_SEG);
    call->which = s;
    call->value = seg->base;
    keep(call);
}

static void fake_flush(struct vcpu *v, enum hv_flush kind, u64 addr)
{
    struct fake_call *call = record(v, FAKE_FLUSH);

    call->which = kind;
    call->value = addr;
    keep(call);
}

const struct hv_ops fake_ops = {
    .name = "fake",
    .manual = "AMD64 Manual vol. 2",
    .probe = fake_probe,
    .cpu_on = fake_cpu_on,
    .vcpu_init = fake_vcpu_init,
    .vcpu_fini = fake_vcpu_fini,
    .configure = fake_configure,
    .load = fake_load,
    .save = fake_save,
    .run = fake_run,
    .inject = fake_inject,
    .reg = fake_reg,
    .seg = fake_seg,
    .flush = fake_flush,
};
