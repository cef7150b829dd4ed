/*
 * SEDF, simple earliest deadline first (as in Xen 3.0.3): each unit may run for
 * its slice in each period, and of those that still may the one whose period
 * ends first runs. Time that nobody may claim goes to two extra queues: L0, to
 * units that lost time by a short block, then L1, by weight.
 *
 * One CPU. Who has no extratime is on neither extra queue, so it never exceeds
 * its slice. Slice 0 does not occur: sched_check() refuses it.
 * Conventions: vmm/sched/sched.h.
 */
#include "vmm/sched/sched.h"

#include "kernel/mem.h"
#include "kernel/todo.h"
#include "kernel/trace.h"

#define NEVER         (~0ull)
#define EXTRA_QUANTUM 500000ull  /* ns */
#define FULL          1000000ull /* ppm of the CPU */
#ifndef SEDF_REBASE
#define SEDF_REBASE (1ll << 60)
#endif

static struct {
    struct heap run, wait; /* by deadline: may run now; by begin: used up, or not begun */
    struct heap l0, l1;    /* by score, lower first */
    s64 l1_lowered;        /* what was taken off all scores on l1: keys are without */
    struct sched_unit *current;
    enum sedf_class as; /* as what the current one runs */
    u64 ran;            /* ns, since it was chosen */
    u64 expires;        /* the next decision, at the latest */
    u64 admitted;       /* ppm that all units asked for */
    bool due;           /* decide at the next pick */
    struct sched_changes changes;
} sedf;

/* --- Queues ------------------------------------------------------------------------------- */

/* When its period begins, whose end is the deadline; before 0 for the first. */
static s64 begin_of(const struct sched_unit *u)
{
    return u->sedf.deadline - (s64)u->params.period;
}

static bool has_begun(const struct sched_unit *u, u64 now)
{
    return begin_of(u) <= (s64)now;
}

static void join_run(struct sched_unit *u, u64 now)
{
    heap_insert(&sedf.run, &u->sedf.edf, u->sedf.deadline, now);
}

static void join_wait(struct sched_unit *u, u64 now)
{
    heap_insert(&sedf.wait, &u->sedf.edf, begin_of(u), now);
}

static void join_by_begin(struct sched_unit *u, u64 now)
{
    if (has_begun(u, now))
        join_run(u, now);
    else
        join_wait(u, now);
}

static void join_l0(struct sched_unit *u, u64 now)
{
    if (!u->sedf.l0.in)
        heap_insert(&sedf.l0, &u->sedf.l0, u->sedf.score0, now);
}

static void join_l1(struct sched_unit *u, u64 now)
{
    if (!u->sedf.l1.in)
        heap_insert(&sedf.l1, &u->sedf.l1, u->sedf.score1 + sedf.l1_lowered, now);
}

/* The score that it has by now, if it is there. */
static s64 score_on_l1(const struct sched_unit *u)
{
    return u->sedf.l1.key - sedf.l1_lowered;
}

/* It has another score: to the place that this gives it, if it is there. */
static void move_l1(struct sched_unit *u, u64 now)
{
    heap_move(&u->sedf.l1, u->sedf.score1 + sedf.l1_lowered, now);
}

/* It keeps the score that it has by now. */
static void leave_l1(struct sched_unit *u)
{
    if (u->sedf.l1.in)
        u->sedf.score1 = score_on_l1(u);
    heap_remove(&u->sedf.l1);
}

static void leave_all(struct sched_unit *u)
{
    heap_remove(&u->sedf.edf);
    heap_remove(&u->sedf.l0);
    leave_l1(u);
}

/* Take a score off that of all on l1, without a look at each. */
static void lower_l1(s64 by)
{
    sedf.l1_lowered += by;
    if (sedf.l1_lowered < SEDF_REBASE && sedf.l1_lowered > -SEDF_REBASE)
        return;
    for (struct heap_node *n = NULL; (n = heap_next(&sedf.l1, n));)
        n->key -= sedf.l1_lowered;
    sedf.l1_lowered = 0;
}

/* --- Admission -------------------------------------------------------------------------- */

