/*
 * vm.c and vm_devices.c: a VM's memory, registers and devices as its guest
 * finds them at its start, and that all of it is given back: after failures of
 * each allocation, and a thousand times in a row.
 */
#include <string.h>
#include "kernel/clock.h"
#include "kernel/frame.h"
#include "vmm/tests/check.h"
#include "vmm/tests/host.h"
#include "vmm/tests/host_cpu.h"
#include "vmm/tests/rig.h"

static struct vm vm;
static struct vcpu *const v = &vm.vcpu;

/* --- At its start --------------------------------------------------------------------- */

static void check_segment(enum hv_seg s, u16 selector, u16 attr, u32 limit)
{
    struct seg seg;

    hv_get_seg(v, s, &seg);
    check_about("segment %u", s);
    CHECK_EQ(seg.selector, selector);
    CHECK_EQ(seg.attr, attr);
    CHECK_EQ(seg.limit, limit);
    CHECK_EQ(seg.base, 0);
}

static void test_real_mode(void)
{
    rig_begin(&vm, "");
    check_about("a raw image");
    CHECK_EQ(v->rip, 0x7c00);
    CHECK_EQ(v->rflags, 2);
    CHECK_EQ(hv_get(v, HV_CR0), 0x10);
    CHECK_EQ(hv_get(v, HV_CR4) | hv_get(v, HV_CR3) | hv_get(v, HV_EFER), 0);
    CHECK_EQ(vcpu_mode(v), 2);
    CHECK_EQ(*(u8 *)guestmem_ptr(&vm.mem, gpa(0x7c00), NULL), 0xf4);
    CHECK_EQ(*(u8 *)guestmem_ptr(&vm.mem, gpa(0x7c01), NULL), 0);
    check_segment(SEG_CS, 0, 0x9b, 0xffff);
    check_segment(SEG_DS, 0, 0x93, 0xffff);
    check_segment(SEG_SS, 0, 0x93, 0xffff);
    CHECK_EQ(vm.mem.slots, 1);
    CHECK_EQ(vm.mem.slot[0].size, 1 << 20);
    CHECK_EQ(v->ctl.nested_root.v, vm.nested.root.v);
    CHECK(!v->inject.valid);
    rig_end(&vm);
}

/* A Multiboot kernel of 16 bytes by its address fields (3.1.3). */
static const u32 kernel[] = {0x1badb002, 1 << 16, 0u - 0x1badb002 - (1 << 16),
                             0x10000, 0x10000, 0x10030, 0, 0x10020, 0, 0, 0, 0};

static void test_multiboot(void)
{
    char why[200] = "";

    rig_begin(&vm, "");
    rig_end(&vm);
    check_about("a Multiboot kernel");
    vm = (struct vm){.id = 2, .name = "kernel", .image = kernel, .image_size = sizeof(kernel)};
    CHECK_EQ(vmargs_parse("mem=1M -- hello world", MMU_NESTED, &vm.args, why, sizeof(why)), 0);
    CHECK_EQ(vm_create(&vm, why, sizeof(why)), 0);
    CHECK_STR(why, "");
    CHECK_EQ(v->rip, 0x10020);
    CHECK_EQ(v->gpr[GPR_RAX], 0x2badb002);
    CHECK(guestmem_has(&vm.mem, gpa(v->gpr[GPR_RBX])));
    CHECK_EQ(hv_get(v, HV_CR0), 0x11);
    CHECK_EQ(vcpu_mode(v), 4);
    CHECK_EQ(v->rflags, 2); /* IF and VM clear */
    check_segment(SEG_CS, 8, 0xc9b, ~0u);
    check_segment(SEG_ES, 0x10, 0xc93, ~0u);
    check_segment(SEG_GS, 0x10, 0xc93, ~0u);
    check_segment(SEG_TR, 0, 0x8b, 0xffff);
    check_segment(SEG_LDTR, 0, 0x82, 0xffff);
    rig_end(&vm);
}

