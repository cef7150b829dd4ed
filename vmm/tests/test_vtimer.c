/*
 * Unit test of the virtual timer: the policies' table, exact instants over
 * centuries, and random schedules for each policy against a model that keeps a
 * list with every single tick and what became of it.
 */
#include <string.h>
#include "vmm/tests/check.h"
#include "vmm/tests/host.h"
#include "vmm/time/vtimer.h"

#define NEVER  (~0ull)
#define PERIOD 1000000ull /* about: reload 1193 */
#define RELOAD 1193

static const char *const policy_names[] = {"discard", "merge", "delay", "slew"};

static void check_totals(const struct vtimer *t, u64 due, u64 delivered, u64 backlog, u64 discarded)
{
    CHECK(vtimer_balanced(t));
    CHECK_EQ(t->due, due);
    CHECK_EQ(t->delivered, delivered);
    CHECK_EQ(t->backlog, backlog);
    CHECK_EQ(t->discarded, discarded);
}

/* --- The table of devices.md: k = 5 ticks fell due while it could not take them --- */

static struct vtimer five_late(enum tick_policy policy)
{
    struct vtimer t;

    check_about("five late ticks, %s", policy_names[policy]);
    vtimer_init(&t, 1, policy, CLOCK_WALL);
    vtimer_program(&t, 0, 2, RELOAD);
    vtimer_advance(&t, 5 * PERIOD + 1000, false);
    check_totals(&t, 5, 0, 5, 0);
    return t;
}

static void test_table(void)
{
    static const u64 after[][3] = {{0, 0, 5}, {1, 0, 4}, {1, 4, 0}, {1, 4, 0}};
    u64 now = 5 * PERIOD + 1000;

    for (u32 p = TICK_DISCARD; p <= TICK_SLEW; p++) {
        struct vtimer t = five_late(p);
        bool offered = vtimer_deliver(&t, now);
        CHECK_EQ(offered, p != TICK_DISCARD);
        if (offered)
            vtimer_accept(&t, now);
        check_totals(&t, 5, after[p][0], after[p][1], after[p][2]);
        CHECK(!vtimer_deliver(&t, now));
    }
}

/* Afterwards: discard, merge and delay go on at their regular phase; slew
 * follows every period / (min(backlog, 7) + 1). */
static void test_afterwards(void)
{
    u64 now = 5 * PERIOD + 1000;

    for (u32 p = TICK_DISCARD; p <= TICK_DELAY; p++) {
        struct vtimer t = five_late(p);
        if (vtimer_deliver(&t, now))
            vtimer_accept(&t, now);
        CHECK_EQ(vtimer_next(&t, now), 5999085); /* ceil(6 x 1193 / 1193182 s) */
    }
    struct vtimer t = five_late(TICK_SLEW);
    vtimer_deliver(&t, now);
    CHECK_EQ(vtimer_next(&t, now), NEVER); /* first the offered one */
    vtimer_accept(&t, now);
    u64 gap = 199969; /* floor(1193 / 1193182 / 5 s): 4 are left */
    CHECK_EQ(vtimer_next(&t, now), now + gap);
    CHECK(!vtimer_deliver(&t, now + gap - 1));
    CHECK(vtimer_deliver(&t, now + gap));
    vtimer_accept(&t, now + gap);
    CHECK_EQ(vtimer_next(&t, now + gap), now + gap + 249961); /* 3 left: / 4 */
    check_totals(&t, 5, 2, 3, 0);
}