/* What a slice in each period is of the CPU, in ppm, rounded up. */
static u64 utilisation(const struct sched_params *p)
{
    /* LAB 3 BEGIN: The part of the CPU that it asks for, in ppm. */
    return (p->slice * FULL + p->period - 1) / p->period;
    /* LAB 3 END: todo(3, "3.4", p); */
}

/* May a unit have these, beside what all others asked for? */
static bool sedf_admits(const struct sched_unit *u, const struct sched_params *p)
{
    /* LAB 3 BEGIN: Whether all claims together fit into one CPU. */
    u64 own = u->sedf.admitted ? utilisation(&u->asked) : 0;

    return sedf.admitted - own + utilisation(p) <= FULL;
    /* LAB 3 END: todo(3, "3.4", u, p, utilisation); */
}

static void admit(struct sched_unit *u, const struct sched_params *p)
{
    if (u->sedf.admitted)
        sedf.admitted -= utilisation(&u->asked);
    sedf.admitted += utilisation(p);
    u->sedf.admitted = true;
    u->asked = *p;
}

/* --- The end of a run ------------------------------------------------------------------- */

/* The slice may be used up, and overdrawn: the rest of that is the next one's. */
static void end_edf(struct sched_unit *u, u64 now)
{
    /* LAB 3 BEGIN: What it ran is used up of its slice, and perhaps of the next one. */
    u->sedf.cputime += sedf.ran;
    if (u->sedf.cputime < u->params.slice)
        return;
    u->sedf.cputime -= u->params.slice;
    u->sedf.deadline += (s64)u->params.period;
    heap_remove(&u->sedf.edf);
    join_wait(u, now);
    /* LAB 3 END: todo(3, "3.6", u, now, join_wait); */
}

/* It had what it lost. */
static void end_l0(struct sched_unit *u)
{
    /* LAB 3 BEGIN: Its turn on L0 is over. */
    u->sedf.penalty = 0;
    heap_remove(&u->sedf.l0);
    /* LAB 3 END: todo(3, "3.7", u); */
}

/* All others come nearer by its score, and it goes behind with a fresh one. */
static void end_l1(struct sched_unit *u, u64 now)
{
    /* LAB 3 BEGIN: Its turn on L1 is over. */
    const struct sched_params *p = &u->params;

    lower_l1(score_on_l1(u));
    u->sedf.score1 =
        (s64)(p->extraweight ? (1u << 17) / p->extraweight : (p->period << 10) / p->slice);
    move_l1(u, now);
    /* LAB 3 END: todo(3, "3.7", u, now, score_on_l1, lower_l1, move_l1); */
}

static void deschedule(u64 now)
{
    struct sched_unit *u = sedf.current;

    if (sedf.as == SEDF_EDF)
        end_edf(u, now);
    else if (sedf.as == SEDF_L0)
        end_l0(u);
    else
        end_l1(u, now);
    sedf.current = NULL;
    sedf.as = SEDF_IDLE;
    sedf.ran = 0;
}

/* --- The calls ---------------------------------------------------------------------------- */

static void sedf_init(const struct sched_setup *setup)
{
    (void)setup;
    memset(&sedf, 0, sizeof(sedf));
}

/* A short block, within the period: the rest of the slice is lost, but for a
 * place on L0 that is the better the more it was. */
static void wake_short(struct sched_unit *u, u64 now)
{
    /* LAB 3 BEGIN: It comes back before its deadline. */
    u64 slice = u->params.slice, used = u->sedf.cputime;

    u->sedf.penalty = slice > used ? slice - used : 0;
    u->sedf.deadline += (s64)u->params.period;
    u->sedf.cputime = 0;
    if (!u->sedf.penalty || !u->params.extratime)
        return;
    u->sedf.score0 = (s64)((u->params.period << 10) / u->sedf.penalty);
    join_l0(u, now);
    /* LAB 3 END: todo(3, "3.5", u, now, join_l0); */
}

/* A long one, past the deadline: a new period begins now. */
static void wake_long(struct sched_unit *u, u64 now)
{
    /* LAB 3 BEGIN: It comes back after its deadline. */
    u->sedf.deadline = (s64)(now + u->params.period);
    u->sedf.cputime = 0;
    /* LAB 3 END: todo(3, "3.5", u, now); */
}

