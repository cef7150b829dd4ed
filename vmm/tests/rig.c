/*
 * The rig; see rig.h.
 */
#include <string.h>
#include "kernel/clock.h"
#include "kernel/frame.h"
#include "vmm/cpubits.h"
#include "vmm/exit.h"
#include "vmm/tests/check.h"
#include "vmm/tests/host.h"
#include "vmm/tests/host_cpu.h"
#include "vmm/tests/rig.h"

int rig_create(struct vm *vm, u16 id, const char *args, char *why, size_t why_size)
{
    static const u8 image[] = {0xf4}; /* HLT */

    *vm = (struct vm){.id = id, .name = "rig", .label = "rig", .image = image,
                      .image_size = sizeof(image), .nonce = 0x1234, .seed = 7};
    int err = vmargs_parse(args, MMU_NESTED, &vm->args, why, why_size);
    return err ? err : vm_create(vm, why, why_size);
}

void rig_begin(struct vm *vm, const char *args)
{
    char text[512] = "boot=raw ", why[200] = "";

    if (!strstr(args, "mem="))
        strcat(text, "mem=1M ");
    strncat(text, args, sizeof(text) - strlen(text) - 1);
    host_trace_start();
    host_console_clear();
    fake_forget();
    clock_test_ns = 0;
    host_timer_at = ~0ull;
    CHECK_EQ(rig_create(vm, 1, text, why, sizeof(why)), 0);
    CHECK_STR(why, "");
    vm->vcpu.state = VCPU_RUNNING;
    vm->vcpu.loaded = true;
}

void rig_end(struct vm *vm)
{
    vm->alive = false;
    vm->vcpu.loaded = false;
    vm_destroy(vm);
    CHECK_EQ(frames_owned(OWNER_VM_RAM + vm->id), 0);
    CHECK_EQ(frames_owned(OWNER_VM_TABLE + vm->id), 0);
}

/* --- Modes ---------------------------------------------------------------------- */

static void *guest(struct vm *vm, u64 at)
{
    return guestmem_ptr(&vm->mem, gpa(at), NULL);
}

static void map_low_memory(struct vm *vm)
{
    u64 *table[4];

    for (u32 i = 0; i < 4; i++)
        table[i] = guest(vm, RIG_ROOT + i * PAGE_SIZE);
    for (u32 i = 0; i < 3; i++)
        table[i][0] = (RIG_ROOT + (i + 1) * PAGE_SIZE) | PTE_P | PTE_W | PTE_U;
    for (u64 i = 0; i < 512; i++)
        table[3][i] = i * PAGE_SIZE | PTE_P | PTE_W | PTE_U;
}

static void set_registers(struct vcpu *v, u64 cr0, u64 cr3, u64 cr4, u64 efer)
{
    hv_set(v, HV_CR0, cr0 | CR0_ET);
    hv_set(v, HV_CR3, cr3);
    hv_set(v, HV_CR4, cr4);
    hv_set(v, HV_EFER, efer);
}

void rig_mode(struct vm *vm, enum rig_mode mode)
{
    static const u16 code_attr[] = {0x09b, 0xc9b, 0xa9b};
    struct vcpu *v = &vm->vcpu;
    u32 limit = mode == RIG_REAL ? 0xffff : 0xffffffff;
    struct seg cs = {8, code_attr[mode], limit, 0}, data = {0x10, 0xc93, limit, 0};

    for (u32 s = SEG_ES; s <= SEG_GS; s++)
        hv_set_seg(v, s, s == SEG_CS ? &cs : &data);
    if (mode == RIG_REAL) {
        set_registers(v, 0, 0, 0, 0);
    } else if (mode == RIG_FLAT32) {
        set_registers(v, CR0_PE, 0, 0, 0);
    } else {
        map_low_memory(vm);
        set_registers(v, CR0_PE | CR0_PG | CR0_WP, RIG_ROOT, CR4_PAE, EFER_LME | EFER_LMA);
    }
    v->rip = RIG_CODE;
    fake_forget();
}

void rig_code(struct vm *vm, const void *code, u32 n)
{
    CHECK_EQ(guestmem_write(&vm->mem, gpa(vm->vcpu.rip), code, n), 0);
}

/* --- Exits ------------------------------------------------------------------------- */

void rig_exit(struct vm *vm, enum exit_reason reason, struct exit x)
{
    x.reason = reason;
    x.rip = vm->vcpu.rip;
    exit_handle(&vm->vcpu, &x);
}

u32 rig_in(struct vm *vm, u16 port, u8 size)
{
    struct vcpu *v = &vm->vcpu;

    rig_exit(vm, EXIT_IO, (struct exit){.next_rip = v->rip + 1,
                                        .io = {.port = port, .size = size, .in = true}});
    return (u32)v->gpr[GPR_RAX];
}

void rig_out(struct vm *vm, u16 port, u8 size, u32 value)
{
    struct vcpu *v = &vm->vcpu;

    v->gpr[GPR_RAX] = value;
    rig_exit(vm, EXIT_IO,
             (struct exit){.next_rip = v->rip + 1, .io = {.port = port, .size = size}});
}

/* --- What became of it ---------------------------------------------------------------- */

const char *rig_why(const struct vm *vm)
{
    static char text[256];
    const struct trace_record *r = NULL, *end = NULL;
    const u32 fields = sizeof(struct trace_vm_end) / 8;

    text[0] = 0;
    while ((r = host_trace_find(EVENT_vm_end, r)))
        end = r;
    if (vm->alive || !end)
        return text;
    size_t n = min_u64((host_record_words(end) - fields) * 8, sizeof(text) - 1);
    memcpy(text, end->payload + fields, n);
    text[n] = 0;
    return text;
}

bool rig_raised(const struct vm *vm, u8 vector, s64 error)
{
    const struct event *e = &vm->vcpu.inject;

    return vm->alive && e->valid && e->type == EV_EXCEPTION && e->vector == vector &&
           e->has_error == (error >= 0) && (error < 0 || e->error == (u32)error);
}

void rig_fault(struct vm *vm, u64 gva, u32 error)
{
    vm->vcpu.inject.valid = false;
    vm->vcpu.attention = true; /* what is the guest's waits in inject */
    rig_exit(vm, EXIT_EXCEPTION,
             (struct exit){.exc = {.vector = 14, .error = error, .addr = gva}});
}

bool rig_hidden(struct vm *vm, u64 gva, u32 error)
{
    rig_fault(vm, gva, error);
    return vm->alive && !vm->vcpu.inject.valid;
}

u64 rig_leaf(struct vm *vm, u64 gva, int top)
{
    u64 table = vm->vcpu.ctl.shadow_root.v;

    for (int shift = top; shift >= 12; shift -= 9) {
        u64 entry = ((u64 *)table)[gva >> shift & 511];
        if (!(entry & PTE_P) || shift == 12)
            return entry & PTE_P ? entry : 0;
        table = entry & PTE_ADDR;
    }
    return 0;
}

u64 rig_host(struct vm *vm, u64 at)
{
    return ptr_hpa(guestmem_ptr(&vm->mem, gpa(at), NULL)).v;
}
