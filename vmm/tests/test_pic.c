/*
 * Unit test of the virtual PIC: initialisation, masks, priorities, end of
 * interrupt, cascade, spurious interrupts, polling; then a random run against
 * a model that knows only one list of lines in their order of priority.
 */
#include "vmm/dev/pic.h"
#include "vmm/tests/check.h"
#include "vmm/tests/host.h"

static struct pic pic;
static struct bus bus;
static u32 eois, polls;
static u8 last_eoi, last_poll;

static void on_eoi(void *opaque, u8 line)
{
    CHECK(opaque == &pic);
    eois++;
    last_eoi = line;
}

static void on_poll(void *opaque, u8 line)
{
    CHECK(opaque == &pic);
    polls++;
    last_poll = line;
}

static void out(u16 port, u8 value)
{
    bus_out(&bus, port, 1, value);
}

static u8 in(u16 port)
{
    return (u8)bus_in(&bus, port, 1);
}

/* As every PC kernel does: vectors 0x20 and 0x28. */
static void fresh(u8 icw4)
{
    bus = (struct bus){0};
    pic_init(&pic, 1);
    pic.on_eoi = on_eoi;
    pic.on_poll = on_poll;
    pic.opaque = &pic;
    pic_attach(&pic, &bus);
    eois = polls = 0;
    out(0x20, 0x11), out(0x21, 0x20), out(0x21, 0x04), out(0x21, icw4);
    out(0xa0, 0x11), out(0xa1, 0x28), out(0xa1, 0x02), out(0xa1, icw4);
}

static void pulse(u8 line)
{
    pic_set_line(&pic, line, true);
    pic_set_line(&pic, line, false);
}

static void check_ack(u8 vector, u8 line)
{
    u8 from = 99;
    CHECK_EQ(pic_ack(&pic, &from), vector);
    CHECK_EQ(from, line);
}

static u8 isr(u16 port)
{
    out(port, 0x0b);
    u8 value = in(port);
    out(port, 0x0a);
    return value;
}

static void test_init(void)
{
    check_about("after reset");
    pic_init(&pic, 1);
    for (u8 line = 0; line < 16; line++)
        pulse(line);
    CHECK(!pic_pending(&pic));
    check_about("initialisation");
    fresh(1);
    pulse(3);
    out(0x20, 0x11); /* forgets requests and masks; no interrupts until it is done */
    pulse(4);
    CHECK(!pic_pending(&pic));
    out(0x21, 0x47); /* the low three bits are not part of the base */
    out(0x21, 0x04);
    CHECK(!pic_pending(&pic));
    out(0x21, 0x01);
    CHECK(pic_pending(&pic));
    check_ack(0x44, 4);
    CHECK(!pic_pending(&pic));
    CHECK_EQ(in(0x21), 0);
    out(0x21, 0x5a);
    CHECK_EQ(in(0x21), 0x5a);
    check_about("initialisation without ICW4, and of a single chip");
    out(0x20, 0x10), out(0x21, 0x30), out(0x21, 0x04), out(0x21, 0xfe);
    CHECK_EQ(in(0x21), 0xfe);
    out(0x20, 0x12), out(0x21, 0x30), out(0x21, 0xfd);
    CHECK_EQ(in(0x21), 0xfd);
    check_about("a line held high asks again after initialisation once it is set");
    fresh(1);
    pic_set_line(&pic, 0, true);
    fresh(1);
    pic_set_line(&pic, 0, true);
    out(0x20, 0x11), out(0x21, 0x20), out(0x21, 0x04), out(0x21, 0x01);
    CHECK(!pic_pending(&pic));
    pic_set_line(&pic, 0, true);
    CHECK(pic_pending(&pic));
}

static void test_edges(void)
{
    check_about("edges");
    fresh(1);
    pic_set_line(&pic, 1, true);
    CHECK_EQ(in(0x20), 0x02);
    check_ack(0x21, 1);
    out(0x20, 0x20);
    pic_set_line(&pic, 1, true); /* still high: no new edge */
    CHECK(!pic_pending(&pic));
    pic_set_line(&pic, 1, false);
    pic_set_line(&pic, 1, true);
    pic_set_line(&pic, 1, false); /* the edge stays latched */
    CHECK(pic_pending(&pic));
    pic_cancel(&pic, 1);
    CHECK(!pic_pending(&pic));
    check_about("levels");
    out(0x4d0, 0xff), out(0x4d1, 0xff);
    CHECK_EQ(in(0x4d0), 0xf8); /* the timer's line can be no level */
    CHECK_EQ(in(0x4d1), 0xde);
    pic_set_line(&pic, 11, true);
    check_ack(0x2b, 11);
    out(0xa0, 0x20), out(0x20, 0x20);
    CHECK(pic_pending(&pic));
    pic_set_line(&pic, 11, false);
    CHECK(!pic_pending(&pic));
}

