/*
 * Random lists of calls. What a VM does depends on what the scheduler decides
 * (only who runs can be charged, yield or block), so a workload is made while
 * it is scheduled; the trace holds it. Each has a style of its own: many ties or
 * none, calls late or on time, long sleeps, changes of parameters, VMs that come
 * and go. The oracle (grader/oracle/sched) reads the trace.
 */
#include <string.h>
#include "vmm/sched/calls.h"
#include "vmm/sched/sim/fuzz.h"

#define MAX_VMS   12u
#define MAX_VCPUS 2u
#define MAX_CPUS  4u
#define MS        1000000ull
#define US        1000ull

static struct {
    const struct sched_ops *ops;
    u64 rng, now, last; /* last: when the running units were charged */
    u64 grid;           /* times are multiples of this, ns */
    u64 latest;         /* a call comes so late at most, ns */
    u32 vms, vcpus, cpus;
    u32 decisions;                        /* picks that gave another answer than the one before */
    u32 ties;                             /* and between equal keys */
    u32 lateness, changes, lives, yields; /* per cent */
    struct sched_unit unit[MAX_VMS][MAX_VCPUS];
    bool alive[MAX_VMS][MAX_VCPUS];
    struct sched_choice choice[MAX_CPUS];
    enum sched_why why;
} f;

static u64 below(u64 n)
{
    f.rng = f.rng * 6364136223846793005ull + 1442695040888963407ull;
    return (f.rng >> 33) % n;
}

static bool chance(u32 per_cent)
{
    return below(100) < per_cent;
}

static u64 one_of(const u64 *list, u32 n)
{
    return list[below(n)];
}
#define ONE_OF(...) one_of((const u64[]){__VA_ARGS__}, ARRAY_SIZE(((const u64[]){__VA_ARGS__})))

/* --- Parameters ---------------------------------------------------------------------- */

static void random_sedf(struct sched_params *p)
{
    u64 part = ONE_OF(2, 3, 5, 10, 20, 50);

    p->period =
        chance(70) ? ONE_OF(1 * MS, 2 * MS, 5 * MS, 10 * MS, 20 * MS) : 10 * US + below(30 * MS);
    p->slice = max_u64(5 * US, chance(60) ? p->period / part : below(p->period / part + 1));
    p->extratime = chance(60);
    p->extraweight = chance(70) ? 0 : 1 + below(500);
}

static struct sched_params random_params(void)
{
    struct sched_params p = sched_defaults;

    p.weight = chance(70) ? ONE_OF(64, 128, 256, 256, 512, 1024) : 1 + below(65535);
    p.cap = chance(60) ? 0 : chance(50) ? ONE_OF(10, 30, 60) : 1 + below(100);
    p.mcu_adv = chance(70) ? ONE_OF(5, 10, 10, 20) : 1 + below(200);
    p.warp = chance(70) ? 0 : min_u64(ONE_OF(1, 100, 500, 2000, 10000), 1000 * p.mcu_adv);
    p.warpl = chance(20) ? 0 : ONE_OF(2 * MS, 10 * MS, 25 * MS);
    p.warpu = chance(20) ? 0 : ONE_OF(5 * MS, 30 * MS, 100 * MS);
    random_sedf(&p);
    return p;
}

/* --- Calls ----------------------------------------------------------------------------- */

static bool runs(const struct sched_unit *u)
{
    for (u32 i = 0; i < f.cpus; i++)
        if (f.choice[i].unit == u)
            return true;
    return false;
}

static void forget(const struct sched_unit *u)
{
    for (u32 i = 0; i < f.cpus; i++)
        if (f.choice[i].unit == u)
            f.choice[i].unit = NULL;
}

/* Until there was a tie, the first two VMs are twins. Refused or not, the oracle is
 * to agree. */
static void add(u32 vm, u32 vcpu)
{
    struct sched_unit *u = &f.unit[vm][vcpu];
    char why[160];

    *u = (struct sched_unit){
        .vm = (u16)(vm + 1), .vcpu = (u8)vcpu, .lead = &f.unit[vm][0], .params = random_params()};
    if (vcpu || (vm == 1 && !f.ties))
        u->params = f.unit[vcpu ? vm : 0][0].params;
    f.alive[vm][vcpu] = call_add(f.ops, u, f.now, why, sizeof(why)) == 0;
    if (!f.alive[vm][vcpu])
        TRACE_TEXT(note, u->vm, u->vcpu, "refused",
                   .value = u->params.slice << 32 | u->params.period / US);
}

static void set(struct sched_unit *u)
{
    struct sched_params p = random_params();
    char why[160];

    if (call_set(f.ops, u->lead, &p, f.now, why, sizeof(why)) != 0)
        TRACE_TEXT(note, u->vm, u->vcpu, "refused", .value = p.slice << 32 | p.period / US);
}

/* All vCPUs of a VM go, the first one last; or come. */
static void end_or_begin(u32 vm)
{
    bool there = f.alive[vm][0];

    for (u32 i = 0; i < f.vcpus; i++) {
        u32 vcpu = there ? f.vcpus - 1 - i : i;
        struct sched_unit *u = &f.unit[vm][vcpu];
        if (there && f.alive[vm][vcpu]) {
            call_remove(f.ops, u, f.now);
            forget(u);
            f.alive[vm][vcpu] = false;
        } else if (!there && (vcpu == 0 || f.alive[vm][0])) {
            add(vm, vcpu);
        }
    }
}