/* What each device answers first, by ports. */
static void test_devices(void)
{
    rig_begin(&vm, "");
    check_about("devices");
    CHECK_EQ(rig_in(&vm, TESTPORT_BASE, 4), TESTPORT_ID);
    CHECK_EQ(rig_in(&vm, 0x21, 1) & 0xff, 0xff);
    CHECK_EQ(rig_in(&vm, 0x3fd, 1) & 0xff, 0x60);
    CHECK_EQ(rig_in(&vm, 0x64, 1) & 1, 0);
    CHECK_EQ(rig_in(&vm, 0x1234, 2) & 0xffff, 0xffff);
    rig_out(&vm, 0x70, 1, 0x15); /* CMOS: 640 KiB below */
    CHECK_EQ(rig_in(&vm, 0x71, 1) & 0xff, 0x80);
    check_about("the upper parts of RAX");
    v->gpr[GPR_RAX] = 0x1122334455667788;
    rig_exit(&vm, EXIT_IO,
             (struct exit){.next_rip = v->rip + 2, .io = {.port = 0x21, .size = 1, .in = true}});
    CHECK_EQ(v->gpr[GPR_RAX], 0x11223344556677ff);
    rig_exit(&vm, EXIT_IO,
             (struct exit){.next_rip = v->rip + 2, .io = {.port = 0x1234, .size = 2, .in = true}});
    CHECK_EQ(v->gpr[GPR_RAX], 0x112233445566ffff);
    rig_exit(&vm, EXIT_IO,
             (struct exit){.next_rip = v->rip + 2, .io = {.port = 0x5e0, .size = 4, .in = true}});
    CHECK_EQ(v->gpr[GPR_RAX], TESTPORT_ID);
    check_about("the console");
    host_console_clear();
    rig_out(&vm, 0x3f8, 1, 'h');
    rig_out(&vm, 0xe9, 1, 'i');
    rig_out(&vm, 0x3f8, 1, '\n');
    CHECK_STR(host_console(), "[1 rig] hi\n");
    check_about("a guest that prints without end is heard no more");
    host_console_clear();
    vm.printed = (256 << 10) - 2 * 17;
    for (u32 i = 0; i < 4; i++) {
        rig_out(&vm, 0x3f8, 1, (u8)('a' + i));
        rig_out(&vm, 0x3f8, 1, '\n');
    }
    CHECK_STR(host_console(), "[1 rig] a\n[1 rig] has printed 256 KiB: no more of it is shown\n");
    vm.printed = 0;
    check_about("an unfinished line is shown at the end");
    host_console_clear();
    rig_out(&vm, 0x3f8, 1, '!');
    rig_out(&vm, 0x64, 1, 0xfe);
    CHECK_EQ(vm.how, END_RESET);
    CHECK_STR(host_console(), "[1 rig] !\n[1 rig] ended: asked for a reset of its machine\n");
    rig_end(&vm);
}

static void test_walk_request(void)
{
    rig_begin(&vm, "");
    check_about("a walk on request");
    rig_mode(&vm, RIG_LONG);
    rig_out(&vm, TESTPORT_BASE + 4, 4, 0x5000);
    rig_out(&vm, TESTPORT_BASE, 4, TESTPORT_WALK);
    CHECK_EQ(host_trace_count(EVENT_walk_begin), 1);
    CHECK_EQ(host_trace_count(EVENT_walk_end), 1);
    const struct trace_walk_begin *w =
        (const void *)host_trace_find(EVENT_walk_begin, NULL)->payload;
    CHECK_EQ(w->gva, 0x5000);
    CHECK_EQ(w->groot, RIG_ROOT);
    CHECK_EQ(w->nroot, vm.nested.root.v);
    CHECK_EQ(w->mode, PAGING_LONG4);
    CHECK_EQ(w->cause, CAUSE_REQUEST);
    check_about("nothing is mapped in the nested table: all ones");
    CHECK_EQ(rig_in(&vm, TESTPORT_BASE + 4, 4), ~0u);
    rig_end(&vm);
}

/* --- Its end ---------------------------------------------------------------------------- */

