/*
 * Unit test of round robin: order, slices, ties, blocking and waking; then a
 * random run against a model that keeps the queue as an array.
 */
#include <string.h>
#include "vmm/sched/sched.h"
#include "vmm/tests/check.h"

#define SLICE 10000ull
#define NEVER (~0ull)

static struct sched_unit unit[64];

static struct sched_unit *vm(u16 n)
{
    return &unit[n];
}

static void fresh(u16 count, u64 now)
{
    sched_rr.init(&(struct sched_setup){.slice = SLICE, .cpus = 1});
    for (u16 n = 1; n <= count; n++) {
        *vm(n) = (struct sched_unit){.vm = n};
        sched_rr.add(vm(n), now);
    }
}

static void check_pick(u64 now, struct sched_unit *who, u64 until, struct sched_unit *other,
                       u32 runnable)
{
    struct sched_choice c = sched_rr.pick(0, now);
    struct sched_reason r = sched_rr.reason(0);

    CHECK_EQ(c.unit ? c.unit->vm : 0, who ? who->vm : 0);
    CHECK_EQ(c.until, until);
    CHECK_EQ(r.other ? r.other->vm : 0, other ? other->vm : 0);
    CHECK_EQ(r.runnable, runnable);
    if (c.unit)
        CHECK_EQ(r.key, c.unit->turn);
    if (r.other)
        CHECK_EQ(r.other_key, r.other->turn);
    if (c.unit && r.other)
        CHECK(r.key < r.other_key);
}

static void test_find(void)
{
    check_about("find");
    CHECK(sched_find("rr", 2) == &sched_rr);
    CHECK(sched_find("rr=", 2) == &sched_rr);
    CHECK(sched_find("r", 1) == NULL);
    CHECK(sched_find("rrr", 3) == NULL);
    CHECK(sched_find("", 0) == NULL);
}

static void test_rotation(void)
{
    check_about("rotation");
    fresh(0, 0);
    check_pick(5, NULL, NEVER, NULL, 0);
    fresh(3, 0);
    for (u64 turn = 0; turn < 9; turn++) {
        u64 now = turn * SLICE;
        check_pick(now, vm(turn % 3 + 1), now + SLICE, vm((turn + 1) % 3 + 1), 3);
        check_pick(now + SLICE - 1, vm(turn % 3 + 1), now + SLICE, vm((turn + 1) % 3 + 1), 3);
        sched_rr.charge(vm(turn % 3 + 1), SLICE - turn, now + SLICE);
    }
    CHECK_EQ(vm(1)->ran, 3 * SLICE - 0 - 3 - 6);
    CHECK_EQ(vm(3)->ran, 3 * SLICE - 2 - 5 - 8);
}

static void test_blocking(void)
{
    check_about("a woken unit goes to the end and preempts nobody");
    fresh(3, 0);
    check_pick(0, vm(1), SLICE, vm(2), 3);
    sched_rr.block(vm(1), 3000);
    check_pick(3000, vm(2), 3000 + SLICE, vm(3), 2);
    sched_rr.wake(vm(1), 4000);
    sched_rr.wake(vm(1), 4000);
    check_pick(4000, vm(2), 3000 + SLICE, vm(3), 3);
    sched_rr.block(vm(3), 5000); /* from the queue */
    sched_rr.block(vm(3), 5000);
    check_pick(5000, vm(2), 3000 + SLICE, vm(1), 2);
    check_pick(3000 + SLICE, vm(1), 3000 + 2 * SLICE, vm(2), 2);
    check_about("all block");
    sched_rr.block(vm(1), 20000);
    sched_rr.remove(vm(2), 20000);
    check_pick(20000, NULL, NEVER, NULL, 0);
    sched_rr.wake(vm(3), 30000);
    check_pick(30000, vm(3), NEVER, NULL, 1);
}

static void test_alone(void)
{
    check_about("alone");
    fresh(2, 0);
    sched_rr.block(vm(2), 0);
    check_pick(0, vm(1), NEVER, NULL, 1);
    sched_rr.wake(vm(2), 4000); /* within the slice: goes on to its end */
    check_pick(4000, vm(1), SLICE, vm(2), 2);
    sched_rr.block(vm(2), 5000);
    check_pick(7 * SLICE, vm(1), NEVER, NULL, 1); /* renewed */
    sched_rr.wake(vm(2), 9 * SLICE);              /* long after it: the slice is over */
    check_pick(9 * SLICE, vm(2), 10 * SLICE, vm(1), 2);
}

static void test_yield(void)
{
    check_about("yield");
    fresh(3, 0);
    check_pick(0, vm(1), SLICE, vm(2), 3);
    sched_rr.timer(vm(3), 100); /* has no CPU to give up */
    sched_rr.timer(vm(1), 100);
    check_pick(100, vm(2), 100 + SLICE, vm(3), 3);
    sched_rr.timer(vm(2), 200);
    check_pick(200, vm(3), 200 + SLICE, vm(1), 3);
    sched_rr.timer(vm(3), 300);
    check_pick(300, vm(1), 300 + SLICE, vm(2), 3);
    fresh(1, 0);
    check_pick(0, vm(1), NEVER, NULL, 1);
    sched_rr.timer(vm(1), 50);
    check_pick(50, vm(1), NEVER, NULL, 1);
}

