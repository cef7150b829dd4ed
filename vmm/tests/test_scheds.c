/*
 * Unit test of bvt, sedf and credit: small cases worked out by hand, what is
 * refused in which words, and runs of years. Whether all decisions are right is
 * the oracle's to say (grader/tests/test_sched_oracle.py).
 */
#include <string.h>
#include "vmm/sched/credit.h"
#include "vmm/sched/sched.h"
#include "vmm/tests/check.h"
#include "vmm/tests/host.h"

#define US    1000ull
#define MS    (1000 * US)
#define NEVER (~0ull)
#define YEAR  (365ull * 86400 * NS_PER_SEC)

static struct sched_unit unit[16];
static const struct sched_ops *ops;
static char why[160];

static struct sched_unit *vm(u16 n)
{
    return &unit[n];
}

static void fresh(const struct sched_ops *which)
{
    ops = which;
    ops->init(&(struct sched_setup){.slice = 10 * MS, .cpus = 1, .charge = CHARGE_EXACT});
    memset(unit, 0, sizeof(unit));
    for (u16 n = 0; n < ARRAY_SIZE(unit); n++)
        unit[n] = (struct sched_unit){.vm = n, .lead = &unit[n], .params = sched_defaults};
}

static int add(u16 n, u64 now)
{
    why[0] = 0;
    return sched_add(ops, vm(n), now, why, sizeof(why));
}

/* Who runs (0: nobody), until when. */
static void check_pick(u64 now, u16 who, u64 until)
{
    struct sched_choice c = ops->pick(0, now);

    CHECK_EQ(c.unit ? c.unit->vm : 0, who);
    CHECK_EQ(c.until, until);
}

/* Let them run as they are picked: how long each ran, in ns. */
static void run(u64 *now, u64 until)
{
    while (*now < until) {
        struct sched_choice c = ops->pick(0, *now);
        u64 next = min_u64(c.until, until);
        if (c.unit)
            ops->charge(c.unit, next - *now, next);
        *now = next;
    }
}

/* --- Parameters ------------------------------------------------------------------------- */

static void refuse(const struct sched_params *p, const char *sentence)
{
    check_about("%s", sentence);
    CHECK_EQ(sched_check(p, why, sizeof(why)), (u64)-EINVAL);
    CHECK_STR(why, sentence);
}
#define REFUSE(field, value, sentence)                                                             \
    do {                                                                                           \
        struct sched_params p_ = sched_defaults;                                                   \
        p_.field = (value);                                                                        \
        refuse(&p_, sentence);                                                                     \
    } while (0)

static void test_ranges(void)
{
    CHECK_EQ(sched_check(&sched_defaults, why, sizeof(why)), 0);
    REFUSE(weight, 0, "weight=0 is out of range: 1 to 65535");
    REFUSE(weight, 65536, "weight=65536 is out of range: 1 to 65535");
    REFUSE(weight, (u64)-1, "weight=18446744073709551615 is out of range: 1 to 65535");
    REFUSE(cap, 101, "cap=101 is out of range: 0 to 100");
    REFUSE(slice, 4999, "slice=4999 is out of range: 5us to 10s (less would go into changing VMs)");
    REFUSE(slice, 0, "slice=0 is out of range: 5us to 10s (less would go into changing VMs)");
    REFUSE(period, 9999,
           "period=9999 is out of range: 10us to 10s (less would go into changing VMs)");
    REFUSE(period, 10 * NS_PER_SEC + 1,
           "period=10000000001 is out of range: 10us to 10s (less would go into changing VMs)");
    REFUSE(mcu_adv, 0, "mcu_adv=0 is out of range: 1 to 65535");
    REFUSE(warp, 65535001, "warp=65535001 is out of range: 0 to 65535000");
    REFUSE(warpl, 1001 * NS_PER_SEC, "warpl=1001000000000 is out of range: 0s to 1000s");
    REFUSE(warpu, 1001 * NS_PER_SEC, "warpu=1001000000000 is out of range: 0s to 1000s");
    REFUSE(extraweight, 65536, "extraweight=65536 is out of range: 0 to 65535");
    REFUSE(extratime, 2, "extratime=2 is out of range: 0 to 1");
    REFUSE(slice, 101 * MS, "a slice of 101000000 ns is longer than its period of 100000000 ns");
}

#define OF_WARP ", so that nobody borrows more than 100 ms of run time"