static void test_end_once(void)
{
    rig_begin(&vm, "");
    check_about("a VM ends once");
    vm_end(&vm, END_EXITED, 5, "exited with code %d", 5);
    vm_end(&vm, END_KILLED, 6, "killed");
    CHECK_EQ(vm.how, END_EXITED);
    CHECK_EQ(vm.code, 5);
    CHECK_EQ(host_trace_count(EVENT_vm_end), 1);
    CHECK_STR(rig_why(&vm), "exited with code 5");
    rig_end(&vm);
    rig_begin(&vm, "");
    check_about("one of many generations says nothing");
    host_console_clear();
    vm.quiet = true;
    vm_end(&vm, END_EXITED, 0, "exited");
    CHECK_STR(host_console(), "");
    CHECK_EQ(host_trace_count(EVENT_vm_end), 1);
    rig_end(&vm);
}

static const struct trace_vm_destroy *last_destroy(void)
{
    const struct trace_record *r = NULL, *last = NULL;

    while ((r = host_trace_find(EVENT_vm_destroy, r)))
        last = r;
    return last ? (const void *)last->payload : NULL;
}

/* Touch every page, so that nested tables are made, then give it back. */
static void live_and_die(u64 number)
{
    char why[200] = "";
    u64 free = host_frames_free();

    CHECK_EQ(rig_create(&vm, 1 + number % 15, "mem=256K,64K@1M boot=raw", why, sizeof(why)), 0);
    v->state = VCPU_RUNNING;
    for (u64 at = 0; at < 64; at++)
        rig_exit(&vm, EXIT_NESTED, (struct exit){.nested = {.gpa = gpa(at << 12)}});
    rig_exit(&vm, EXIT_NESTED, (struct exit){.nested = {.gpa = gpa(0x10f000)}});
    CHECK_EQ(vm.nested.mapped, 65);
    CHECK(vm.alive);
    u64 taken = free - host_frames_free();
    vm_end(&vm, END_EXITED, 0, "done");
    rig_end(&vm);
    CHECK_EQ(host_frames_free(), free);
    const struct trace_vm_destroy *d = last_destroy();
    CHECK_EQ(d->freed, taken);
    CHECK_EQ(d->leaked, 0);
    CHECK_EQ(d->free, free);
}

static void test_thousand(void)
{
    check_about("a thousand lives");
    for (u64 i = 0; i < 1000; i++) {
        host_trace_start();
        host_console_clear();
        live_and_die(i);
    }
}

/* Each allocation fails once: a sentence, no VM, no frame lost. */
static void test_no_memory(void)
{
    u64 free = host_frames_free();
    s64 allowed = 0;

    for (;; allowed++) {
        char why[200] = "";
        check_about("only %lld allocations", (long long)allowed);
        host_trace_start();
        host_frames_fail_after(allowed);
        int err = rig_create(&vm, 3, "mem=256K,64K@1M boot=raw", why, sizeof(why));
        host_frames_fail_after(-1);
        if (!err)
            break;
        CHECK_EQ(err, -ENOMEM);
        CHECK(strstr(why, "no memory") || strstr(why, "memory in one piece"));
        CHECK(!vm.alive);
        CHECK_EQ(host_frames_free(), free);
        CHECK(!last_destroy() || last_destroy()->leaked == 0);
    }
    CHECK_EQ(allowed, 4); /* the table, two slots, the control block */
    rig_end(&vm);
    check_about("more memory than there is");
    char why[200] = "";
    CHECK_EQ(rig_create(&vm, 3, "mem=1G boot=raw", why, sizeof(why)), -ENOMEM);
    CHECK_STR(why, "the host has no 1048576 KiB of memory in one piece");
    check_about("an image that cannot be loaded");
    CHECK_EQ(rig_create(&vm, 3, "mem=16K boot=raw", why, sizeof(why)), -EINVAL);
    CHECK_EQ(rig_create(&vm, 3, "mem=64K boot=multiboot", why, sizeof(why)), -EINVAL);
    CHECK(!vm.alive);
    CHECK_EQ(host_frames_free(), free);
}

int main(void)
{
    test_real_mode();
    test_multiboot();
    test_devices();
    test_walk_request();
    test_end_once();
    test_thousand();
    test_no_memory();
    return check_done("vm");
}
