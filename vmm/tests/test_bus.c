/*
 * Unit test of the port bus: who owns a port, overlap, splitting, the ends of the range.
 * The devices here record what reaches them.
 */
#include "vmm/dev/bus.h"
#include "vmm/tests/check.h"

static struct access {
    const char *who;
    u16 port;
    u8 size;
    u32 value;
} seen[16];
static u32 seen_count;

/* A device answers with the low byte of its port in every byte. */
static u32 echo_in(void *device, u16 port, u8 size)
{
    seen[seen_count++ % 16] = (struct access){device, port, size, 0};
    return (port & 0xff) * 0x01010101u;
}

static void echo_out(void *device, u16 port, u8 size, u32 value)
{
    seen[seen_count++ % 16] = (struct access){device, port, size, value};
}

static int add(struct bus *bus, const char *name, u16 first, u16 last, u8 width)
{
    const struct bus_device d = {name, first, last, width, echo_in, echo_out, (void *)name};
    return bus_add(bus, &d);
}

static void check_access(u32 i, const char *who, u16 port, u8 size, u32 value)
{
    CHECK_STR(seen[i].who, who);
    CHECK_EQ(seen[i].port, port);
    CHECK_EQ(seen[i].size, size);
    CHECK_EQ(seen[i].value, value);
}

static struct bus three(void)
{
    struct bus bus = {0};

    CHECK_EQ(add(&bus, "wide", 0x5e0, 0x5ef, 4), 0);
    CHECK_EQ(add(&bus, "low", 0x20, 0x21, 1), 0);
    CHECK_EQ(add(&bus, "high", 0xfffe, 0xffff, 1), 0);
    seen_count = 0;
    return bus;
}

static void test_add(void)
{
    struct bus bus = three();

    check_about("adding");
    CHECK_STR(bus.dev[bus.owner[0x21]].name, "low");
    CHECK_STR(bus.dev[bus.owner[0x5e0]].name, "wide");
    CHECK_STR(bus.dev[bus.owner[0xffff]].name, "high");
    CHECK_EQ(bus.owner[0x22], 0);
    CHECK_EQ(add(&bus, "x", 0x1f, 0x20, 1), -EINVAL);
    CHECK_EQ(add(&bus, "x", 0x21, 0x30, 1), -EINVAL);
    CHECK_EQ(add(&bus, "x", 0x5e4, 0x5e4, 1), -EINVAL);
    CHECK_EQ(add(&bus, "x", 0x00, 0xffff, 1), -EINVAL);
    CHECK_EQ(add(&bus, "x", 0x31, 0x30, 1), -EINVAL);
    CHECK_EQ(bus.count, 3);
    CHECK_EQ(add(&bus, "x", 0x22, 0x5df, 1), 0);
    while (bus.count < BUS_MAX_DEVICES)
        CHECK_EQ(add(&bus, "x", (u16)(0x1000 + bus.count), (u16)(0x1000 + bus.count), 1), 0);
    CHECK_EQ(add(&bus, "x", 0x2000, 0x2000, 1), -ENOSPC);
}

static void test_whole(void)
{
    struct bus bus = three();

    check_about("accesses in one piece");
    CHECK_EQ(bus_in(&bus, 0x21, 1), 0x21);
    CHECK_EQ(bus_in(&bus, 0x5e4, 4), 0xe4e4e4e4);
    CHECK_EQ(bus_in(&bus, 0x5e4, 2), 0xe4e4);
    CHECK_EQ(bus_in(&bus, 0x5ef, 1), 0xef);
    bus_out(&bus, 0x5e8, 4, 0x12345678);
    bus_out(&bus, 0x20, 1, 0xffffff34);
    CHECK_EQ(seen_count, 6);
    check_access(1, "wide", 0x5e4, 4, 0);
    check_access(4, "wide", 0x5e8, 4, 0x12345678);
    check_access(5, "low", 0x20, 1, 0x34);
}

static void test_split(void)
{
    struct bus bus = three();

    check_about("split accesses");
    CHECK_EQ(bus_in(&bus, 0x20, 2), 0x2120);
    CHECK_EQ(bus_in(&bus, 0x20, 4), 0xffff2120);
    CHECK_EQ(bus_in(&bus, 0x1f, 2), 0x20ff);
    CHECK_EQ(bus_in(&bus, 0x5ee, 4), 0xffffefee); /* past the wide one's end */
    CHECK_EQ(bus_in(&bus, 0x5de, 4), 0xe1e0ffff);
    seen_count = 0;
    bus_out(&bus, 0x1f, 4, 0x44332211);
    CHECK_EQ(seen_count, 2);
    check_access(0, "low", 0x20, 1, 0x22);
    check_access(1, "low", 0x21, 1, 0x33);
}

static void test_nobody(void)
{
    struct bus bus = three(), empty = {0};

    check_about("nobody there");
    CHECK_EQ(bus_in(&bus, 0x22, 1), 0xff);
    CHECK_EQ(bus_in(&bus, 0x300, 2), 0xffff);
    CHECK_EQ(bus_in(&bus, 0x300, 4), 0xffffffff);
    CHECK_EQ(bus_in(&empty, 0, 4), 0xffffffff);
    bus_out(&bus, 0x300, 4, 1);
    bus_out(&empty, 0, 1, 1);
    CHECK_EQ(seen_count, 0);
    check_about("the last ports do not wrap around");
    CHECK_EQ(add(&bus, "zero", 0, 1, 1), 0);
    CHECK_EQ(bus_in(&bus, 0xfffe, 4), 0xfffffffe);
    CHECK_EQ(seen_count, 2);
    bus_out(&bus, 0xffff, 2, 0xaabb);
    CHECK_EQ(seen_count, 3);
    check_access(2, "high", 0xffff, 1, 0xbb);
}

int main(void)
{
    test_add();
    test_whole();
    test_split();
    test_nobody();
    return check_done("bus");
}
