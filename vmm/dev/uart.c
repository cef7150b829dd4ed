/*
 * The virtual serial port: registers of a 16550A, and the line that a guest's
 * characters are collected in. What leaves it is one whole line at a time, so
 * the output of several guests does not mix. Source: PC16550D data sheet.
 */
#include "vmm/dev/uart.h"

#include "kernel/panic.h"

enum { RBR_THR, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR, REGISTERS };

#define IER_RECEIVED 0x01
#define IER_THRE     0x02
#define IER_MASK     0x0f
#define IIR_NONE     0x01
#define IIR_THRE     0x02
#define IIR_RECEIVED 0x04
#define IIR_FIFOS    0xc0
#define FCR_ENABLE   0x01
#define LCR_DLAB     0x80
#define MCR_OUT2     0x08 /* on a PC: connects the interrupt */
#define MCR_LOOP     0x10
#define MCR_MASK     0x1f
#define LSR_READY    0x01
#define LSR_EMPTY    0x60 /* holding and shift register */
#define MSR_PRESENT  0xb0 /* carrier, DSR, CTS */

/* --- The line ------------------------------------------------------------------ */

void uart_flush(struct uart *u)
{
    if (u->length)
        u->print(u->opaque, u->line, u->length);
    u->length = 0;
}

static void end_line(struct uart *u)
{
    u->print(u->opaque, u->line, u->length);
    u->length = 0;
}

static void put_char(struct uart *u, char c)
{
    bool control = (u8)c < 0x20 || c == 0x7f;

    if (c == '\n') {
        end_line(u);
        return;
    }
    if (c == '\r')
        return;
    if (u->length == UART_LINE)
        end_line(u);
    u->line[u->length++] = control && c != '\t' ? '.' : c;
}

/* --- Interrupts ------------------------------------------------------------------ */

static bool receive_interrupt(const struct uart *u)
{
    return u->received && u->ier & IER_RECEIVED;
}

static bool thre_interrupt(const struct uart *u)
{
    return u->thre_pending && u->ier & IER_THRE;
}

static void update_irq(struct uart *u)
{
    bool connected = u->mcr & MCR_OUT2 && !(u->mcr & MCR_LOOP);

    u->irq(u->opaque, connected && (receive_interrupt(u) || thre_interrupt(u)));
}

/* Reading which interrupt it is ends the transmitter's. */
static u8 read_iir(struct uart *u)
{
    u8 fifos = u->fcr & FCR_ENABLE ? IIR_FIFOS : 0;

    if (receive_interrupt(u))
        return fifos | IIR_RECEIVED;
    if (!thre_interrupt(u))
        return fifos | IIR_NONE;
    u->thre_pending = false;
    return fifos | IIR_THRE;
}

/* --- Registers ------------------------------------------------------------------- */

static void send(struct uart *u, u8 value)
{
    if (u->mcr & MCR_LOOP) {
        u->rbr = value;
        u->received = true;
    } else {
        put_char(u, (char)value);
    }
    u->thre_pending = true; /* empty again at once */
}

/* In loopback the modem outputs come back as its inputs. */
static u8 modem_status(const struct uart *u)
{
    u8 m = u->mcr;

    if (!(m & MCR_LOOP))
        return MSR_PRESENT;
    return (u8)((m & 0x0c) << 4 | (m & 0x01) << 5 | (m & 0x02) << 3);
}

static u8 read_register(struct uart *u, u16 reg)
{
    bool dlab = u->lcr & LCR_DLAB;

    switch (reg) {
    case RBR_THR:
        if (!dlab)
            u->received = false;
        return dlab ? u->dll : u->rbr;
    case IER:
        return dlab ? u->dlm : u->ier;
    case IIR_FCR:
        return read_iir(u);
    case LCR:
        return u->lcr;
    case MCR:
        return u->mcr;
    case LSR:
        return LSR_EMPTY | (u->received ? LSR_READY : 0);
    case MSR:
        return modem_status(u);
    default:
        return u->scr;
    }
}

static void write_low(struct uart *u, u8 value)
{
    if (u->lcr & LCR_DLAB)
        u->dll = value;
    else
        send(u, value);
}

/* Allowing the transmitter's interrupt raises it: the transmitter is empty. */
static void write_ier(struct uart *u, u8 value)
{
    if (u->lcr & LCR_DLAB) {
        u->dlm = value;
        return;
    }
    if (value & ~u->ier & IER_THRE)
        u->thre_pending = true;
    u->ier = value & IER_MASK;
}

static void write_register(struct uart *u, u16 reg, u8 value)
{
    switch (reg) {
    case RBR_THR:
        write_low(u, value);
        break;
    case IER:
        write_ier(u, value);
        break;
    case IIR_FCR:
        u->fcr = value;
        break;
    case LCR:
        u->lcr = value;
        break;
    case MCR:
        u->mcr = value & MCR_MASK;
        break;
    case SCR:
        u->scr = value;
        break;
    default: /* LSR and MSR cannot be written */
        break;
    }
}

/* --- The chip on the bus ----------------------------------------------------------- */

/* Ports are multiples of the number of registers. */
static u32 uart_in(void *device, u16 port, u8 size)
{
    struct uart *u = device;
    u8 value = read_register(u, port % REGISTERS);
    (void)size;

    update_irq(u);
    return value;
}

static void uart_out(void *device, u16 port, u8 size, u32 value)
{
    struct uart *u = device;
    (void)size;

    write_register(u, port % REGISTERS, (u8)value);
    update_irq(u);
}

static u32 debug_in(void *device, u16 port, u8 size)
{
    (void)device, (void)size;

    return port; /* how Bochs and QEMU show that it is there */
}

static void debug_out(void *device, u16 port, u8 size, u32 value)
{
    (void)port, (void)size;

    put_char(device, (char)value);
}

void uart_init(struct uart *u, void (*print)(void *, const char *, u32), void (*irq)(void *, bool),
               void *opaque)
{
    *u = (struct uart){.dll = 1, .lcr = 3, .print = print, .irq = irq, .opaque = opaque};
}

void uart_attach(struct uart *u, struct bus *bus, u16 port)
{
    const struct bus_device d = {"uart",   port, (u16)(port + REGISTERS - 1), 1, uart_in,
                                 uart_out, u};

    ASSERT(port % REGISTERS == 0);
    ASSERT(bus_add(bus, &d) == 0);
}

void uart_attach_debug(struct uart *u, struct bus *bus, u16 port)
{
    const struct bus_device d = {"debug", port, port, 1, debug_in, debug_out, u};

    ASSERT(bus_add(bus, &d) == 0);
}
