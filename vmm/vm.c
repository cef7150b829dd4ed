/*
 * Making a VM and giving everything back. All its frames have one of two
 * owners, its memory and its tables, so a leak is a number.
 */
#include "vmm/vm.h"
#include "kernel/clock.h"
#include "kernel/console.h"
#include "kernel/format.h"
#include "kernel/frame.h"
#include "kernel/mem.h"
#include "vmm/boot/multiboot.h"
#include "vmm/mix.h"
#include "vmm/vcpu_events.h"

/* Read-only memory is of use only with something in it: in each eight bytes a
 * function that returns a number, see formats.md section 4. */
static void fill_rom(const struct vm *vm, hpa_t at, gpa_t from, u64 size)
{
    u64 *word = hpa_ptr(at), seed = mix(vm->seed, vm->id, vm->generation);

    for (u64 i = 0; i < size / sizeof(*word); i++) {
        u64 number = (u32)mix(seed, from.v + i * sizeof(*word), 0);
        word[i] = 0x9090c300000000b8ull | number << 8; /* mov $number, %eax; ret; nop; nop */
    }
}

static int make_memory(struct vm *vm, char *why, size_t why_size)
{
    for (u32 i = 0; i < vm->args.slots; i++) {
        u64 size = vm->args.slot[i].size;
        hpa_t at = frames_alloc(size / PAGE_SIZE, PAGE_SIZE, OWNER_VM_RAM + vm->id);
        if (!at.v) {
            format(why, why_size, "the host has no %lu KiB of memory in one piece", size >> 10);
            return -ENOMEM;
        }
        memset(hpa_ptr(at), 0, size);
        u8 access = vm->args.slot[i].access;
        if (!(access & ACCESS_WRITE))
            fill_rom(vm, at, vm->args.slot[i].gpa, size);
        guestmem_add_as(&vm->mem, vm->args.slot[i].gpa, size, at, access);
        TRACE(vm_slot, vm->id, 0, .gpa = vm->args.slot[i].gpa.v, .size = size, .hpa = at.v,
              .access = access);
    }
    return 0;
}

static int load(struct vm *vm, struct boot_state *boot, char *why, size_t why_size)
{
    bool raw = vm->args.boot == BOOT_RAW ||
               (vm->args.boot == BOOT_AUTO && !multiboot_recognise(vm->image, vm->image_size));

    if (raw)
        return raw_load(&vm->mem, vm->image, vm->image_size, boot, why, why_size);
    return multiboot_load(&vm->mem, vm->image, vm->image_size, vm->args.cmdline, boot, why,
                          why_size);
}

static int build(struct vm *vm, char *why, size_t why_size)
{
    struct boot_state boot;
    int err = make_memory(vm, why, why_size);

    if (!err)
        err = load(vm, &boot, why, why_size);
    if (err)
        return err;
    if (shadow_init(vm) != 0) {
        format(why, why_size, "the host has no memory for %lu shadow pages", vm->args.shadowpages);
        return -ENOMEM;
    }
    if (vcpu_init(&vm->vcpu, vm, 0) != 0) {
        format(why, why_size, "the host has no memory for its control block");
        return -ENOMEM;
    }
    TRACE(vcpu_create, vm->id, 0, .vcpu = 0);
    vm_devices_init(vm);
    vm->vcpu.breaks = vm->args.breaks[0] ? vm->args.breaks : NULL;
    vcpu_reset(&vm->vcpu, &boot);
    return 0;
}

static u64 memory_asked(const struct vm_args *args)
{
    u64 sum = 0;

    for (u32 i = 0; i < args->slots; i++)
        sum += args->slot[i].size;
    return sum;
}

int vm_create(struct vm *vm, char *why, size_t why_size)
{
    vm->mem = (struct guestmem){0};
    vm->bus = (struct bus){0}; /* now: it is large, and the VM's clock starts soon */
    vm->shadow = (struct shadow){0};
    vm->how = END_EXITED;
    vm->code = 0;
    vm->heard_at = 0;
    vm->heard = 0;
    if (nested_init(&vm->nested, vm->id) != 0) {
        format(why, why_size, "the host has no memory for its tables");
        return -ENOMEM;
    }
    vclock_init(&vm->clock, clock_now());
    TRACE_TEXT(vm_create, vm->id, 0, vm->label, .memory = memory_asked(&vm->args),
               .generation = vm->generation, .root = vm->nested.root.v);
    int err = build(vm, why, why_size);
    vm->alive = err == 0;
    if (err) {
        TRACE_TEXT(vm_end, vm->id, 0, why, .how = END_KILLED, .code = 0, .rip = 0);
        vm_destroy(vm);
    }
    return err;
}

void vm_destroy(struct vm *vm)
{
    owner_t ram = OWNER_VM_RAM + vm->id, tables = OWNER_VM_TABLE + vm->id;
    u64 free = frames_owned(OWNER_FREE);

    nested_fini(&vm->nested);
    shadow_fini(vm);
    if (vm->vcpu.vm)
        vcpu_fini(&vm->vcpu);
    vm->vcpu.vm = NULL;
    for (u32 i = 0; i < vm->mem.slots; i++)
        frames_free(vm->mem.slot[i].hpa, vm->mem.slot[i].size / PAGE_SIZE, ram);
    vm->mem = (struct guestmem){0};
    u64 freed = frames_owned(OWNER_FREE) - free;
    TRACE(vm_destroy, vm->id, 0, .freed = freed,
          .leaked = frames_owned(ram) + frames_owned(tables), .free = free + freed);
}

void vm_end(struct vm *vm, enum vm_end_how how, u64 code, const char *fmt, ...)
{
    char why[200];
    va_list args;

    if (!vm->alive)
        return;
    va_start(args, fmt);
    vformat(why, sizeof(why), fmt, args);
    va_end(args);
    uart_flush(&vm->uart);
    vm->alive = false;
    vm->vcpu.attention = true;
    vm->how = how;
    vm->code = code;
    TRACE_TEXT(vm_end, vm->id, 0, why, .how = how, .code = code, .rip = vm->vcpu.rip);
    if (!vm->quiet)
        console_print("[%u %s] ended: %s\n", vm->id, vm->name, why);
}