static void test_mask(void)
{
    check_about("mask");
    fresh(1);
    out(0x21, 0x01);
    CHECK(!pic_would_deliver(&pic, 0));
    CHECK(pic_would_deliver(&pic, 1));
    pulse(0);
    CHECK(!pic_pending(&pic));
    CHECK_EQ(in(0x20), 0x01); /* masked, not lost */
    out(0x21, 0x00);
    CHECK(pic_pending(&pic));
    check_ack(0x20, 0);
    check_about("a masked cascade masks the slave");
    fresh(1);
    out(0x21, 0x04);
    pulse(8);
    CHECK(!pic_pending(&pic));
    CHECK(!pic_would_deliver(&pic, 8));
    out(0x21, 0x00);
    CHECK(pic_pending(&pic));
    out(0xa1, 0x01);
    CHECK(!pic_pending(&pic));
}

static void test_priority(void)
{
    check_about("priority");
    fresh(1);
    pulse(5);
    pulse(3);
    CHECK(!pic_would_deliver(&pic, 5));
    CHECK(pic_would_deliver(&pic, 1));
    check_ack(0x23, 3);
    CHECK(!pic_pending(&pic)); /* 5 waits for the end of 3 */
    CHECK(!pic_would_deliver(&pic, 3));
    CHECK(!pic_would_deliver(&pic, 15 - 8));
    CHECK(pic_would_deliver(&pic, 0));
    pulse(0);
    check_ack(0x20, 0); /* nested */
    CHECK_EQ(isr(0x20), 0x09);
    out(0x20, 0x20);
    CHECK_EQ(last_eoi, 0);
    CHECK_EQ(isr(0x20), 0x08);
    CHECK(!pic_pending(&pic));
    out(0x20, 0x20);
    CHECK_EQ(last_eoi, 3);
    check_ack(0x25, 5);
    CHECK_EQ(eois, 2);
}

static void test_eoi(void)
{
    check_about("end of interrupt");
    fresh(1);
    out(0x20, 0x20); /* nothing in service */
    CHECK_EQ(eois, 0);
    pulse(6);
    check_ack(0x26, 6);
    pulse(2 + 2);
    check_ack(0x24, 4);
    out(0x20, 0x60 | 5); /* specific, not in service */
    CHECK_EQ(eois, 0);
    out(0x20, 0x60 | 6);
    CHECK_EQ(last_eoi, 6);
    CHECK_EQ(isr(0x20), 0x10);
    out(0x20, 0xa0); /* rotating: still an end */
    CHECK_EQ(last_eoi, 4);
    CHECK_EQ(isr(0x20), 0);
    out(0x20, 0x40);     /* no operation */
    out(0x20, 0xc0 | 3); /* set priority: ignored */
    CHECK_EQ(eois, 2);
    check_about("automatic end of interrupt");
    fresh(3);
    pulse(9);
    check_ack(0x29, 9);
    CHECK_EQ(isr(0x20) | isr(0xa0), 0);
    CHECK_EQ(eois, 2); /* the slave's and the cascade's */
    CHECK_EQ(last_eoi, 2);
}

static void test_cascade(void)
{
    check_about("cascade");
    fresh(1);
    pulse(12);
    pulse(14);
    pulse(3);
    check_ack(0x2c, 12);
    CHECK_EQ(isr(0x20), 0x04);
    CHECK_EQ(isr(0xa0), 0x10);
    CHECK(!pic_pending(&pic));
    CHECK(!pic_would_deliver(&pic, 8)); /* the cascade itself is in service */
    out(0x20, 0x20);
    CHECK(pic_pending(&pic)); /* 3, but not 14: 12 is in service at the slave */
    check_ack(0x23, 3);
    out(0x20, 0x20);
    out(0xa0, 0x20);
    CHECK_EQ(last_eoi, 12);
    check_ack(0x2e, 14);
    pic_set_line(&pic, 2, true);
    CHECK_EQ(in(0x20) & 4, 0);
}