static void test_warp_is_bounded(void)
{
    check_about("what is borrowed is worth 100 ms at most, to whoever borrows");
    struct sched_params p = sched_defaults;
    p.warp = 10000;
    CHECK_EQ(sched_check(&p, why, sizeof(why)), 0);
    p.warpl = p.warpu = 0;
    CHECK_EQ(sched_check(&p, why, sizeof(why)), 0);
    p.warpl = p.warpu = 100 * US;
    CHECK_EQ(sched_check(&p, why, sizeof(why)), 0);
    p.mcu_adv = 65535;
    p.warp = 65535000;
    CHECK_EQ(sched_check(&p, why, sizeof(why)), 0);
    REFUSE(warp, 10001, "warp=10001 is refused: at most 1000 times mcu_adv, here 10000" OF_WARP);
    REFUSE(warpl, 1, "warpl=1 is refused: 0s, or at least 100us, the smallest run that costs");
    REFUSE(warpl, 100 * US - 1,
           "warpl=99999 is refused: 0s, or at least 100us, the smallest run that costs");
    REFUSE(warpu, 100 * US - 1,
           "warpu=99999 is refused: 0s, or at least 100us, the smallest run that costs");
}

/* All that nobody has checked: refused, and the VM keeps what it has. */
static void test_refused_at_run_time(void)
{
    static const struct sched_ops *const all[] = {&sched_rr, &sched_bvt, &sched_sedf,
                                                  &sched_credit};

    for (u32 i = 0; i < ARRAY_SIZE(all); i++) {
        check_about("%s: what is refused at run time changes nothing", all[i]->name);
        fresh(all[i]);
        vm(2)->params.warp = 10001;
        CHECK_EQ(add(2, 0), (u64)-EINVAL);
        vm(1)->params.warp = 2000;
        CHECK_EQ(add(1, 0), 0);
        struct sched_params p = vm(1)->params;
        p.mcu_adv = 1; /* what was little is now too much */
        CHECK_EQ(sched_set(ops, vm(1), &p, 1 * MS, why, sizeof(why)), (u64)-EINVAL);
        CHECK_STR(why, "warp=2000 is refused: at most 1000 times mcu_adv, here 1000" OF_WARP);
        CHECK(!vm(1)->changes);
        CHECK_EQ(ops->pick(0, 1 * MS).unit->vm, 1);
        CHECK_EQ(vm(1)->params.mcu_adv, 10);
    }
}

static void test_admission(void)
{
    check_about("admission");
    fresh(&sched_sedf);
    vm(1)->params.slice = 60 * MS;
    vm(2)->params.slice = 40 * MS;
    vm(3)->params = (struct sched_params){
        .weight = 1, .slice = 5 * US, .period = 10 * NS_PER_SEC, .mcu_adv = 1};
    CHECK_EQ(add(1, 0), 0);
    CHECK_EQ(add(2, 0), 0);
    CHECK_EQ(add(3, 0), (u64)-EINVAL); /* half a millionth, rounded up */
    CHECK_STR(why, "a slice of 5000 ns in each 10000000000 ns is refused: with those of the other "
                   "VMs it would be more than the whole CPU");
    struct sched_params p = vm(1)->params;
    p.slice = 60 * MS + 1;
    CHECK_EQ(sched_set(ops, vm(1), &p, 5, why, sizeof(why)), (u64)-EINVAL);
    p.slice = 50 * MS;
    CHECK_EQ(sched_set(ops, vm(1), &p, 5, why, sizeof(why)), 0);
    CHECK_EQ(add(3, 10), 0); /* asked for counts, not what is in effect yet */
    p.slice = 60 * MS;
    CHECK_EQ(sched_set(ops, vm(1), &p, 11, why, sizeof(why)), (u64)-EINVAL);
    ops->remove(vm(2), 12);
    CHECK_EQ(sched_set(ops, vm(1), &p, 13, why, sizeof(why)), 0);
}

static void test_admission_rounds_up(void)
{
    check_about("admission: a part of a ppm counts whole; who is gone counts nothing");
    fresh(&sched_sedf);
    vm(1)->params.slice = 367143;
    vm(1)->params.period = 1 * MS;
    vm(2)->params.slice = 6333; /* 632857 ppm, and a 10007th of one */
    vm(2)->params.period = 10007;
    CHECK_EQ(add(1, 0), 0);
    CHECK_EQ(add(2, 0), (u64)-EINVAL);
    ops->remove(vm(1), 1);
    CHECK_EQ(add(2, 1), 0);
    CHECK_EQ(add(1, 2), (u64)-EINVAL);
}

