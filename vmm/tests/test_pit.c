/*
 * Unit test of the virtual PIT: counts and outputs of every mode against a
 * model that steps a counter clock by clock; latches, read-back, access modes,
 * BCD, gates, and what reaches the vtimer.
 */
#include "vmm/dev/pit.h"
#include "vmm/tests/check.h"
#include "vmm/tests/host.h"

static struct pit pit;
static struct vtimer timer;
static struct bus bus;
static u64 now_ns;

static u64 now(void *opaque)
{
    CHECK(opaque == &pit);
    return now_ns;
}

static void fresh(void)
{
    bus = (struct bus){0};
    now_ns = 1000;
    vtimer_init(&timer, 1, TICK_DELAY, CLOCK_WALL);
    pit_init(&pit, &timer, now, &pit);
    pit_attach(&pit, &bus);
}

static void out(u16 port, u32 value)
{
    bus_out(&bus, port, 1, value);
}

static u32 in(u16 port)
{
    return bus_in(&bus, port, 1);
}

static u32 read_word(u16 port)
{
    u32 low = in(port);
    return low | in(port) << 8;
}

static void program(u32 channel, u32 mode, u32 bcd, u32 count)
{
    out(0x43, channel << 6 | 0x30 | mode << 1 | bcd);
    out((u16)(0x40 + channel), count & 0xff);
    out((u16)(0x40 + channel), count >> 8);
}

/* The first ns at which so many clocks have passed. */
static u64 clocks_ns(u64 clocks)
{
    return (u64)(((u128)clocks * 1000000000u + 1193181u) / 1193182u);
}

/* Status (OUT is bit 7) and count of a channel at one instant. */
static u32 read_back(u32 channel, u32 *status)
{
    out(0x43, 0xc0 | 2u << channel);
    *status = in((u16)(0x40 + channel));
    return read_word((u16)(0x40 + channel));
}

/* --- The model: a counting element, stepped by single clocks ------------------------ */

struct chip {
    u32 mode, reload, count;
    bool bcd, out, expired;
};

static void chip_load(struct chip *c)
{
    c->count = c->mode == 3 ? c->reload & ~1u : c->reload;
    c->out = c->mode == 2 || c->mode == 3 || c->mode == 4 || c->mode == 5;
    c->expired = false;
}

static void chip_down(struct chip *c)
{
    c->count = c->count ? c->count - 1 : c->bcd ? 9999 : 65535;
}

/* Mode 3: two at a time; with an odd count the high half lasts one more. */
static void chip_square(struct chip *c)
{
    bool odd_wait = c->reload & 1 && c->out && c->count == 0;

    if (c->count > 2 || (c->count == 2 && c->reload & 1 && c->out)) {
        c->count -= 2;
    } else if (c->count == 2 || odd_wait || c->count == 0) {
        c->count = c->reload & ~1u;
        c->out = !c->out;
    }
}

static void chip_clock(struct chip *c)
{
    switch (c->mode) {
    case 2:
        if (c->count == 1) {
            chip_load(c);
        } else {
            chip_down(c);
            c->out = c->count != 1;
        }
        break;
    case 3:
        chip_square(c);
        break;
    case 0:
    case 1:
        chip_down(c);
        c->out |= c->count == 0;
        break;
    default:
        chip_down(c);
        c->out = c->count != 0 || c->expired;
        c->expired |= c->count == 0;
    }
}

static u32 chip_register(const struct chip *c)
{
    u32 n = c->count, bcd = 0;

    if (!c->bcd)
        return n & 0xffff;
    for (u32 digit = 0; digit < 4; digit++, n /= 10)
        bcd |= n % 10 << 4 * digit;
    return bcd;
}

static void compare(u32 mode, u32 bcd, u32 written, u32 reload, u32 step, u32 clocks)
{
    struct chip chip = {.mode = mode, .reload = reload, .bcd = bcd};
    u64 start;
    u32 status;

    fresh();
    out(0x61, 0);
    program(2, mode, bcd, written);
    out(0x61, 1); /* the gate: starts modes 1 and 5, lets the others count */
    start = now_ns;
    chip_load(&chip);
    for (u32 c = 0; c <= clocks; c++) {
        now_ns = start + clocks_ns(c);
        if (c % step == 0 || c + 3 > reload) {
            check_about("mode %u, count %#x, bcd %u, clock %u", mode, written, bcd, c);
            CHECK_EQ(read_back(2, &status), chip_register(&chip));
            CHECK_EQ(status >> 7, chip.out);
            CHECK_EQ(in(0x61) >> 5 & 1, chip.out);
            CHECK_EQ(status & 0x7f, 0x30 | mode << 1 | bcd);
        }
        chip_clock(&chip);
    }
}

