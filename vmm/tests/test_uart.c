/*
 * Unit test of the virtual serial port: lines, registers, the transmitter's
 * interrupt, loopback, and the debug port.
 */
#include <string.h>
#include "vmm/dev/uart.h"
#include "vmm/tests/check.h"

static struct uart uart;
static struct bus bus;
static char printed[1024]; /* lines, each closed by '|' */
static bool irq_level;

static void print(void *opaque, const char *text, u32 n)
{
    size_t used = strlen(printed);

    CHECK(opaque == &uart);
    memcpy(printed + used, text, n);
    memcpy(printed + used + n, "|", 2);
}

static void irq(void *opaque, bool high)
{
    CHECK(opaque == &uart);
    irq_level = high;
}

static void out(u16 reg, u8 value)
{
    bus_out(&bus, (u16)(0x3f8 + reg), 1, value);
}

static u8 in(u16 reg)
{
    return (u8)bus_in(&bus, (u16)(0x3f8 + reg), 1);
}

static void fresh(void)
{
    bus = (struct bus){0};
    printed[0] = 0;
    irq_level = false;
    uart_init(&uart, print, irq, &uart);
    uart_attach(&uart, &bus, 0x3f8);
    uart_attach_debug(&uart, &bus, 0xe9);
}

static void send(const char *text)
{
    for (; *text; text++)
        out(0, (u8)*text);
}

static void test_lines(void)
{
    char longer[UART_LINE + 11], expected[UART_LINE + 13];

    check_about("lines");
    fresh();
    send("one\r\ntwo");
    CHECK_STR(printed, "one|");
    uart_flush(&uart);
    uart_flush(&uart);
    CHECK_STR(printed, "one|two|");
    send("\n\n");
    CHECK_STR(printed, "one|two|||");
    fresh();
    send("a\tb\x1b[1mc\x7f\xc3\xa9\n");
    CHECK_STR(printed, "a\tb.[1mc.\xc3\xa9|");
    check_about("a long line");
    fresh();
    memset(longer, 'x', sizeof(longer));
    longer[UART_LINE + 10] = 0;
    send(longer);
    send("\n");
    memset(expected, 'x', sizeof(expected));
    expected[UART_LINE] = '|';
    strcpy(expected + UART_LINE + 11, "|");
    CHECK_STR(printed, expected);
    check_about("the debug port");
    fresh();
    CHECK_EQ(bus_in(&bus, 0xe9, 1), 0xe9);
    bus_out(&bus, 0xe9, 1, 'd');
    bus_out(&bus, 0xe9, 1, '\n');
    CHECK_STR(printed, "d|");
}

static void test_registers(void)
{
    check_about("registers");
    fresh();
    CHECK_EQ(in(5), 0x60);
    CHECK_EQ(in(6), 0xb0);
    out(7, 0x5a);
    CHECK_EQ(in(7), 0x5a);
    CHECK_EQ(in(2), 0x01);
    out(2, 0x07);
    CHECK_EQ(in(2), 0xc1); /* a 16550A shows its FIFOs */
    out(3, 0x83);
    out(0, 0x0c);
    out(1, 0x34);
    CHECK_EQ(in(0), 0x0c);
    CHECK_EQ(in(1), 0x34);
    out(3, 0x03);
    CHECK_EQ(in(3), 0x03);
    CHECK_EQ(in(0), 0x00);
    CHECK_EQ(in(1), 0x00);
    CHECK_STR(printed, "");
    CHECK_EQ(uart.length, 0); /* the divisor was no text */
    out(5, 0xff);
    out(6, 0xff);
    out(4, 0xff);
    CHECK_EQ(in(4), 0x1f);
}

static void test_interrupt(void)
{
    check_about("transmitter empty");
    fresh();
    out(1, 0x02);
    CHECK(!irq_level); /* OUT2 connects it */
    out(4, 0x08);
    CHECK(irq_level);
    CHECK_EQ(in(2), 0x02);
    CHECK(!irq_level);
    CHECK_EQ(in(2), 0x01);
    send("x");
    CHECK(irq_level);
    out(1, 0x00);
    CHECK(!irq_level);
    CHECK_EQ(in(2), 0x01);
    out(1, 0x02);
    CHECK(irq_level);
    out(4, 0x00);
    CHECK(!irq_level);
}

static void test_loopback(void)
{
    check_about("loopback");
    fresh();
    out(4, 0x1e);
    CHECK_EQ(in(6), 0xd0); /* OUT1, OUT2 and RTS as RI, DCD and CTS */
    out(4, 0x11);
    CHECK_EQ(in(6), 0x20);
    out(0, 0xae);
    CHECK_EQ(in(5), 0x61);
    out(1, 0x01);
    CHECK_EQ(in(2), 0x04);
    CHECK(!irq_level); /* not connected in loopback */
    CHECK_EQ(in(0), 0xae);
    CHECK_EQ(in(5), 0x60);
    CHECK_EQ(in(2), 0x01);
    uart_flush(&uart);
    CHECK_STR(printed, "");
}

int main(void)
{
    test_lines();
    test_registers();
    test_interrupt();
    test_loopback();
    return check_done("uart");
}