/* --- Small cases --------------------------------------------------------------------------- */

static void test_bvt(void)
{
    check_about("bvt: 10 C alone; C past the other; weight 2 runs twice as long");
    fresh(&sched_bvt);
    check_pick(0, 0, 5 * MS);
    vm(2)->params.mcu_adv = 5;
    CHECK_EQ(add(1, 1 * MS), 0);
    check_pick(1 * MS, 1, 51 * MS);
    ops->charge(vm(1), 2 * MS, 3 * MS);
    CHECK_EQ(add(2, 3 * MS), 0);                     /* starts at SVT, 0: behind 200 */
    check_pick(3 * MS, 2, 3 * MS + 4 * MS + 5 * MS); /* 200 / 5 MCUs, and C */
    ops->charge(vm(2), 9 * MS, 12 * MS);
    check_pick(12 * MS, 1, 12 * MS + 2500 * US + 5 * MS);
    CHECK_EQ(vm(2)->bvt.avt, 450);
    check_about("bvt: a part of an MCU costs a whole one");
    ops->charge(vm(1), 1, 12 * MS + 1);
    ops->block(vm(1), 12 * MS + 1);
    CHECK_EQ(vm(1)->bvt.avt, 210);
}

static void test_warp(void)
{
    check_about("bvt: who warps comes first, for warpl; then not for warpu");
    fresh(&sched_bvt);
    vm(2)->params.warp = 1000;
    vm(2)->params.warpl = 12 * MS;
    vm(2)->params.warpu = 100 * MS;
    CHECK_EQ(add(1, 0), 0);
    CHECK_EQ(add(2, 0), 0);
    check_pick(0, 2, 12 * MS); /* by its warp; its slice would be 15 ms */
    ops->charge(vm(2), 12 * MS, 12 * MS);
    check_pick(12 * MS, 2, 15 * MS); /* not warped any more, but its turn lasts */
    ops->charge(vm(2), 3 * MS, 15 * MS);
    check_pick(15 * MS, 1, 15 * MS + 15 * MS + 5 * MS);
    ops->charge(vm(1), 20 * MS, 35 * MS);
    check_pick(35 * MS, 2, 45 * MS); /* (2000 - 1500) / 10 MCUs, and C */
    ops->block(vm(1), 40 * MS);
    check_pick(45 * MS, 2, 95 * MS);
    check_pick(95 * MS, 2, 112 * MS); /* 100 ms after its warp ended it warps again */
}

static void test_sedf(void)
{
    check_about("sedf: a slice in each period, then extra time, 500 us at a time");
    fresh(&sched_sedf);
    CHECK_EQ(add(1, 0), 0);
    check_pick(0, 1, 500 * US); /* its first wake is a short block: L0 */
    ops->charge(vm(1), 500 * US, 500 * US);
    check_pick(500 * US, 1, 1 * MS); /* L1 */
    ops->charge(vm(1), 500 * US, 1 * MS);
    u64 now = 1 * MS;
    run(&now, 5 * MS);
    check_pick(5 * MS, 1, 10 * MS);      /* the period begins: its slice */
    ops->charge(vm(1), 6 * MS, 11 * MS); /* overdrawn by 1 ms */
    check_pick(11 * MS, 1, 11 * MS + 500 * US);
    CHECK_EQ(vm(1)->sedf.cputime, 1 * MS);
    CHECK_EQ(vm(1)->sedf.deadline, 205 * MS);
}

/* No parameters that are admitted make such scores: each turn takes as much off all of
 * them as weeks of extra time. */
static void test_sedf_scores(void)
{
    check_about("sedf: extra time in turns, whatever was taken off the scores");
    fresh(&sched_sedf);
    for (u16 n = 1; n <= 3; n++) {
        vm(n)->params.slice = 1;
        vm(n)->params.period = 1ull << 52;
        ops->add(vm(n), 0);
    }
    u64 now = 0;
    run(&now, NS_PER_SEC);
    for (u16 n = 1; n <= 3; n++)
        CHECK(vm(n)->ran + MS > NS_PER_SEC / 3 && vm(n)->ran < NS_PER_SEC / 3 + MS);
}

