/*
 * Fuzz target: all devices of a VM on one bus, wired as in vm_devices.c, and a
 * guest that does what it likes with their ports while time passes.
 *
 * Input: the policy, then 8-byte steps {what, size, port16, value32}. Held at every step: the
 * timer's totals balance, nothing but absent bits above an access's size is
 * read, the PIC asks only for what it can acknowledge, and time to come is
 * never in the past. Out-of-bounds accesses are found by AddressSanitizer.
 */
#include <string.h>
#include "vmm/dev/cmos.h"
#include "vmm/dev/kbd.h"
#include "vmm/dev/pic.h"
#include "vmm/dev/pit.h"
#include "vmm/dev/testport.h"
#include "vmm/dev/uart.h"
#include "vmm/tests/fuzz.h"
#include "vmm/tests/host.h"
#include "vmm/time/vclock.h"

const char *const fuzz_name = "ports";

static struct machine {
    struct bus bus;
    struct pic pic;
    struct pit pit;
    struct uart uart;
    struct cmos cmos;
    struct kbd kbd;
    struct testport port;
    struct vclock clock;
    struct vtimer timer;
    u64 host_now;
    u64 printed, commands;
} m;

static u64 vm_now(void *opaque)
{
    (void)opaque;
    return vclock_ns(&m.clock, CLOCK_APPARENT, m.host_now);
}

static void print(void *opaque, const char *text, u32 n)
{
    (void)opaque;
    FUZZ_CHECK(n <= UART_LINE);
    for (u32 i = 0; i < n; i++)
        FUZZ_CHECK((u8)text[i] >= 0x20 || text[i] == '\t');
    m.printed += n;
}

static void uart_irq(void *opaque, bool high)
{
    (void)opaque;
    pic_set_line(&m.pic, 4, high);
}

static void polled(void *opaque, u8 line)
{
    (void)opaque;
    if (line == 0 && m.timer.offered)
        vtimer_accept(&m.timer, vm_now(NULL));
}

static void count_reset(void *opaque)
{
    (void)opaque;
    m.commands++;
}

static u64 port_walk(void *opaque, u64 address, u64 access)
{
    (void)opaque;
    return address ^ access;
}

static void port_exit(void *opaque, u64 code)
{
    (void)opaque;
    m.commands += 1 + (code & 1);
}

static u64 port_harvest(void *opaque, u64 at)
{
    (void)opaque;
    return ~at;
}

static const struct testport_ops port_ops = {port_walk, port_exit, count_reset, port_harvest};

static void power_on(enum tick_policy policy)
{
    m = (struct machine){.host_now = 12345};
    vclock_init(&m.clock, m.host_now);
    pic_init(&m.pic, 1);
    m.pic.on_poll = polled;
    pic_attach(&m.pic, &m.bus);
    vtimer_init(&m.timer, 1, policy, CLOCK_APPARENT);
    pit_init(&m.pit, &m.timer, vm_now, NULL);
    pit_attach(&m.pit, &m.bus);
    uart_init(&m.uart, print, uart_irq, NULL);
    uart_attach(&m.uart, &m.bus, 0x3f8);
    uart_attach_debug(&m.uart, &m.bus, 0xe9);
    cmos_init(&m.cmos, 16 << 20, vm_now, NULL);
    cmos_attach(&m.cmos, &m.bus);
    kbd_init(&m.kbd, count_reset, NULL);
    kbd_attach(&m.kbd, &m.bus);
    testport_init(&m.port, 1, 0, 1, 2, &port_ops, NULL);
    testport_attach(&m.port, &m.bus);
}

/* What the run loop does between a guest's instructions. */
static void take_interrupts(void)
{
    u64 now = vm_now(NULL);
    bool free = pic_would_deliver(&m.pic, 0);
    u8 line;

    vtimer_advance(&m.timer, now, free);
    if (free && vtimer_deliver(&m.timer, now))
        pic_set_line(&m.pic, 0, true);
    if (!pic_pending(&m.pic))
        return;
    pic_ack(&m.pic, &line);
    FUZZ_CHECK(line < 16);
    if (line == 0 && m.timer.offered) {
        vtimer_accept(&m.timer, now);
        pic_set_line(&m.pic, 0, false);
    }
}

static void pass_time(u32 value, bool descheduled)
{
    if (descheduled)
        vclock_ready(&m.clock, m.host_now);
    else
        vclock_unready(&m.clock, m.host_now);
    m.host_now += value & 1 ? (u64)value << 20 : value; /* up to 52 days */
}

static void access_port(u8 what, u8 size, u16 port, u32 value)
{
    if (what & 1) {
        bus_out(&m.bus, port, size, value);
        return;
    }
    u32 got = bus_in(&m.bus, port, size);
    FUZZ_CHECK(size == 4 || got >> 8 * size == 0);
}

