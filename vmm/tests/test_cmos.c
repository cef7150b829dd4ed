/*
 * Unit test of the CMOS clock and memory: dates from the C library, formats,
 * the memory size, and what a guest may write.
 */
#include <time.h>
#include "vmm/dev/cmos.h"
#include "vmm/tests/check.h"

#define EPOCH_2020 1577836800ll /* 2020-01-01 00:00:00 UTC */

static struct cmos cmos;
static struct bus bus;
static u64 now_ns;

static u64 now(void *opaque)
{
    CHECK(opaque == &cmos);
    return now_ns;
}

static u32 get(u8 index)
{
    bus_out(&bus, 0x70, 1, index);
    return bus_in(&bus, 0x71, 1);
}

static void set(u8 index, u8 value)
{
    bus_out(&bus, 0x70, 1, index);
    bus_out(&bus, 0x71, 1, value);
}

static void fresh(u64 memory)
{
    bus = (struct bus){0};
    now_ns = 0;
    cmos_init(&cmos, memory, now, &cmos);
    cmos_attach(&cmos, &bus);
}

static u32 bcd(int n)
{
    return (u32)(n / 10 << 4 | n % 10);
}

static void check_date(u64 seconds)
{
    time_t t = (time_t)(EPOCH_2020 + (long long)seconds);
    struct tm d;

    gmtime_r(&t, &d);
    now_ns = seconds * NS_PER_SEC + 999999999;
    check_about("%llu s", (unsigned long long)seconds);
    CHECK_EQ(get(0x00), bcd(d.tm_sec));
    CHECK_EQ(get(0x02), bcd(d.tm_min));
    CHECK_EQ(get(0x04), bcd(d.tm_hour));
    CHECK_EQ(get(0x06), bcd(d.tm_wday + 1));
    CHECK_EQ(get(0x07), bcd(d.tm_mday));
    CHECK_EQ(get(0x08), bcd(d.tm_mon + 1));
    CHECK_EQ(get(0x09), bcd(d.tm_year % 100));
    CHECK_EQ(get(0x32), bcd((d.tm_year + 1900) / 100));
}

static void test_dates(void)
{
    fresh(16 << 20);
    for (u64 s = 0; s < 6000ull * 86400; s += 86399 * 7 + 3601)
        check_date(s);
    check_date(59ull * 86400);          /* 2020-02-29 */
    check_date(366ull * 86400 - 1);     /* the last second of 2020 */
    check_date(29219ull * 86400 + 100); /* 2099-12-31 */
    check_date(18000000000ull);         /* 570 years on */
}

static void test_formats(void)
{
    static const u8 twelve[24] = {12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

    check_about("binary and 12 hours");
    fresh(16 << 20);
    now_ns = (13ull * 3600 + 45 * 60 + 59) * NS_PER_SEC;
    CHECK_EQ(get(0x04), 0x13);
    set(0x0b, 0xff);
    CHECK_EQ(get(0x0b), 0x06);
    CHECK_EQ(get(0x04), 13);
    CHECK_EQ(get(0x00), 59);
    set(0x0b, 0x04);
    for (u64 h = 0; h < 24; h++) {
        now_ns = h * 3600 * NS_PER_SEC;
        CHECK_EQ(get(0x04), twelve[h % 12] | (h >= 12 ? 0x80u : 0));
    }
}

static void check_memory(u64 end, u32 base, u32 extended, u32 above_16m)
{
    fresh(end);
    check_about("memory of %llu bytes", (unsigned long long)end);
    CHECK_EQ(get(0x15) | get(0x16) << 8, base);
    CHECK_EQ(get(0x17) | get(0x18) << 8, extended);
    CHECK_EQ(get(0x30) | get(0x31) << 8, extended);
    CHECK_EQ(get(0x34) | get(0x35) << 8, above_16m);
}

static void test_memory(void)
{
    check_memory(0, 0, 0, 0);
    check_memory(512 << 10, 512, 0, 0);
    check_memory(16 << 20, 640, 15 << 10, 0);
    check_memory(24 << 20, 640, 23 << 10, 128);
    check_memory(1ull << 40, 640, 0xffff, 0xffff);
}

static void test_writes(void)
{
    check_about("writes");
    fresh(16 << 20);
    set(0x00, 0x33);
    set(0x09, 0x99);
    set(0x0a, 0x00);
    set(0x0d, 0x00);
    CHECK_EQ(get(0x00), 0);
    CHECK_EQ(get(0x09), 0x20);
    CHECK_EQ(get(0x0a), 0x26); /* never an update in progress */
    CHECK_EQ(get(0x0d), 0x80);
    set(0x0f, 0x0a);
    set(0xff, 0x5a); /* bit 7 is not part of the index */
    CHECK_EQ(get(0x0f), 0x0a);
    CHECK_EQ(get(0x7f), 0x5a);
    CHECK_EQ(bus_in(&bus, 0x70, 1), 0xff);
}

int main(void)
{
    test_dates();
    test_formats();
    test_memory();
    test_writes();
    return check_done("cmos");
}