static void test_modes(void)
{
    static const u32 counts[] = {2, 3, 4, 5, 10, 11, 100, 1193};

    for (u32 mode = 0; mode < 6; mode++) {
        for (u32 i = 0; i < ARRAY_SIZE(counts); i++)
            compare(mode, 0, counts[i], counts[i], 1, 3 * counts[i] + 7);
        compare(mode, 0, 0, 65536, 997, 65536 + 5);
        compare(mode, 1, 0x0000, 10000, 97, 10000 + 5);
        compare(mode, 1, 0x0123, 123, 1, 300);
    }
}

static void test_latch(void)
{
    u32 status;

    check_about("latch");
    fresh();
    program(0, 2, 0, 1000);
    now_ns += clocks_ns(100);
    out(0x43, 0x00);
    now_ns += clocks_ns(300);
    out(0x43, 0x00); /* already latched: ignored */
    CHECK_EQ(read_word(0x40), 900);
    now_ns += clocks_ns(400);
    CHECK_EQ(read_word(0x40), 200); /* the latch is free: the counter itself */
    check_about("read-back");
    out(0x43, 0xc0 | 0x02 | 0x08); /* count and status of channels 0 and 2 */
    now_ns += clocks_ns(50);
    CHECK_EQ(in(0x40), 0xb4); /* OUT high, both bytes, mode 2 */
    CHECK_EQ(read_word(0x40), 200);
    CHECK_EQ(read_word(0x40), 150);
    CHECK_EQ(in(0x42) & 0x40, 0x40); /* null count */
    out(0x43, 0xd0 | 0x02);          /* count alone */
    CHECK_EQ(read_word(0x40), 150);
    out(0x43, 0xe0 | 0x02); /* status alone */
    CHECK_EQ(in(0x40), 0xb4);
    out(0x43, 0x00);
    out(0x43, 0x34); /* a new control word drops latches; nothing counts */
    out(0x40, 77);
    out(0x40, 0);
    CHECK_EQ(read_word(0x40), 77);
    out(0x43, 0x34);
    read_back(0, &status);
    CHECK_EQ(status, 0xf4);
    CHECK_EQ(in(0x43), 0xff);
}

static void test_access(void)
{
    check_about("LSB only");
    fresh();
    out(0x43, 0x14);
    out(0x40, 0x80);
    CHECK_EQ(pit.ch[0].reload, 0x80);
    now_ns += clocks_ns(0x10);
    CHECK_EQ(in(0x40), 0x70);
    CHECK_EQ(in(0x40), 0x70);
    check_about("MSB only");
    out(0x43, 0x24);
    out(0x40, 0x80);
    CHECK_EQ(pit.ch[0].reload, 0x8000);
    now_ns += clocks_ns(0x101);
    CHECK_EQ(in(0x40), 0x7e);
    check_about("mode bits 6 and 7 are 2 and 3");
    program(0, 6, 0, 100);
    CHECK_EQ(pit.ch[0].mode, 2);
    program(0, 7, 0, 100);
    CHECK_EQ(pit.ch[0].mode, 3);
    check_about("65536 and 10000");
    program(0, 2, 0, 0);
    CHECK_EQ(timer.reload, 65536);
    CHECK_EQ(read_word(0x40), 0);
    program(0, 2, 1, 0);
    CHECK_EQ(timer.reload, 10000);
    program(0, 2, 1, 0x9999);
    CHECK_EQ(timer.reload, 9999);
}