static void test_credit(void)
{
    check_about("credit: turns of 30 ms, ticks of 10; credits of 300");
    fresh(&sched_credit);
    CHECK_EQ(add(1, 0), 0);
    CHECK_EQ(add(2, 0), 0);
    check_pick(0, 1, 10 * MS);
    ops->charge(vm(1), 10 * MS, 10 * MS);
    check_pick(10 * MS, 1, 20 * MS);
    CHECK_EQ(vm(1)->credit.credit, (u64)-100);
    ops->charge(vm(1), 20 * MS, 30 * MS);
    check_pick(30 * MS, 2, 40 * MS); /* 2 is BOOST still, 1 was given 300: UNDER */
    CHECK_EQ(vm(1)->credit.credit, 0);
    CHECK_EQ(vm(1)->credit.pri, (u64)CREDIT_UNDER);
}

static void test_all_cpus(void)
{
    check_about("credit: as many CPUs as can be, and as many VMs; then one less, then none");
    ops = &sched_credit;
    ops->init(&(struct sched_setup){.cpus = SCHED_MAX_CPUS});
    static struct sched_unit many[SCHED_MAX_CPUS];
    for (u16 n = 0; n < SCHED_MAX_CPUS; n++) {
        many[n] =
            (struct sched_unit){.vm = (u16)(n + 1), .lead = &many[n], .params = sched_defaults};
        ops->add(&many[n], 0);
    }
    for (u64 now = 0; now < 100 * MS; now += 10 * MS) {
        for (u32 cpu = 0; cpu < SCHED_MAX_CPUS; cpu++) {
            struct sched_choice c = ops->pick(cpu, now);
            CHECK(c.unit == (cpu || now < 50 * MS ? &many[cpu] : NULL));
            CHECK_EQ(ops->reason(cpu).runnable, SCHED_MAX_CPUS - (now >= 50 * MS));
            if (c.unit)
                ops->charge(c.unit, 10 * MS, now + 10 * MS);
        }
        if (now == 40 * MS)
            ops->block(&many[0], now);
    }
    for (u16 n = 1; n < SCHED_MAX_CPUS; n++)
        ops->block(&many[n], 100 * MS);
    CHECK_EQ(ops->pick(0, NS_PER_SEC).until, NEVER); /* nobody is left to get credits */
}

static void test_late_ticks(void)
{
    check_about("credit: ticks that are noticed late count for who runs on any CPU");
    fresh(&sched_credit);
    ops->init(&(struct sched_setup){.cpus = 2, .charge = CHARGE_TICK});
    CHECK_EQ(add(1, 0), 0);
    CHECK_EQ(add(2, 0), 0);
    CHECK(ops->pick(0, 0).unit == vm(1) && ops->pick(1, 0).unit == vm(2));
    ops->block(vm(1), 1 * MS);
    CHECK(ops->pick(0, 1 * MS).unit == NULL); /* and no VM is active yet */
    CHECK(ops->pick(1, 25 * MS).unit == vm(2));
    CHECK_EQ(vm(2)->credit.credit, (u64)-200);
}

/* --- Years --------------------------------------------------------------------------- */

/* Two that want to run, at any time: still half and half. */
static void check_halves(const char *name, u64 start)
{
    check_about("%s at %llu ns", name, (unsigned long long)start);
    for (u16 n = 1; n <= 2; n++) {
        ops->wake(vm(n), start);
        vm(n)->ran = 0;
    }
    u64 now = start;
    run(&now, start + NS_PER_SEC);
    u64 half = NS_PER_SEC / 2, slack = NS_PER_SEC / 20;
    CHECK(vm(1)->ran + slack > half && vm(1)->ran < half + slack);
    CHECK_EQ(vm(1)->ran + vm(2)->ran, NS_PER_SEC);
    for (u16 n = 1; n <= 2; n++)
        ops->block(vm(n), now);
    ops->pick(0, now);
}

static void test_years(void)
{
    static const struct sched_ops *const all[] = {&sched_bvt, &sched_sedf, &sched_credit};

    for (u32 i = 0; i < ARRAY_SIZE(all); i++) {
        fresh(all[i]);
        add(1, 0);
        add(2, 0);
        for (u64 start = 0; start < 200 * YEAR; start += 13 * YEAR + 7 * MS)
            check_halves(all[i]->name, start);
    }
}

int main(void)
{
    host_trace_start();
    test_ranges();
    test_warp_is_bounded();
    test_refused_at_run_time();
    test_admission();
    test_admission_rounds_up();
    test_bvt();
    test_warp();
    test_sedf();
    test_sedf_scores();
    test_credit();
    test_all_cpus();
    test_late_ticks();
    test_years();
    return check_done("scheds");
}
