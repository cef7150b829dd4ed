/*
 * Unit test of the keyboard controller: nobody presses a key, commands are
 * answered, and each way to ask for a reset asks once.
 */
#include "vmm/dev/kbd.h"
#include "vmm/tests/check.h"

static struct kbd kbd;
static struct bus bus;
static u32 resets;

static void reset(void *opaque)
{
    CHECK(opaque == &kbd);
    resets++;
}

static void fresh(void)
{
    bus = (struct bus){0};
    resets = 0;
    kbd_init(&kbd, reset, &kbd);
    kbd_attach(&kbd, &bus);
}

static void command(u8 value)
{
    bus_out(&bus, 0x64, 1, value);
}

static void data(u8 value)
{
    bus_out(&bus, 0x60, 1, value);
}

static u32 status(void)
{
    return bus_in(&bus, 0x64, 1);
}

/* The next answer; there must be one. */
static u32 next(void)
{
    CHECK_EQ(status() & 3, 1);
    return bus_in(&bus, 0x60, 1);
}

static void test_idle(void)
{
    check_about("idle");
    fresh();
    CHECK_EQ(status(), 0x14);
    CHECK_EQ(bus_in(&bus, 0x60, 1), 0);
    CHECK_EQ(bus_in(&bus, 0x61, 1), 0xff); /* not ours */
}

static void test_controller(void)
{
    check_about("controller");
    fresh();
    command(0xaa);
    CHECK_EQ(next(), 0x55);
    command(0xab);
    CHECK_EQ(next(), 0x00);
    command(0x60);
    data(0x47);
    command(0x20);
    CHECK_EQ(next(), 0x47);
    command(0xd1);
    data(0xdd); /* A20 shut: it stays open */
    command(0xd0);
    CHECK_EQ(next(), 0xdf);
    command(0xae);
    CHECK_EQ(status(), 0x14);
    CHECK_EQ(resets, 0);
}

static void test_keyboard(void)
{
    check_about("keyboard");
    fresh();
    data(0xff);
    CHECK_EQ(next(), 0xfa);
    CHECK_EQ(next(), 0xaa);
    data(0xed);
    data(0x07);
    CHECK_EQ(next(), 0xfa);
    CHECK_EQ(next(), 0xfa);
    data(0xf2);
    CHECK_EQ(next(), 0xfa);
    CHECK_EQ(next(), 0xab);
    CHECK_EQ(next(), 0x83);
    data(0xee);
    CHECK_EQ(next(), 0xee);
    CHECK_EQ(status(), 0x14);
    check_about("answers that nobody fetches");
    for (u32 i = 0; i < 100; i++)
        data(0xf2);
    for (u32 i = 0; i < KBD_QUEUE; i++)
        next();
    CHECK_EQ(status(), 0x14);
}

static void test_reset(void)
{
    check_about("reset");
    fresh();
    command(0xfe);
    CHECK_EQ(resets, 1);
    command(0xff);
    CHECK_EQ(resets, 1);
    command(0xd1);
    data(0xfe);
    CHECK_EQ(resets, 2);
    data(0xfe); /* to the keyboard: resend */
    CHECK_EQ(resets, 2);
}

int main(void)
{
    test_idle();
    test_controller();
    test_keyboard();
    test_reset();
    return check_done("kbd");
}