static void test_ties(void)
{
    check_about("ties: lower VM number, then lower vCPU number");
    fresh(0, 0);
    unit[10] = (struct sched_unit){.vm = 2, .vcpu = 1};
    for (u16 n = 1; n <= 3; n++)
        *vm(n) = (struct sched_unit){.vm = n};
    sched_rr.add(vm(3), 6);
    sched_rr.add(&unit[10], 7);
    sched_rr.add(vm(2), 7);
    sched_rr.add(vm(1), 7);
    check_pick(7, vm(3), 7 + SLICE, vm(1), 4); /* queued earlier */
    sched_rr.block(vm(3), 8);
    check_pick(8, vm(1), 8 + SLICE, vm(2), 3);
    sched_rr.block(vm(1), 9);
    CHECK(sched_rr.pick(0, 9).unit == vm(2));
    sched_rr.block(vm(2), 10);
    CHECK(sched_rr.pick(0, 10).unit == &unit[10]);
    check_about("ties: who gives up the CPU comes after who wakes in that instant");
    fresh(2, 0);
    sched_rr.block(vm(2), 0);
    check_pick(0, vm(1), NEVER, NULL, 1);
    sched_rr.timer(vm(1), 500);
    sched_rr.wake(vm(2), 500);
    check_pick(500, vm(2), 500 + SLICE, vm(1), 2);
    check_about("the end of time");
    sched_rr.block(vm(1), 600);
    check_pick(NEVER - 5, vm(2), NEVER, NULL, 1);
    sched_rr.wake(vm(1), NEVER - 4);
    check_pick(NEVER - 4, vm(2), NEVER, vm(1), 2);
}

/* --- A random run against an array ------------------------------------------------ */

static struct {
    struct {
        u64 since;
        u32 rank; /* in that instant */
        u16 vm;
    } queue[64];
    u32 count;
    u16 current; /* 0: none */
    u64 slice_end;
} model;
static u64 rng = 4711;

static u32 random_below(u32 n)
{
    rng = rng * 6364136223846793005ull + 1442695040888963407ull;
    return (u32)((rng >> 33) % n);
}

static void model_queue(u16 n, u64 now, bool gave_up)
{
    u32 at = 0, rank = n + (gave_up ? 1000 : 0);

    while (at < model.count && (model.queue[at].since < now || model.queue[at].rank < rank))
        at++;
    memmove(&model.queue[at + 1], &model.queue[at], (model.count - at) * sizeof(model.queue[0]));
    model.queue[at].vm = n;
    model.queue[at].since = now;
    model.queue[at].rank = rank;
    model.count++;
}

static void model_unqueue(u32 at)
{
    model.count--;
    memmove(&model.queue[at], &model.queue[at + 1], (model.count - at) * sizeof(model.queue[0]));
}

static void model_block(u16 n)
{
    if (model.current == n)
        model.current = 0;
    for (u32 i = 0; i < model.count; i++)
        if (model.queue[i].vm == n)
            model_unqueue(i);
}

static void model_yield(u64 now)
{
    if (model.current)
        model_queue(model.current, now, true);
    model.current = 0;
}

static void model_pick(u64 now)
{
    if (model.current && now >= model.slice_end)
        model_yield(now);
    if (model.current || !model.count)
        return;
    model.current = model.queue[0].vm;
    model.slice_end = now + SLICE;
    model_unqueue(0);
}

static void random_call(u64 now)
{
    u16 n = (u16)(1 + random_below(20));

    switch (random_below(5)) {
    case 0:
    case 1:
        if (!vm(n)->runnable)
            model_queue(n, now, false);
        sched_rr.wake(vm(n), now);
        break;
    case 2:
        sched_rr.block(vm(n), now);
        model_block(n);
        break;
    case 3:
        if (!model.current)
            break;
        n = model.current;
        sched_rr.block(vm(n), now);
        model_block(n);
        break;
    default:
        if (model.current)
            sched_rr.timer(vm(model.current), now);
        model_yield(now);
    }
}

static void test_random(void)
{
    u64 now = 1;

    fresh(20, 0);
    for (u16 n = 1; n <= 20; n++)
        model_queue(n, 0, false);
    for (u32 step = 0; step < 20000; step++) {
        check_about("random step %u", step);
        for (u32 calls = random_below(4); calls; calls--)
            random_call(now);
        model_pick(now);
        check_pick(now, model.current ? vm(model.current) : NULL,
                   model.count ? model.slice_end : NEVER,
                   model.count ? vm(model.queue[0].vm) : NULL, model.count + (model.current != 0));
        now += random_below(3) ? random_below(SLICE) : 1;
    }
}

int main(void)
{
    test_find();
    test_rotation();
    test_blocking();
    test_alone();
    test_yield();
    test_ties();
    test_random();
    return check_done("rr");
}