static void test_gate(void)
{
    u32 status;

    check_about("gate, mode 0: stands still");
    fresh();
    out(0x61, 1);
    program(2, 0, 0, 1000);
    now_ns += clocks_ns(300);
    out(0x61, 0);
    now_ns += clocks_ns(5000);
    CHECK_EQ(read_back(2, &status), 700);
    out(0x61, 3);
    CHECK_EQ(in(0x61) & 0x2f, 0x03);
    now_ns += clocks_ns(699);
    CHECK_EQ(read_back(2, &status), 1);
    CHECK_EQ(in(0x61) & 0x20, 0);
    now_ns += clocks_ns(2);
    CHECK_EQ(in(0x61) & 0x20, 0x20);
    check_about("gate, mode 2: begins anew");
    program(2, 2, 0, 1000);
    now_ns += clocks_ns(300);
    out(0x61, 0);
    CHECK_EQ(in(0x61) & 0x20, 0x20);
    out(0x61, 1);
    CHECK_EQ(read_back(2, &status), 1000);
    check_about("gate, mode 3: its output is high while the gate is low");
    program(2, 3, 0, 1000);
    now_ns += clocks_ns(700);
    CHECK_EQ(in(0x61) & 0x20, 0);
    out(0x61, 0);
    CHECK_EQ(in(0x61) & 0x20, 0x20);
    check_about("a control word forgets what a gate held back");
    out(0x61, 1);
    program(2, 0, 0, 1000);
    now_ns += clocks_ns(300);
    out(0x61, 0);
    out(0x43, 0xb2);
    out(0x61, 1);
    CHECK_EQ(read_back(2, &status), 1000);
    check_about("gate, mode 1: triggers, and again");
    out(0x61, 0);
    program(2, 1, 0, 50);
    now_ns += clocks_ns(10);
    CHECK_EQ(in(0x61) & 0x20, 0x20); /* does not count yet */
    CHECK_EQ(read_back(2, &status), 50);
    CHECK_EQ(status, 0xf2);
    out(0x61, 1);
    CHECK_EQ(in(0x61) & 0x20, 0);
    now_ns += clocks_ns(40);
    out(0x61, 0);
    CHECK_EQ(read_back(2, &status), 10); /* counts on without the gate */
    out(0x61, 1);
    CHECK_EQ(read_back(2, &status), 50);
    now_ns += clocks_ns(51);
    CHECK_EQ(in(0x61) & 0x20, 0x20);
}

static void test_refresh(void)
{
    u32 toggles = 0;
    u32 last = in(0x61) & 0x10;

    check_about("refresh");
    for (u32 us = 0; us < 1000; us++) {
        now_ns += 1000;
        toggles += (in(0x61) & 0x10) != last;
        last = in(0x61) & 0x10;
    }
    CHECK(toggles >= 65 && toggles <= 67); /* 15.086 us each */
}

/* --- What reaches the vtimer --------------------------------------------------------- */

static void check_program(const struct trace_record *r, u64 mode, u64 reload)
{
    const struct trace_timer_program *p = r ? (const void *)r->payload : NULL;

    if (!CHECK(p))
        return;
    CHECK_EQ(p->channel, 0);
    CHECK_EQ(p->mode, mode);
    CHECK_EQ(p->reload, reload);
    CHECK_EQ(p->start, now_ns);
}

static void test_vtimer(void)
{
    const struct trace_record *r;

    check_about("vtimer");
    host_trace_start();
    fresh();
    program(0, 3, 0, 11932);
    check_program(r = host_trace_find(EVENT_timer_program, NULL), 3, 11932);
    CHECK(timer.running && timer.periodic);
    now_ns += 100;
    out(0x43, 0x30); /* mode 0: stops until a count is there */
    check_program(r = host_trace_find(EVENT_timer_program, r), 2, 0);
    CHECK(!timer.running);
    out(0x40, 0x10);
    CHECK(!timer.running);
    out(0x40, 0x00);
    check_program(r = host_trace_find(EVENT_timer_program, r), 0, 16);
    CHECK(timer.running && !timer.periodic);
    out(0x40, 0x20); /* half a new count stops mode 0 */
    CHECK(!timer.running);
    check_program(r = host_trace_find(EVENT_timer_program, r), 0, 0);
    program(0, 1, 0, 100); /* its gate never rises */
    CHECK(!timer.running);
    CHECK_EQ(vtimer_next(&timer, now_ns), ~0ull);
    program(2, 2, 0, 100);
    program(1, 2, 0, 100);
    CHECK(!timer.running);
}

/* A guest's clock from the counter never runs back, at any pace of reading. */
static void test_monotonic(void)
{
    u64 total = 0, rng = 12345;
    u32 last = 0;

    check_about("monotonic");
    fresh();
    program(0, 2, 0, 0);
    u64 start = now_ns;
    for (u32 i = 0; i < 20000; i++) {
        rng = rng * 6364136223846793005ull + 1442695040888963407ull;
        now_ns += rng >> 39; /* up to 33 ms, less than a period */
        out(0x43, 0x00);
        u32 count = read_word(0x40);
        total += (last - count) & 0xffff;
        last = count;
        CHECK_EQ(total, (u64)((u128)(now_ns - start) * 1193182u / 1000000000u));
    }
}

int main(void)
{
    test_modes();
    test_latch();
    test_access();
    test_gate();
    test_refresh();
    test_vtimer();
    test_monotonic();
    return check_done("pit");
}
