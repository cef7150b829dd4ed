/*
 * Unit test of the test port against handouts/formats.md section 5: every
 * command, argument halves, sizes, seals, names, and its trace records.
 */
#include <string.h>
#include "vmm/dev/testport.h"
#include "vmm/mix.h"
#include "vmm/tests/check.h"
#include "vmm/tests/host.h"

#define NONCE 0x1122334455667788ull
#define SEED  0xfeedfacecafebeefull

static struct testport port;
static struct bus bus;
static u64 walked, exits, exit_code, yields;

static u64 walk(void *opaque, u64 gva, u64 access)
{
    CHECK(opaque == &walked);
    walked++;
    return gva + 0x1000000000ull + access;
}

static void on_exit(void *opaque, u64 code)
{
    CHECK(opaque == &walked);
    exits++;
    exit_code = code;
}

static void on_yield(void *opaque)
{
    CHECK(opaque == &walked);
    CHECK_EQ(port.arg[0], 0); /* the command is over when others run */
    yields++;
}

static u64 harvest(void *opaque, u64 gpa)
{
    CHECK(opaque == &walked);
    return gpa | 5ull << 32;
}

static const struct testport_ops ops = {walk, on_exit, on_yield, harvest};

static void fresh(void)
{
    bus = (struct bus){0};
    testport_init(&port, 3, 2, NONCE, SEED, &ops, &walked);
    testport_attach(&port, &bus);
    walked = exits = yields = exit_code = 0;
    host_trace_start();
}

static void out(u16 p, u32 value)
{
    bus_out(&bus, p, 4, value);
}

static u32 in(u16 p)
{
    return bus_in(&bus, p, 4);
}

static void arg(u32 n, u64 v)
{
    out((u16)(0x5e4 + 8 * n), (u32)v);
    out((u16)(0x5e8 + 8 * n), (u32)(v >> 32));
}

static u64 result(void)
{
    return in(0x5e4) | (u64)in(0x5e8) << 32;
}

static u64 call(u32 command, u64 a0, u64 a1)
{
    arg(0, a0);
    arg(1, a1);
    out(0x5e0, command);
    return result();
}

static u64 name(const char *text)
{
    u64 packed = 0;
    memcpy(&packed, text, strlen(text));
    return packed;
}

static void test_ports(void)
{
    check_about("ports");
    fresh();
    CHECK_EQ(in(0x5e0), 0x5453454e);
    CHECK_EQ(bus_in(&bus, 0x5e0, 1), 0xff);
    CHECK_EQ(bus_in(&bus, 0x5e0, 2), 0xffff);
    for (u16 p = 0x5ec; p <= 0x61c; p += 4)
        CHECK_EQ(in(p), ~0u);
    CHECK_EQ(in(0x5e2), ~0u); /* not one of the ports */
    arg(0, 0x0123456789abcdefull);
    CHECK_EQ(port.arg[0], 0x0123456789abcdefull);
    out(0x5e4, 5); /* the low half clears the high one */
    CHECK_EQ(port.arg[0], 5);
    arg(3, ~0ull);
    CHECK_EQ(port.arg[3], ~0ull);
    for (u16 p = 0x5e1; p < 0x61f; p++) {
        bus_out(&bus, p, 1, 0xee);
        bus_out(&bus, p, 2, 0xeeee);
        if (p % 4 || p > 0x600)
            out(p, 0xeeeeeeee);
    }
    CHECK_EQ(port.arg[0], 5);
    CHECK_EQ(port.arg[1] | port.arg[2], 0);
    CHECK_EQ(port.arg[3], ~0ull);
}

