/*
 * The devices of a VM and how they are wired to it: lines to the PIC, output
 * to the console, the test port to the walker. The devices know none of this.
 */
#include "kernel/clock.h"
#include "kernel/console.h"
#include "vmm/fetch.h"
#include "vmm/vcpu_events.h"
#include "vmm/vm.h"

#define UART_LINE_NUMBER 4
#define COM1  0x3f8
#define DEBUG 0xe9
#define CONSOLE_SHARE (256u << 10) /* bytes that a VM may print */
#define LINE_EXTRA    16           /* counted for the prefix and the line's end */

/* The VM's PIT clock; the ticks up to now are counted before a device looks. */
static u64 pit_now(void *opaque)
{
    struct vm *vm = opaque;
    u64 now = clock_now();

    vcpu_ticks(&vm->vcpu, now);
    vm->vcpu.attention = true; /* a tick may be due, or the rate be changed now */
    return vm_pit_ns(vm, now);
}

/* Each character costs the host far more than the guest: a guest that prints
 * without end would fill the disk and make a run last hours. */
static void print_line(void *opaque, const char *text, u32 n)
{
    struct vm *vm = opaque;

    if (vm->printed >= CONSOLE_SHARE)
        return;
    vm->printed += n + LINE_EXTRA;
    if (vm->printed >= CONSOLE_SHARE) {
        console_print("[%u %s] has printed %u KiB: no more of it is shown\n", vm->id, vm->name,
                      CONSOLE_SHARE >> 10);
        return;
    }
    console_print("[%u %s] ", vm->id, vm->name);
    console_write(text, n);
    console_write("\n", 1);
}

/* The PIC may have an interrupt for the vCPU now, or have one no more. */
static void pic_changed(void *opaque)
{
    struct vm *vm = opaque;

    vm->vcpu.attention = true;
}

static void uart_irq(void *opaque, bool high)
{
    struct vm *vm = opaque;

    pic_set_line(&vm->pic, UART_LINE_NUMBER, high);
}

/* The guest took its tick by polling: no acknowledge will come. */
static void polled(void *opaque, u8 line)
{
    struct vm *vm = opaque;

    if (line == TICK_LINE)
        vcpu_accept_tick(&vm->vcpu, clock_now());
}

static void reset(void *opaque)
{
    vm_end(opaque, END_RESET, 0, "asked for a reset of its machine");
}

static void port_exit(void *opaque, u64 code)
{
    vm_end(opaque, END_EXITED, code, "exited with code %lu", code);
}

static void port_yield(void *opaque)
{
    struct vm *vm = opaque;

    vm->vcpu.yield = vm->vcpu.attention = true;
}

/* A walk as the processor would make it, on the guest's request. */
static u64 port_walk(void *opaque, u64 address, u64 access)
{
    struct vm *vm = opaque;
    struct guest_paging paging = vcpu_paging(&vm->vcpu);
    struct walk w;

    enum walk_fault f =
        vm->shadow.active ? walk_shadow(&vm->vcpu, &paging, gva(address), access & 7, &w)
                          : walk_2d(vm->nested.root, &paging, gva(address), access & 7, &w);
    walk_trace(vm->id, 0, &w, &paging, vm->shadow.active ? WALK_SHADOW : WALK_NESTED,
               CAUSE_REQUEST);
    return f == FAULT_NONE ? w.gpa.v : ~0ull;
}

/* Which of the 32 pages from there on have been used since it was last asked. */
static u64 port_harvest(void *opaque, u64 at)
{
    struct vm *vm = opaque;
    u64 last = (1ull << NESTED_GPA_BITS) - NESTED_HARVEST * PAGE_SIZE;

    if (at % PAGE_SIZE || at > last)
        return ~0ull;
    u64 used = nested_harvest(&vm->nested, gpa(at));
    if (used)
        hv->flush(&vm->vcpu, HV_FLUSH_ALL, 0); /* or A and D are not set again */
    return used;
}

static const struct testport_ops port_ops = {
    .walk = port_walk, .harvest = port_harvest, .exit = port_exit, .yield = port_yield};

/* What the CMOS reports as memory: what begins at address 0. */
static u64 first_slot_end(const struct vm *vm)
{
    return vm->mem.slot[0].gpa.v == 0 ? vm->mem.slot[0].size : 0;
}

void vm_devices_init(struct vm *vm)
{
    pic_init(&vm->pic, vm->id);
    vm->pic.on_poll = polled;
    vm->pic.on_change = pic_changed;
    vm->pic.opaque = vm;
    pic_attach(&vm->pic, &vm->bus);
    vtimer_init(&vm->timer, vm->id, vm->args.ticks, vm->args.pit);
    pit_init(&vm->pit, &vm->timer, pit_now, vm);
    pit_attach(&vm->pit, &vm->bus);
    uart_init(&vm->uart, print_line, uart_irq, vm);
    uart_attach(&vm->uart, &vm->bus, COM1);
    uart_attach_debug(&vm->uart, &vm->bus, DEBUG);
    cmos_init(&vm->cmos, first_slot_end(vm), pit_now, vm);
    cmos_attach(&vm->cmos, &vm->bus);
    kbd_init(&vm->kbd, reset, vm);
    kbd_attach(&vm->kbd, &vm->bus);
    testport_init(&vm->port, vm->id, vm->generation, vm->nonce, vm->seed, &port_ops, vm);
    testport_attach(&vm->port, &vm->bus);
}