/* Must the current unit stop for one that woke? If that may run before the turn
 * is over; else only an L0 one beats extra time, and anything beats idling. */
static bool interrupts(const struct sched_unit *u)
{
    /* LAB 3 BEGIN: Whether a decision is due because it woke. */
    s64 begin = begin_of(u);

    if (sedf.as == SEDF_IDLE || begin < 0 || (u64)begin < sedf.expires)
        return true;
    if (sedf.as == SEDF_L0)
        return u->sedf.l0.in && u->sedf.score0 < sedf.current->sedf.score0;
    return sedf.as == SEDF_L1 && u->sedf.l0.in;
    /* LAB 3 END: todo(3, "3.5", u, begin_of); */
}

static void sedf_wake(struct sched_unit *u, u64 now)
{
    /* LAB 3 BEGIN: A unit becomes runnable: in time, short or long; which queues it joins. */
    if (u->runnable)
        return;
    u->runnable = true;
    if (!u->sedf.deadline)
        u->sedf.deadline = (s64)(now + u->params.slice);
    if (!has_begun(u, now)) {
        if (u->sedf.penalty && u->params.extratime)
            join_l0(u, now);
    } else if ((s64)now < u->sedf.deadline) {
        wake_short(u, now);
    } else {
        wake_long(u, now);
    }
    if (u->params.extratime)
        join_l1(u, now);
    join_by_begin(u, now);
    sedf.due |= interrupts(u);
    /* LAB 3 END: todo(3, "3.5", u, now, has_begun, wake_short, wake_long, join_l0, join_l1,
       join_by_begin, interrupts); */
}

static void sedf_block(struct sched_unit *u, u64 now)
{
    if (!u->runnable)
        return;
    u->runnable = false;
    if (u == sedf.current) {
        deschedule(now);
        sedf.due = true;
    }
    leave_all(u);
}

static void sedf_add(struct sched_unit *u, u64 now)
{
    u->runnable = false;
    u->ran = 0;
    u->sedf = (struct sedf_unit){.edf.unit = u, .l0.unit = u, .l1.unit = u};
    admit(u, &u->params);
    sedf_wake(u, now);
}

static void sedf_remove(struct sched_unit *u, u64 now)
{
    sedf_block(u, now);
    sedf.admitted -= utilisation(&u->asked);
    u->sedf.admitted = false;
    changes_forget(&sedf.changes, u);
}

static void sedf_set(struct sched_unit *u, const struct sched_params *p, u64 now)
{
    (void)now;
    admit(u, p);
    changes_note(&sedf.changes, u, p);
}

/* Another period moves its begin; extratime came or went. */
static void change(struct sched_unit *u, u64 now)
{
    if (u->sedf.edf.in == &sedf.wait) {
        u64 since = u->sedf.edf.since;
        heap_remove(&u->sedf.edf);
        join_wait(u, since);
    }
    if (!u->params.extratime) {
        heap_remove(&u->sedf.l0);
        leave_l1(u);
    } else if (u->runnable) {
        join_l1(u, now);
    }
}

static void sedf_timer(struct sched_unit *u, u64 now)
{
    (void)now;
    if (u == sedf.current)
        sedf.due = true;
}

static void sedf_charge(struct sched_unit *u, u64 ran, u64 now)
{
    (void)now;
    u->ran += ran;
    if (u == sedf.current)
        sedf.ran += ran;
}

/* --- The decision --------------------------------------------------------------------------- */

/* A passed deadline, or more than a slice used: on to a period that ends now or
 * later, with nothing used. Whether there was something to mend. */
static bool fix(struct sched_unit *u, u64 now)
{
    /* LAB 3 BEGIN: Deadlines that have passed are moved on. */
    u64 period = u->params.period, steps = 1;
    s64 late = (s64)now - u->sedf.deadline;

    if (late <= 0 && u->sedf.cputime <= u->params.slice)
        return false;
    if (late > 0)
        steps = ((u64)late + period - 1) / period;
    u->sedf.deadline += (s64)(steps * period);
    u->sedf.cputime = 0;
    heap_remove(&u->sedf.edf);
    join_by_begin(u, now);
    return true;
    /* LAB 3 END: todo(3, "3.6", u, now, join_by_begin); */
}