static void test_commands(void)
{
    check_about("commands");
    fresh();
    CHECK_EQ(call(1, 0, 0), NONCE);
    CHECK_EQ(call(2, 0, 0), mix(SEED, 3, 2));
    CHECK_EQ(call(8, 0, 0), 3);
    CHECK_EQ(call(9, 0, 0), 2);
    CHECK_EQ(call(6, 0x7000, 5), 0x1000007005ull);
    CHECK_EQ(walked, 1);
    CHECK_EQ(call(10, 0x3000, 1), 0x500003000ull);
    CHECK_EQ(call(7, 1, 1), 0);
    CHECK_EQ(yields, 1);
    call(5, 0x123456789ull, 0);
    CHECK_EQ(exits, 1);
    CHECK_EQ(exit_code, 0x123456789ull);
    check_about("arguments are 0 after a command");
    for (u32 i = 0; i < 4; i++)
        CHECK_EQ(port.arg[i], 0);
    check_about("unknown commands");
    CHECK_EQ(call(11, 7, 8), ~0ull);
    CHECK_EQ(call(0, 7, 8), ~0ull);
    CHECK_EQ(call(~0u, 7, 8), ~0ull);
    CHECK_EQ(port.arg[0], 7);
    CHECK_EQ(port.passed + port.failed + walked + exits + yields, 3);
    check_about("mix");
    CHECK_EQ(mix(0, 0, 0), 0);
    CHECK_EQ(mix(1, 2, 3), 0x9581eba06d9b0d0dull);
    CHECK_EQ(mix(NONCE, SEED, ~0ull), 0xce7e3aa39e214b14ull);
}

static u64 self_check(const char *what, u64 value, u64 expected, u64 seal)
{
    arg(0, name(what));
    arg(1, value);
    arg(2, expected);
    arg(3, seal);
    out(0x5e0, 3);
    return result();
}

static void test_checks(void)
{
    u64 seal = mix(NONCE ^ name("sum"), 42, 42), unequal = mix(NONCE ^ name("sum"), 42, 43);

    check_about("self-checks");
    fresh();
    CHECK_EQ(self_check("sum", 42, 42, seal), 1);
    CHECK_EQ(port.passed, 1);
    CHECK_EQ(self_check("sum", 42, 43, unequal), 0);
    CHECK_EQ(self_check("sum", 42, 42, seal ^ 1), 0);
    CHECK_EQ(self_check("sun", 42, 42, seal), 0);
    CHECK_EQ(self_check("sum", 43, 43, seal), 0);
    CHECK_EQ(port.passed, 1);
    CHECK_EQ(port.failed, 4);
    CHECK_EQ(host_trace_count(EVENT_check), 5);
    const struct trace_record *r = host_trace_find(EVENT_check, NULL);
    CHECK_EQ(host_record_vm(r), 3);
    CHECK_EQ(r->payload[0], 42);
    CHECK_EQ(r->payload[1], 42);
    CHECK_EQ(r->payload[2], 1);
    CHECK_EQ(r->payload[3], name("sum"));
    r = host_trace_find(EVENT_check, host_trace_find(EVENT_check, r));
    CHECK_EQ(r->payload[2], 0);
}

static void test_checkpoints(void)
{
    check_about("checkpoints");
    fresh();
    CHECK_EQ(call(4, name("eightchr"), 0x1234567890ull), 0);
    CHECK_EQ(call(4, 0x00410a42ffull << 8 | 'n', 1), 0);
    CHECK_EQ(call(4, 0, 2), 0);
    const struct trace_record *r = host_trace_find(EVENT_checkpoint, NULL);
    CHECK_EQ(r->payload[0], 0x1234567890ull);
    CHECK_EQ(r->payload[1], name("eightchr"));
    r = host_trace_find(EVENT_checkpoint, r);
    CHECK_EQ(r->payload[1], name("n?B?A")); /* hostile names stay text */
    CHECK_EQ(host_trace_count(EVENT_checkpoint), 3);
    check_about("the port's own record");
    r = host_trace_find(EVENT_test_port, NULL);
    CHECK_EQ(r->payload[0], 4);
    CHECK_EQ(r->payload[1], name("eightchr"));
    CHECK_EQ(r->payload[2], 0x1234567890ull);
    CHECK_EQ(r->payload[3], 0);
    CHECK_EQ(host_trace_count(EVENT_test_port), 3);
}

int main(void)
{
    test_ports();
    test_commands();
    test_checks();
    test_checkpoints();
    return check_done("testport");
}
