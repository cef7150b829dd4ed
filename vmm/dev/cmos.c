/*
 * The clock and memory of the MC146818: the date is computed whenever it is
 * read. No alarm, no update-in-progress, no interrupts; what is written to a
 * register of the time is ignored. Source: Motorola MC146818A; the places of
 * the memory size are those of the IBM PC AT and its followers.
 */
#include "vmm/dev/cmos.h"

#include "kernel/panic.h"

#define INDEX_PORT 0x70
#define INDEX_MASK 0x7f /* bit 7 switches NMIs off */

enum {
    SECONDS = 0x00,
    MINUTES = 0x02,
    HOURS = 0x04,
    WEEKDAY = 0x06,
    DAY = 0x07,
    MONTH = 0x08,
    YEAR = 0x09,
    STATUS_A = 0x0a,
    STATUS_B = 0x0b,
    STATUS_C = 0x0c,
    STATUS_D = 0x0d,
    BASE_MEMORY = 0x15,
    EXTENDED_MEMORY = 0x17,
    EXTENDED_MEMORY_2 = 0x30,
    CENTURY = 0x32,
    MEMORY_ABOVE_16M = 0x34,
};

#define A_RATE       0x26 /* 32768 Hz, 1024 Hz */
#define B_24_HOURS   0x02
#define B_BINARY     0x04
#define D_POWER_GOOD 0x80
#define PM           0x80 /* with 12 hours */

#define FIRST_YEAR    2020
#define FIRST_WEEKDAY 3 /* 2020-01-01 was a Wednesday; Sunday is 0 */
#define DAY_SECONDS   86400

/* --- The date --------------------------------------------------------------------- */

struct date {
    u32 second, minute, hour, weekday, day, month, year;
};

static bool is_leap(u32 year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static u32 month_days(u32 month, u32 year)
{
    static const u8 days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return days[month] + (month == 1 && is_leap(year) ? 1u : 0u);
}

static struct date date_of(u64 seconds)
{
    u32 days = (u32)(seconds / DAY_SECONDS), second = (u32)(seconds % DAY_SECONDS);
    u32 weekday = (FIRST_WEEKDAY + days) % 7, year = FIRST_YEAR, month = 0;

    while (days >= (is_leap(year) ? 366u : 365u))
        days -= is_leap(year++) ? 366 : 365;
    while (days >= month_days(month, year))
        days -= month_days(month++, year);
    return (struct date){second % 60, second / 60 % 60, second / 3600, weekday + 1,
                         days + 1,    month + 1,        year};
}

/* --- Registers ---------------------------------------------------------------------- */

static u8 in_format(const struct cmos *c, u32 n)
{
    return (u8)(c->ram[STATUS_B] & B_BINARY ? n : n / 10 << 4 | n % 10);
}

static u8 hours(const struct cmos *c, u32 hour)
{
    if (c->ram[STATUS_B] & B_24_HOURS)
        return in_format(c, hour);
    return in_format(c, (hour + 11) % 12 + 1) | (hour >= 12 ? PM : 0);
}

static u8 read_register(struct cmos *c)
{
    const struct date d = date_of(c->now(c->opaque) / NS_PER_SEC);

    switch (c->index) {
    case SECONDS:
        return in_format(c, d.second);
    case MINUTES:
        return in_format(c, d.minute);
    case HOURS:
        return hours(c, d.hour);
    case WEEKDAY:
        return in_format(c, d.weekday);
    case DAY:
        return in_format(c, d.day);
    case MONTH:
        return in_format(c, d.month);
    case YEAR:
        return in_format(c, d.year % 100);
    case CENTURY:
        return in_format(c, d.year / 100);
    default:
        return c->ram[c->index];
    }
}

static void write_register(struct cmos *c, u8 value)
{
    switch (c->index) {
    case SECONDS:
    case MINUTES:
    case HOURS:
    case WEEKDAY:
    case DAY:
    case MONTH:
    case YEAR:
    case CENTURY:
    case STATUS_A:
    case STATUS_C:
    case STATUS_D:
        break;
    case STATUS_B:
        c->ram[STATUS_B] = value & (B_24_HOURS | B_BINARY);
        break;
    default:
        c->ram[c->index] = value;
    }
}

static u32 cmos_in(void *device, u16 port, u8 size)
{
    struct cmos *c = device;
    (void)size;

    return port == INDEX_PORT ? 0xff : read_register(c);
}

static void cmos_out(void *device, u16 port, u8 size, u32 value)
{
    struct cmos *c = device;
    (void)size;

    if (port == INDEX_PORT)
        c->index = value & INDEX_MASK;
    else
        write_register(c, (u8)value);
}

/* --- Setting up ------------------------------------------------------------------------ */

static void put_u16(struct cmos *c, u8 at, u64 value)
{
    value = min_u64(value, 0xffff);
    c->ram[at] = (u8)value;
    c->ram[at + 1] = (u8)(value >> 8);
}

/* By how much end is above start. */
static u64 above(u64 end, u64 start)
{
    return end > start ? end - start : 0;
}

void cmos_init(struct cmos *c, u64 memory_end, u64 (*now)(void *), void *opaque)
{
    *c = (struct cmos){.now = now, .opaque = opaque};
    c->ram[STATUS_A] = A_RATE;
    c->ram[STATUS_B] = B_24_HOURS;
    c->ram[STATUS_D] = D_POWER_GOOD;
    put_u16(c, BASE_MEMORY, min_u64(memory_end >> 10, 640));
    put_u16(c, EXTENDED_MEMORY, above(memory_end, 1 << 20) >> 10);
    put_u16(c, EXTENDED_MEMORY_2, above(memory_end, 1 << 20) >> 10);
    put_u16(c, MEMORY_ABOVE_16M, above(memory_end, 16 << 20) >> 16);
}

void cmos_attach(struct cmos *c, struct bus *bus)
{
    const struct bus_device d = {"cmos", INDEX_PORT, INDEX_PORT + 1, 1, cmos_in, cmos_out, c};

    ASSERT(bus_add(bus, &d) == 0);
}