static void test_on_time(void)
{
    struct vtimer t;

    check_about("on time");
    vtimer_init(&t, 1, TICK_DISCARD, CLOCK_WALL);
    CHECK_EQ(vtimer_next(&t, 0), NEVER);
    vtimer_program(&t, 500, 2, RELOAD);
    u64 first = vtimer_next(&t, 500);
    CHECK_EQ(first, 500 + 999848); /* ceil(1193 / 1193182 s) */
    vtimer_advance(&t, first - 1, true);
    check_totals(&t, 0, 0, 0, 0);
    vtimer_advance(&t, first, true);
    CHECK(t.offered);
    check_totals(&t, 1, 0, 1, 0);
    check_about("one that falls due while another is offered is late");
    vtimer_advance(&t, first + PERIOD, true);
    check_totals(&t, 2, 0, 2, 0);
    CHECK_EQ(t.late, 1);
    CHECK(vtimer_deliver(&t, first + PERIOD));
    vtimer_accept(&t, first + PERIOD);
    check_totals(&t, 2, 1, 1, 0);
    CHECK(!vtimer_deliver(&t, first + PERIOD));
    check_totals(&t, 2, 1, 0, 1);
    check_about("one-shot");
    vtimer_program(&t, first + PERIOD + 1, 0, RELOAD);
    vtimer_advance(&t, 99 * PERIOD, true);
    check_totals(&t, 3, 1, 1, 1);
    CHECK(!t.running);
    CHECK_EQ(vtimer_next(&t, 99 * PERIOD), NEVER);
    CHECK(vtimer_deliver(&t, 99 * PERIOD));
    vtimer_accept(&t, 99 * PERIOD);
    vtimer_advance(&t, 999 * PERIOD, true);
    check_totals(&t, 3, 2, 0, 1);
    CHECK_EQ(vtimer_next(&t, 99 * PERIOD), NEVER);
}

/* Ticks of the old rate count up to the instant of the new one. */
static void test_reprogram(void)
{
    struct vtimer t;

    check_about("a new rate, and a stop, count what fell due before");
    vtimer_init(&t, 1, TICK_MERGE, CLOCK_WALL);
    vtimer_program(&t, 0, 3, RELOAD);
    vtimer_program(&t, 3 * PERIOD, 2, 2 * RELOAD);
    check_totals(&t, 3, 0, 3, 0);
    CHECK_EQ(t.start, 3 * PERIOD);
    vtimer_stop(&t, 8 * PERIOD);
    check_totals(&t, 5, 0, 5, 0);
    vtimer_advance(&t, 99 * PERIOD, true);
    check_totals(&t, 5, 0, 5, 0);
    CHECK(vtimer_deliver(&t, 99 * PERIOD)); /* owed by a timer that stands still */
    check_totals(&t, 5, 0, 1, 4);
}

static void accept_nothing(void *t)
{
    vtimer_accept(t, 0);
}

static void test_misuse(void)
{
    struct vtimer t;

    check_about("accepting what was not offered");
    vtimer_init(&t, 1, TICK_DELAY, CLOCK_WALL);
    CHECK(host_panics(accept_nothing, &t));
}

/* --- Centuries: numbers from arbitrary-precision arithmetic ------------------------- */

static void check_years(u64 span, u32 reload, u64 due, u64 next)
{
    struct vtimer t;

    check_about("%llu ns at reload %u", (unsigned long long)span, reload);
    vtimer_init(&t, 1, TICK_DELAY, CLOCK_WALL);
    vtimer_program(&t, 0, 2, reload);
    vtimer_advance(&t, span, false);
    check_totals(&t, due, 0, due, 0);
    CHECK(vtimer_deliver(&t, span));
    vtimer_accept(&t, span);
    CHECK_EQ(vtimer_next(&t, span), next);
    vtimer_advance(&t, next - 1, true);
    CHECK_EQ(t.due, due);
    vtimer_advance(&t, next, true);
    CHECK_EQ(t.due, due + (next != NEVER));
}