static void test_spurious(void)
{
    check_about("spurious");
    fresh(1);
    check_ack(0x27, 7);
    CHECK_EQ(isr(0x20), 0);
    pulse(4);
    pic_cancel(&pic, 4);
    check_ack(0x27, 7);
    check_about("poll");
    out(0x20, 0x0c);
    CHECK_EQ(in(0x20), 0);
    pulse(6);
    out(0x20, 0x0c);
    CHECK_EQ(in(0x20), 0x86);
    CHECK_EQ(polls, 1);
    CHECK_EQ(last_poll, 6);
    pulse(6);
    CHECK_EQ(in(0x20), 0x40); /* a poll is for one read */
    pic_cancel(&pic, 6);
    CHECK_EQ(isr(0x20), 0x40);
    pulse(10);
    out(0xa0, 0x0c);
    CHECK_EQ(in(0xa1), 0x82);
    CHECK_EQ(last_poll, 10);
    CHECK(!pic_pending(&pic));
}

static void test_trace(void)
{
    check_about("trace");
    fresh(1);
    host_trace_start();
    pic_set_line(&pic, 8, true);
    pic_set_line(&pic, 8, true);
    pulse(8); /* falls */
    pulse(8); /* a new edge, but it was asked for already */
    CHECK_EQ(host_trace_count(EVENT_irq_raise), 1);
    check_ack(0x28, 8);
    const struct trace_record *r = host_trace_find(EVENT_irq_ack, NULL);
    CHECK(r && r->payload[0] == 8 && r->payload[1] == 0x28);
    out(0xa0, 0x20);
    r = host_trace_find(EVENT_irq_eoi, NULL);
    CHECK(r && r->payload[0] == 8 && host_record_vm(r) == 1);
    pic_set_line(&pic, 2, true); /* is no line of a device */
    CHECK_EQ(host_trace_count(EVENT_irq_raise), 1);
}

/* --- A random run against a list ------------------------------------------------- */

static struct {
    bool asked[16], serving[16], masked[16];
} model;
static u64 rng = 88172645463325252ull;

static u32 random_below(u32 n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (u32)((rng >> 20) % n);
}

/* The line that would be taken now; 16: none. */
static u8 model_next(void)
{
    static const u8 order[] = {0, 1, 8, 9, 10, 11, 12, 13, 14, 15, 3, 4, 5, 6, 7};
    bool slave_busy = false;

    for (u32 i = 0; i < sizeof(order); i++) {
        u8 line = order[i];
        if (line >= 8) {
            if (model.serving[2])
                return 16; /* it and all after it are outranked */
            slave_busy |= model.serving[line];
            if (!slave_busy && model.asked[line] && !model.masked[line] && !model.masked[2])
                return line;
        } else if (model.serving[line]) {
            return 16;
        } else if (line == 3 && model.serving[2]) {
            return 16;
        } else if (model.asked[line] && !model.masked[line]) {
            return line;
        }
    }
    return 16;
}

static void model_ack(void)
{
    u8 line = model_next();

    if (line == 16)
        return;
    check_ack((u8)(0x20 + line), line);
    model.asked[line] = false;
    model.serving[line] = true;
    if (line >= 8)
        model.serving[2] = true;
}

/* Non-specific: the most urgent of that chip. */
static void model_eoi(u8 first)
{
    out(first ? 0xa0 : 0x20, 0x20);
    for (u8 line = first; line < first + 8; line++)
        if (model.serving[line]) {
            model.serving[line] = false;
            return;
        }
}

static void model_mask(u8 first)
{
    u8 mask = (u8)(random_below(256) & random_below(256) & random_below(256));

    out(first ? 0xa1 : 0x21, mask);
    for (u8 i = 0; i < 8; i++)
        model.masked[first + i] = mask >> i & 1;
}

static void test_random(void)
{
    fresh(1);
    for (u32 step = 0; step < 20000; step++) {
        u8 line = (u8)random_below(16), first = random_below(2) ? 8 : 0;
        check_about("random step %u", step);
        switch (random_below(8)) {
        case 0:
        case 1:
            pulse(line);
            model.asked[line] |= line != 2;
            break;
        case 2:
        case 3:
            model_ack();
            break;
        case 4:
        case 5:
        case 6:
            model_eoi(first);
            break;
        default:
            model_mask(first);
        }
        CHECK_EQ(pic_pending(&pic), model_next() != 16);
        if (line == 2)
            continue;
        bool was = model.asked[line];
        model.asked[line] = true;
        CHECK_EQ(pic_would_deliver(&pic, line), model_next() == line);
        model.asked[line] = was;
    }
}

int main(void)
{
    test_init();
    test_edges();
    test_mask();
    test_priority();
    test_eoi();
    test_cascade();
    test_spurious();
    test_trace();
    test_random();
    return check_done("pic");
}