static void update_queues(u64 now)
{
    /* LAB 3 BEGIN: Periods begin, and what is past is mended. */
    struct sched_unit *u;

    while ((u = heap_first(&sedf.wait)) && has_begun(u, now)) {
        heap_remove(&u->sedf.edf);
        join_run(u, now);
    }
    while ((u = heap_first(&sedf.run)) && fix(u, now))
        ;
    /* LAB 3 END: todo(3, "3.6", now, has_begun, join_run, fix); */
}

static void run_as(struct sched_unit *u, enum sedf_class as, u64 until)
{
    sedf.current = u;
    sedf.as = as;
    sedf.expires = until;
}

/* The first deadline, for what is left of the slice; else extra time, if the
 * gap is worth it; else nobody. */
static void choose(u64 now)
{
    /* LAB 3 BEGIN: The decision: the first deadline, extra time, or nobody. */
    u64 next_begin = sedf.wait.root ? (u64)sedf.wait.root->key : NEVER;
    struct sched_unit *u = heap_first(&sedf.run);

    if (u) {
        run_as(u, SEDF_EDF, min_u64(now + u->params.slice - u->sedf.cputime, next_begin));
        return;
    }
    run_as(NULL, SEDF_IDLE, next_begin);
    if (next_begin - now < EXTRA_QUANTUM)
        return;
    if (sedf.l0.root)
        run_as(heap_first(&sedf.l0), SEDF_L0, now + EXTRA_QUANTUM);
    else if (sedf.l1.root)
        run_as(heap_first(&sedf.l1), SEDF_L1, now + EXTRA_QUANTUM);
    /* LAB 3 END: todo(3, "3.6", now, run_as); */
}

static void schedule(u64 now)
{
    if (sedf.current)
        deschedule(now);
    changes_take(&sedf.changes, change, now);
    update_queues(now);
    sedf.due = false;
    choose(now);
}

/* The queue from which the current unit was chosen. */
static const struct heap *source(void)
{
    return sedf.as == SEDF_EDF ? &sedf.run : sedf.as == SEDF_L0 ? &sedf.l0 : &sedf.l1;
}

static s64 key_of(const struct sched_unit *u)
{
    if (sedf.as == SEDF_EDF)
        return u->sedf.deadline;
    return sedf.as == SEDF_L0 ? u->sedf.score0 : score_on_l1(u);
}

static struct sched_choice sedf_pick(u32 cpu, u64 now)
{
    (void)cpu;
    if (sedf.due || now >= sedf.expires)
        schedule(now);
    return (struct sched_choice){sedf.current, sedf.expires};
}

static struct sched_reason sedf_reason(u32 cpu)
{
    (void)cpu;
    const struct sched_unit *u = sedf.current;
    const struct heap_node *other = u ? heap_first_but(source(), u) : NULL;
    return (struct sched_reason){
        .key = u ? key_of(u) : 0,
        .other = other ? other->unit : NULL,
        .other_key = other ? key_of(other->unit) : 0,
        .runnable = sedf.run.count + sedf.wait.count,
    };
}

static void sedf_report(const struct sched_unit *u)
{
    TRACE(sched_sedf, u->vm, u->vcpu, .as = u == sedf.current ? sedf.as : SEDF_IDLE,
          .deadline = (u64)u->sedf.deadline, .slice = u->params.slice, .used = u->sedf.cputime,
          .score0 = (u64)(u->sedf.l0.in ? u->sedf.score0 : 0),
          .score1 = (u64)(u->sedf.l1.in ? score_on_l1(u) : u->sedf.score1));
}

const struct sched_ops sched_sedf = {
    .name = "sedf",
    .init = sedf_init,
    .add = sedf_add,
    .remove = sedf_remove,
    .set = sedf_set,
    .wake = sedf_wake,
    .block = sedf_block,
    .timer = sedf_timer,
    .charge = sedf_charge,
    .pick = sedf_pick,
    .reason = sedf_reason,
    .admits = sedf_admits,
    .report = sedf_report,
};
