/*
 * The emulator tests' guest. An access outside the window, to an absent page
 * or, when writing, to a read-only page, is a page fault of the user's kind.
 */
#include <string.h>
#include "vmm/tests/emu_guest.h"

static int page_fault(struct emu_fault *fault, u64 linear, bool present, bool write)
{
    *fault = (struct emu_fault){.vector = 14,
                                .has_error = true,
                                .error = (present ? 1u : 0u) | (write ? 2u : 0u),
                                .cr2 = linear};
    return -EFAULT;
}

static int guest_check(void *opaque, u64 linear, u32 n, u8 access, struct emu_fault *fault)
{
    struct emu_guest *g = opaque;
    u64 page = (linear - g->base) / PAGE_SIZE;
    bool write = access & ACCESS_WRITE;

    if ((linear & PAGE_MASK) + n > PAGE_SIZE || !n)
        g->crossed = true;
    if (linear < g->base || page >= GUEST_PAGES || g->absent[page])
        return page_fault(fault, linear, false, write);
    if (write && g->read_only[page])
        return page_fault(fault, linear, true, write);
    return 0;
}

static int guest_read(void *opaque, u64 linear, void *to, u32 n, struct emu_fault *fault)
{
    struct emu_guest *g = opaque;

    g->reads++;
    if (guest_check(g, linear, n, 0, fault) != 0)
        return -EFAULT;
    memcpy(to, g->bytes + (linear - g->base), n);
    return 0;
}

static int guest_write(void *opaque, u64 linear, const void *from, u32 n, struct emu_fault *fault)
{
    struct emu_guest *g = opaque;

    g->writes++;
    if (guest_check(g, linear, n, ACCESS_WRITE, fault) != 0)
        return -EFAULT;
    memcpy(g->bytes + (linear - g->base), from, n);
    return 0;
}

static void guest_seg(void *opaque, enum hv_seg s, struct seg *out)
{
    struct emu_guest *g = opaque;

    *out = g->seg[s];
}

static void note_port(struct emu_guest *g, u16 port, u8 size, bool in, u32 value)
{
    u32 i = g->ports++ % GUEST_PORTS;

    g->port[i].port = port;
    g->port[i].size = size;
    g->port[i].in = in;
    g->port[i].value = value;
}

static u32 guest_in(void *opaque, u16 port, u8 size)
{
    struct emu_guest *g = opaque;
    u32 value = g->next_input;

    g->next_input += 0x01010101;
    note_port(g, port, size, true, value);
    return value;
}

static void guest_out(void *opaque, u16 port, u8 size, u32 value)
{
    note_port(opaque, port, size, false, value);
}

void emu_guest_init(struct emu_guest *g, u8 mode, u64 base)
{
    memset(g, 0, sizeof(*g));
    g->base = base;
    g->rflags = 2;
    g->next_input = 0x44332211;
    for (u32 i = 0; i < ARRAY_SIZE(g->seg); i++)
        g->seg[i] = (struct seg){.selector = 8,
                                 .attr = SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_DB | 3,
                                 .limit = mode == 2 ? 0xffff : 0xffffffff};
    g->seg[SEG_CS].attr |= 8;
    if (mode == 2)
        g->seg[SEG_SS].attr &= (u16)~SEG_ATTR_DB;
    g->ctx = (struct emu_ctx){.opaque = g,
                              .gpr = g->gpr,
                              .rflags = &g->rflags,
                              .mode = mode,
                              .protected_mode = mode != 2,
                              .seg = guest_seg,
                              .check = guest_check,
                              .read = guest_read,
                              .write = guest_write,
                              .port_in = guest_in,
                              .port_out = guest_out};
}

int emu_guest_run(struct emu_guest *g, const u8 *code, u32 n, struct emu_fault *fault)
{
    struct insn in;

    memset(fault, 0, sizeof(*fault));
    if (insn_decode(code, n, g->ctx.mode, &in) != 0)
        return 1;
    return emulate_insn(&g->ctx, &in, fault);
}