static void random_call(void)
{
    u32 vm = (u32)below(f.vms), vcpu = (u32)below(f.vcpus);
    struct sched_unit *u = &f.unit[vm][vcpu];

    if (chance(f.lives)) {
        end_or_begin(vm);
    } else if (!f.alive[vm][vcpu]) {
        return;
    } else if (chance(f.changes)) {
        set(u);
    } else if (!u->runnable || chance(5)) {
        f.why = WHY_WOKEN;
        call_wake(f.ops, u, f.now);
    } else if (runs(u) && chance(f.yields)) {
        f.why = WHY_YIELDED;
        call_timer(f.ops, u, f.now);
    } else {
        f.why = WHY_BLOCKED;
        call_block(f.ops, u, f.now);
        forget(u);
    }
}

/* What each workload has, whatever its style: a tie, a change, a block and a wake. */
static void certain_calls(void)
{
    if (!f.alive[0][0])
        end_or_begin(0);
    for (u32 i = 0; i < 4 && !f.ties; i++) /* VMs 0 and 1 go, both come again */
        if (f.alive[i % 2][0] == (i < 2))
            end_or_begin(i % 2);
    for (u32 vm = 0; vm < f.vms; vm++)
        if (f.alive[vm][0]) {
            set(&f.unit[vm][0]);
            call_block(f.ops, &f.unit[vm][0], f.now);
            forget(&f.unit[vm][0]);
            call_wake(f.ops, &f.unit[vm][0], f.now);
            return;
        }
}

/* --- Time ------------------------------------------------------------------------------ */

static u64 next_decision(void)
{
    u64 next = ~0ull;

    for (u32 i = 0; i < f.cpus; i++)
        next = min_u64(next, f.choice[i].until);
    return next;
}

/* By the least that can be, by an exit, or by far. */
static u64 delay(void)
{
    return chance(20) ? 1 : 1 + below(chance(90) ? 5 * US : f.latest);
}

/* sedf: to the end of somebody's period, which needs no decision, or 1 ns past it. */
static u64 to_a_deadline(void)
{
    const struct sched_unit *u = &f.unit[below(f.vms)][0];
    s64 span = u->sedf.deadline - (s64)f.now + (s64)below(2);

    return span > 0 && span < (s64)(100 * MS) ? (u64)span : 0;
}

/* On time, late, before it, or in the same instant. */
static void pass_time(void)
{
    u64 until = next_decision(), span;

    if (until == ~0ull || until <= f.now)
        span = until <= f.now ? 0 : below(chance(90) ? 50 * MS : 3000 * MS);
    else if (chance(f.lateness))
        span = until - f.now + delay();
    else if (f.ops == &sched_sedf && chance(10))
        span = to_a_deadline();
    else if (chance(50))
        span = until - f.now;
    else
        span = below(min_u64(until - f.now, 100 * MS) + 1) / f.grid * f.grid;
    if (until == ~0ull && chance(2) && !f.choice[0].unit)
        span += 400ull * 86400 * NS_PER_SEC; /* a sleep of more than a year */
    if (chance(15))
        span = 0;
    f.now += span;
    clock_test_ns += min_u64(span, 1 * MS); /* the trace's own time: workload after workload */
}

static void charge_all(void)
{
    for (u32 i = 0; i < f.cpus; i++)
        if (f.choice[i].unit)
            call_charge(f.ops, f.choice[i].unit, f.now - f.last, f.now);
    f.last = f.now;
}

static void pick_all(void)
{
    for (u32 i = 0; i < f.cpus; i++) {
        const struct sched_choice before = f.choice[i];
        f.choice[i] = call_pick(f.ops, i, before.unit, f.why, f.now);
        const struct sched_choice *c = &f.choice[i];
        f.decisions += c->unit != before.unit || c->until != before.until;
        const struct sched_reason why = f.ops->reason(i);
        f.ties += why.other && why.key == why.other_key;
    }
}

/* --- A workload ---------------------------------------------------------------------- */

static void random_style(void)
{
    f.vms = 2 + (u32)below(chance(30) ? MAX_VMS - 1 : 3);
    f.cpus = f.ops == &sched_credit && chance(50) ? 2 + (u32)below(MAX_CPUS - 1) : 1;
    f.vcpus = f.ops == &sched_credit && chance(30) ? MAX_VCPUS : 1;
    f.grid = ONE_OF(1, 1, 100 * US, 500 * US, 1 * MS);
    f.lateness = (u32)ONE_OF(0, 10, 50);
    f.latest = ONE_OF(20 * MS, 20 * MS, 200 * MS);
    f.changes = (u32)ONE_OF(2, 5, 15);
    f.lives = (u32)ONE_OF(0, 2, 5);
    f.yields = (u32)ONE_OF(0, 30, 80);
}

void fuzz_workload(const struct sched_ops *ops, u64 seed, u32 decisions)
{
    memset(&f, 0, sizeof(f));
    f.ops = ops;
    f.rng = seed * 0x9e3779b97f4a7c15ull;
    random_style();
    f.now = f.last = chance(50) ? 0 : below(1000 * MS);
    call_init(ops, &(struct sched_setup){10 * MS, f.cpus, chance(40) ? CHARGE_TICK : CHARGE_EXACT});
    u32 activity = (u32)ONE_OF(1, 2, 4), steps = 0;
    for (u32 vm = 0; vm < f.vms; vm++)
        end_or_begin(vm);
    while (f.decisions < decisions || (!f.ties && steps < 20 * decisions)) {
        f.why = WHY_SLICE_END;
        charge_all();
        if (++steps % 40 == 0)
            certain_calls();
        for (u64 calls = below(activity + 1); calls; calls--)
            random_call();
        pick_all();
        pass_time();
    }
}