/* Ports where something is. */
static u16 some_port(u16 n)
{
    static const u16 ports[] = {0x20,  0x21,  0xa0,  0xa1,  0x4d0, 0x4d1, 0x40,  0x41,  0x42,
                                0x43,  0x61,  0x60,  0x64,  0x70,  0x71,  0xe9,  0x3f8, 0x3f9,
                                0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x5e0, 0x5e0, 0x5e4, 0x5e8,
                                0x5ec, 0x5f0, 0x5f4, 0x5f8, 0x5fc, 0x600};
    return ports[n % ARRAY_SIZE(ports)];
}

/* Bit 0 of what is the direction (or whether the VM waits for the CPU, or
 * whether a line moves), bits 1 to 3 what is done; then, for ports: 0x40 one with a device, 0x20 in
 * the size that it takes, 0x10 a small value. */
static void step(const u8 *p)
{
    u8 what = p[0], size = (u8)(1u << p[1] % 3);
    u16 port;
    u32 value;

    memcpy(&port, p + 2, 2);
    memcpy(&value, p + 4, 4);
    if (what & 0x40)
        port = some_port(port);
    if (what & 0x20)
        size = port >= TESTPORT_BASE && port <= TESTPORT_LAST ? 4 : 1;
    if (what & 0x10)
        value %= 16;
    switch (what >> 1 & 7) {
    case 0:
        pass_time(value, what & 1);
        break;
    case 1:
        if (what & 1)
            pic_set_line(&m.pic, value % 16, value & 16);
        else
            take_interrupts();
        break;
    default:
        access_port(what, size, port, value);
    }
}

static void check_invariants(void)
{
    struct pic copy = m.pic;
    u8 line = 99;
    u64 now = vm_now(NULL);

    FUZZ_CHECK(vtimer_balanced(&m.timer));
    FUZZ_CHECK(m.timer.late + m.timer.offered <= m.timer.backlog);
    FUZZ_CHECK(m.timer.policy == TICK_SLEW || m.timer.policy == TICK_DELAY ||
               m.timer.late + m.timer.offered == m.timer.backlog);
    vtimer_advance(&m.timer, now, false);
    FUZZ_CHECK(vtimer_next(&m.timer, now) >= now);
    FUZZ_CHECK(m.uart.length <= UART_LINE && m.kbd.count <= KBD_QUEUE && m.cmos.index < CMOS_SIZE);
    for (u32 i = 0; i < 3; i++)
        FUZZ_CHECK(m.pit.ch[i].reload >= 1 && m.pit.ch[i].reload <= 65536);
    if (!pic_pending(&copy))
        return;
    copy.on_eoi = copy.on_poll = NULL;
    pic_ack(&copy, &line);
    FUZZ_CHECK(line < 16 && (line != 2 || copy.chip[0].single));
}

int fuzz_one(const u8 *data, size_t size)
{
    power_on(size ? data[0] & 3 : TICK_DELAY);
    host_trace_start();
    for (size_t at = 1; at + 8 <= size; at += 8) {
        step(data + at);
        check_invariants();
    }
    return 0;
}

/* --- Seeds: a guest that sets up PIC and PIT and takes ticks ------------------------- */

static u8 *emit(u8 *to, u8 what, u16 port, u32 value)
{
    to[0] = what;
    to[1] = 0;
    memcpy(to + 2, &port, 2);
    memcpy(to + 4, &value, 4);
    return to + 8;
}

static u8 *emit_out(u8 *to, u16 port, u32 value)
{
    return emit(to, 0x05, port, value);
}

size_t fuzz_seed(u32 i, u8 *to)
{
    static const u8 pic_setup[] = {0x20, 0x11, 0x21, 0x20, 0x21, 0x04, 0x21, 0x01, 0xa0, 0x11,
                                   0xa1, 0x28, 0xa1, 0x02, 0xa1, 0x01, 0x21, 0xee, 0xa1, 0xff};
    u8 *p = to;

    if (i >= 16)
        return 0;
    *p++ = (u8)i;
    for (u32 k = 0; k < sizeof(pic_setup); k += 2)
        p = emit_out(p, pic_setup[k], pic_setup[k + 1]);
    p = emit_out(p, 0x43, i & 4 ? 0x34 : 0x36);
    p = emit_out(p, 0x40, 0xa9);
    p = emit_out(p, 0x40, i & 8 ? 0x04 : 0xff);
    p = emit_out(p, 0x3f9, 2);
    p = emit_out(p, 0x3fc, 8);
    for (u32 k = 0; k < 12; k++) {
        p = emit(p, k & i ? 1 : 0, 0, 900000 + 2000000 * k); /* time */
        p = emit(p, 3, 0, 16 + (i + k) % 16);                /* a line rises */
        p = emit(p, 2, 0, 0);                                /* interrupts */
        p = emit_out(p, 0x20, 0x20);
        p = emit_out(p, 0x3f8, 'a' + k);
        p = emit(p, 0x04, 0x40, 0);
        p = emit(p, 0x75, (u16)(23 + k), k); /* the test port, the CMOS */
        p = emit(p, 0x75, 23, k);
        p = emit(p, 0x35, 0x70, k);
        p = emit(p, 0x74, 14, 0);
    }
    return (size_t)(p - to);
}
