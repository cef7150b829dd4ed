/*
 * Classes port and string: every size of port access, on devices that are
 * there, on ports nobody answers; and INS/OUTS with every prefix that matters,
 * from and to memory that is there, ends, is read-only, or is no memory at all.
 */
#include "guests/hostile/hostile.h"

#define COM1            0x3f8
#define LAST_PIC_OR_PIT 0xa2

static const u16 device_ports[] = {
    0x20, 0x21, 0xa0,  0xa1,  0x40,  0x41,  0x42,  0x43,  0x60,  0x61,  0x64,  0x70,  0x71,  0x92,
    0x80, 0xed, 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0x4d0, 0xcf8, 0xcfc,
};

/* Any port but the test port's: that is a class of its own. */
static u16 random_port(void)
{
    if (!one_in(3))
        return device_ports[random_below(ARRAY_SIZE(device_ports))];
    for (;;) {
        u16 port = (u16)random_u64();
        if (port < TESTPORT_BASE - 4 || port >= TESTPORT_BASE + 64)
            return port;
    }
}

/* Little goes to the console: it is for people. */
static u16 random_output_port(void)
{
    u16 port = random_port();
    return port + 3 >= COM1 && port <= COM1 && !one_in(64) ? 0x80 : port;
}

void action_port(void)
{
    u64 v = random_u64();
    bool write = v >> 40 & 1;
    u16 port = write ? random_output_port() : random_port();
    hostile.ports_dirty = true;
    switch (v >> 41 & 3) {
    case 0:
        write ? outb(port, (u8)v) : (void)inb(port);
        break;
    case 1:
        write ? outw(port, (u16)v) : (void)inw(port);
        break;
    case 2:
        write ? outl(port, (u32)v) : (void)inl(port);
        break;
    default: /* as a driver would: a few bytes to one device */
        for (u32 n = 1 + random_below(4); n; n--)
            outb(random_output_port(), (u8)random_u64());
    }
}

/* Where a string access begins. */
static u64 string_address(u32 bytes)
{
    switch (random_below(8)) {
    case 0: /* runs off the end of what is mapped */
        return EDGE_VA(EDGE_UNMAPPED) + PAGE_SIZE - random_below(bytes + 1);
    case 1: /* over two pages that are no neighbours */
        return EDGE_VA(EDGE_MEMORY) + PAGE_SIZE - random_below(bytes + 1);
    case 2: /* into memory that is not there */
        return EDGE_VA(EDGE_OUTSIDE) + PAGE_SIZE - random_below(bytes + 1);
    case 3: /* into a page that must not be written */
        return EDGE_VA(EDGE_READONLY) + PAGE_SIZE - random_below(bytes + 1);
    case 4: /* memory that is not there: the last of a window */
        return OUTSIDE_VA(OUTSIDE_WINDOWS) - 1 - random_below(4096);
    case 5:
        return one_in(4) ? random_any() : 0x7ffffffffff8ull;
    default:
        return SCRATCH_VA + random_below((u32)(SCRATCH_PAGES * PAGE_SIZE));
    }
}

/* [prefixes] opcode ud2, at the start of the scratch pages. */
static u64 string_code(void)
{
    static const u8 prefixes[] = {0x64, 0x65, 0x2e, 0x36, 0x26, 0x67, 0x66};
    u8 *code = scratch();
    u32 n = 0;
    while (one_in(2) && n < 4)
        code[n++] = prefixes[random_below(ARRAY_SIZE(prefixes))];
    if (!one_in(3))
        code[n++] = one_in(4) ? 0xf2 : 0xf3;
    code[n++] = (u8)(0x6c + random_below(4)); /* INSB INSD OUTSB OUTSD */
    code[n++] = 0x0f;
    code[n] = 0x0b;
    return SCRATCH_VA;
}

/* Mostly few, so that much else is done; sometimes more than there is memory. */
static u64 random_count(void)
{
    if (one_in(500))
        return random_any();
    return one_in(32) ? random_below(300) : random_below(16);
}

void action_string(void)
{
    u64 count = random_count();
    u64 code = string_code();
    bool down = one_in(4);
    u16 port = random_output_port();
    random_registers();
    hostile_regs[1] = count;                                             /* RCX */
    hostile_regs[2] = port;                                              /* RDX */
    hostile_regs[6] = hostile_regs[7] = string_address(1 + count % 512); /* RSI, RDI */
    recover_arm();
    hostile.ports_dirty = port < LAST_PIC_OR_PIT; /* by what comes now */
    hostile_run(code, RFLAGS_IF | (down ? RFLAGS_DF : 0));
}