static void test_years(void)
{
    check_years(3155760000000000000ull, 1, 3765396028320000ull, 3155760000000000839ull);
    check_years(3155760000000000000ull, 65536, 57455383732ull, 3155760000004934705ull);
    check_years(18429638400000000000ull, 1, 21989912805388800ull, 18429638400000000839ull);
    check_years(NEVER - 1, 1, 22010322987356910ull, NEVER);
    check_about("a start near the end of time");
    struct vtimer t;
    vtimer_init(&t, 1, TICK_SLEW, CLOCK_WALL);
    vtimer_program(&t, NEVER - 1000, 2, 65536);
    CHECK_EQ(vtimer_next(&t, NEVER - 1000), NEVER);
    vtimer_advance(&t, NEVER - 1, true);
    CHECK_EQ(t.due, 0);
}

/* --- The model: every tick by itself ------------------------------------------------- */

enum fate { LATE, OFFERED, OWED };

#define MODEL_TICKS 100000
static struct {
    enum tick_policy policy;
    enum fate fate[MODEL_TICKS]; /* of those in the backlog */
    u32 backlog;
    u64 due, delivered, discarded;
    bool running, once;
    u64 reload;
    u64 whole, part; /* when the next tick falls due: whole ns, 1193182nds of one */
    u64 slew_at;
} m;

static void model_step_due(void)
{
    u64 ns = m.reload * 1000000000u;

    m.whole += ns / 1193182;
    m.part += ns % 1193182;
    if (m.part >= 1193182) {
        m.part -= 1193182;
        m.whole++;
    }
}

static void model_program(u64 now, u32 mode, u32 reload)
{
    m.running = mode == 0 || mode == 2 || mode == 3 || mode == 4;
    m.once = mode == 0 || mode == 4;
    m.reload = reload;
    m.whole = now;
    m.part = 0;
    model_step_due();
}

static u32 model_count(enum fate fate)
{
    u32 n = 0;

    for (u32 i = 0; i < m.backlog; i++)
        n += m.fate[i] == fate;
    return n;
}

static u64 model_next_due(void)
{
    return m.running ? m.whole + (m.part != 0) : NEVER;
}

static void model_advance(u64 now, bool could_take)
{
    while (model_next_due() <= now) {
        bool waiting = model_count(LATE) || model_count(OFFERED);
        m.fate[m.backlog++] = could_take && !waiting ? OFFERED : LATE;
        m.due++;
        m.running = !m.once;
        model_step_due();
    }
}

/* Take the first of that fate out of the backlog. */
static void model_remove(enum fate fate)
{
    for (u32 i = 0; i < m.backlog; i++)
        if (m.fate[i] == fate) {
            memmove(&m.fate[i], &m.fate[i + 1], (m.backlog - i - 1) * sizeof(m.fate[0]));
            m.backlog--;
            return;
        }
    CHECK(!"there is such a tick");
}

static void model_change(enum fate from, enum fate to, u32 at_most)
{
    for (u32 i = 0; i < m.backlog && at_most; i++)
        if (m.fate[i] == from) {
            m.fate[i] = to;
            at_most--;
        }
}

static void model_deliver(u64 now)
{
    u32 keep = m.policy == TICK_DISCARD ? 0 : m.policy == TICK_MERGE ? 1 : MODEL_TICKS;
    bool due =
        model_count(LATE) || (m.policy == TICK_SLEW && model_count(OWED) && now >= m.slew_at);

    if (model_count(OFFERED) || !due)
        return;
    while (model_count(LATE) > keep) {
        model_remove(LATE);
        m.discarded++;
    }
    model_change(LATE, OWED, MODEL_TICKS);
    model_change(OWED, OFFERED, keep ? 1 : 0);
    u64 left = m.backlog - 1u;
    if (m.policy == TICK_SLEW)
        m.slew_at = now + m.reload * 1000000000u / 1193182u / ((left < 7 ? left : 7) + 1);
}

static u64 model_next(u64 now)
{
    u64 next = model_next_due();

    if (model_count(OFFERED) || model_count(LATE))
        return NEVER;
    if (m.policy == TICK_SLEW && model_count(OWED))
        next = min_u64(next, max_u64(now, m.slew_at));
    return next;
}

static void compare(const struct vtimer *t, u64 now)
{
    check_totals(t, m.due, m.delivered, m.backlog, m.discarded);
    CHECK_EQ(t->offered, model_count(OFFERED));
    CHECK_EQ(t->late, model_count(LATE));
    CHECK_EQ(vtimer_next(t, now), model_next(now));
}

static u64 rng;

static u64 random_below(u64 n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (rng >> 11) % n;
}

static void random_program(struct vtimer *t, u64 now)
{
    static const u8 modes[] = {2, 2, 2, 3, 3, 0, 4, 1};
    u8 mode = modes[random_below(sizeof(modes))];
    u32 reload = random_below(4) ? (u32)(200 + random_below(2000)) : (u32)(1 + random_below(65536));

    if (random_below(16) == 0) {
        vtimer_stop(t, now);
        m.running = false;
        return;
    }
    vtimer_program(t, now, mode, reload);
    model_program(now, mode, reload);
}

/* One step of a guest's life: time passes, then something may happen. */
static u64 random_step(struct vtimer *t, u64 now)
{
    bool could_take = random_below(3) != 0;
    u64 next = vtimer_next(t, now);

    if (random_below(3) == 0 && next != NEVER)
        now = next; /* exactly when something is due */
    else
        now += random_below(random_below(20) ? 1500000 : 30000000);
    vtimer_advance(t, now, could_take);
    model_advance(now, could_take);
    compare(t, now);
    if (random_below(2)) {
        CHECK_EQ(vtimer_deliver(t, now), (model_deliver(now), model_count(OFFERED)));
        compare(t, now);
    }
    if (t->offered && random_below(4)) {
        vtimer_accept(t, now);
        model_remove(OFFERED);
        m.delivered++;
    }
    if (random_below(40) == 0)
        random_program(t, now);
    compare(t, now);
    return now;
}

/* Each change of the totals is one record, in balance and of the right kind. */
static void check_trace(const struct vtimer *t)
{
    static const u32 events[] = {EVENT_timer_due, EVENT_timer_delivered, EVENT_timer_dropped};
    u64 sums[3] = {0};

    for (u32 e = 0; e < 3; e++)
        for (const struct trace_record *r = NULL; (r = host_trace_find(events[e], r));) {
            const struct trace_timer_due *p = (const void *)r->payload;
            CHECK(p->ticks > 0);
            CHECK_EQ(p->delivered + p->backlog + p->discarded, p->due);
            sums[e] += p->ticks;
            CHECK_EQ(e == 0 ? p->due : e == 1 ? p->delivered : p->discarded, sums[e]);
        }
    CHECK_EQ(sums[0], t->due);
    CHECK_EQ(sums[1], t->delivered);
    CHECK_EQ(sums[2], t->discarded);
}

static void test_random(enum tick_policy policy, u64 seed)
{
    struct vtimer t;
    u64 now = seed * 1000;

    rng = seed * 0x9e3779b97f4a7c15ull + 1;
    memset(&m, 0, sizeof(m));
    m.policy = policy;
    host_trace_start();
    vtimer_init(&t, 1, policy, CLOCK_APPARENT);
    vtimer_program(&t, now, 2, RELOAD);
    model_program(now, 2, RELOAD);
    for (u32 step = 0; step < 1500 && m.due < 3000; step++) {
        check_about("%s, seed %llu, step %u", policy_names[policy], (unsigned long long)seed, step);
        now = random_step(&t, now);
    }
    check_trace(&t);
}

int main(void)
{
    test_table();
    test_afterwards();
    test_on_time();
    test_reprogram();
    test_misuse();
    test_years();
    for (u32 policy = TICK_DISCARD; policy <= TICK_SLEW; policy++)
        for (u64 seed = 1; seed <= 12; seed++)
            test_random(policy, seed);
    return check_done("vtimer");
}
