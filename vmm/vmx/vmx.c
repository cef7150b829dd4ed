/*
 * The VMX backend: Intel's extension behind hv.h. It translates and decides
 * nothing. Registers are in vmx_regs.c, exits in vmx_exit.c, the reasons of a
 * refused entry in vmx_check.c. Source: Intel SDM vol. 3C (326019), chapters 23
 * to 31.
 */
#include "kernel/cpu.h"
#include "kernel/frame.h"
#include "kernel/lapic.h"
#include "kernel/mem.h"
#include "kernel/panic.h"
#include "vmm/cpubits.h"
#include "vmm/vmx/vmx.h"

#define CPUID_VMX    (1u << 5) /* 1 ECX */
#define MAX_VPID     0xffffu
#define INV_ADDRESS  0ull /* of INVVPID */
#define INV_CONTEXT  1ull /* of INVVPID and INVEPT */
#define DR6_RESET    0xffff0ff0ull
#define ERROR_CONTROLS 7 /* VM-instruction errors, 30.4 */
#define ERROR_HOST     8

/* A vCPU's frames: the VMCS, then struct vmx_vcpu. */
#define VMX_FRAMES 2
_Static_assert(sizeof(struct vmx_vcpu) <= PAGE_SIZE, "struct vmx_vcpu");

static u8 vmxon_region[PAGE_SIZE] __attribute__((aligned(4096)));
static struct vcpu *current; /* whose VMCS is */

/* --- On ------------------------------------------------------------------------ */

static int vmx_probe(struct hv_caps *caps)
{
    u32 r[4];

    cpuid(1, 0, r);
    if (!(r[2] & CPUID_VMX) || vmx_learn() != 0)
        return -ENOTSUP;
    *caps = (struct hv_caps){.name = "vmx",
                             .asids = MAX_VPID,
                             .nested = true,
                             .ept = true,
                             .next_rip = true,
                             .large_1g = vmx_caps.large_1g,
                             .task_exits = true,
                             .shutdown_exits = true};
    return 0;
}

/* CF or ZF: refused. */
static bool vmxon(hpa_t region)
{
    bool failed;

    __asm__ volatile("vmxon %1" : "=@ccbe"(failed) : "m"(region.v) : "memory");
    return !failed;
}

static int vmx_cpu_on(void)
{
    int err = vmx_allow();

    if (err)
        return err;
    memcpy(vmxon_region, &vmx_caps.revision, sizeof(vmx_caps.revision));
    write_cr0((read_cr0() | vmx_caps.cr0_ones) & vmx_caps.cr0_may);
    write_cr4((read_cr4() | CR4_VMXE | vmx_caps.cr4_ones) & vmx_caps.cr4_may);
    return vmxon(ptr_hpa(vmxon_region)) ? 0 : -ENOTSUP;
}

/* --- A vCPU ---------------------------------------------------------------------- */

void vmx_use(struct vcpu *v)
{
    if (__builtin_expect(current == v, 1))
        return;
    __asm__ volatile("vmptrld %0" : : "m"(vmx_of(v)->vmcs.v) : "cc", "memory");
    current = v;
}

/* Out of the processor: what it still holds goes to memory; not launched. */
static void clear(struct vcpu *v)
{
    __asm__ volatile("vmclear %0" : : "m"(vmx_of(v)->vmcs.v) : "cc", "memory");
    if (current == v)
        current = NULL;
}

u64 vmx_eptp(const struct vcpu *v)
{
    return v->ctl.nested_root.v | EPTP_WB | EPTP_LEVELS | (vmx_caps.ept_ad ? EPTP_AD : 0);
}

static void invvpid(u64 type, u16 vpid, u64 addr)
{
    struct {
        u64 vpid, addr;
    } what = {vpid, addr};

    __asm__ volatile("invvpid %0, %1" : : "m"(what), "r"(type) : "cc", "memory");
}

static void invept(u64 eptp)
{
    struct {
        u64 eptp, zero;
    } what = {eptp, 0};

    __asm__ volatile("invept %0, %1" : : "m"(what), "r"(INV_CONTEXT) : "cc", "memory");
}

/* The guest's own translations are tagged with its VPID; those through the
 * nested tables with their root. Who asks for all may have changed either. */
static void vmx_flush(struct vcpu *v, enum hv_flush kind, u64 addr)
{
    bool all = kind == HV_FLUSH_ALL;

    invvpid(all ? INV_CONTEXT : INV_ADDRESS, v->vm_id, addr);
    TRACE(flush, v->vm_id, v->id, .kind = all ? FLUSH_ALL : FLUSH_ADDRESS, .addr = addr);
    if (!all || v->ctl.shadow_root.v)
        return;
    invept(vmx_eptp(v));
    TRACE(flush, v->vm_id, v->id, .kind = FLUSH_ROOT, .addr = v->ctl.nested_root.v);
}

/* VPID and root were perhaps another VM's before: nothing of it may be left. */
static int vmx_vcpu_init(struct vcpu *v)
{
    hpa_t frames = frames_alloc(VMX_FRAMES, PAGE_SIZE, OWNER_VM_TABLE + v->vm_id);

    if (!frames.v)
        return -ENOMEM;
    memset(hpa_ptr(frames), 0, VMX_FRAMES * PAGE_SIZE);
    memcpy(hpa_ptr(frames), &vmx_caps.revision, sizeof(vmx_caps.revision));
    v->backend = hpa_ptr(hpa(frames.v + PAGE_SIZE));
    vmx_of(v)->vmcs = frames;
    vmx_of(v)->dr6 = DR6_RESET;
    if (cpu_is_bochs())
        vmx_of(v)->watched_if = vmx_of(v)->seen_if = RFLAGS_IF;
    clear(v);
    vmx_use(v);
    vmx_setup(v);
    vmx_configure(v);
    vmx_flush(v, HV_FLUSH_ALL, 0);
    return 0;
}

static void vmx_vcpu_fini(struct vcpu *v)
{
    if (!v->backend)
        return;
    clear(v);
    frames_free(vmx_of(v)->vmcs, VMX_FRAMES, OWNER_VM_TABLE + v->vm_id);
    v->backend = NULL;
}

static const u32 own_msr[OWN_MSRS] = {0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102};

void vmx_load(struct vcpu *v)
{
    const struct vmx_vcpu *s = vmx_of(v);

    vmx_use(v);
    for (u32 i = 0; i < OWN_MSRS; i++)
        wrmsr(own_msr[i], s->own[i]);
    write_cr2(s->cr2);
    __asm__ volatile("movq %0, %%dr6" : : "r"(s->dr6));
}

void vmx_save(struct vcpu *v)
{
    struct vmx_vcpu *s = vmx_of(v);

    for (u32 i = 0; i < OWN_MSRS; i++)
        s->own[i] = rdmsr(own_msr[i]);
    s->cr2 = read_cr2();
    __asm__ volatile("movq %%dr6, %0" : "=r"(s->dr6));
}

/* --- Entering -------------------------------------------------------------------- */

static inline void put_registers(const struct vcpu *v, const struct vmx_vcpu *s)
{
    vmcs_write(VMCS_GUEST_RSP, v->gpr[GPR_RSP]);
    vmcs_write(VMCS_GUEST_RIP, v->rip);
    vmcs_write(VMCS_GUEST_RFLAGS, v->rflags);
    if (__builtin_expect(v->shadow != s->shadow, 0))
        vmcs_write(VMCS_GUEST_BLOCKING, (s->blocking & BLOCKING_NMI) | v->shadow);
}

static inline void take_registers(struct vcpu *v, struct vmx_vcpu *s)
{
    v->gpr[GPR_RSP] = vmcs_read(VMCS_GUEST_RSP);
    v->rip = vmcs_read(VMCS_GUEST_RIP);
    v->rflags = vmcs_read(VMCS_GUEST_RFLAGS);
    s->blocking = (u8)vmcs_read(VMCS_GUEST_BLOCKING);
    v->shadow = s->shadow = s->blocking & (BLOCKING_STI | BLOCKING_MOV_SS);
}

/* Bochs 2.7 overlooks device interrupts in a guest that has been entered with IF
 * clear, until IF changes. So such a guest is left after VMX_POLL_TICKS by the
 * preemption timer, and before each entry the host looks itself: see overlooked(). */
static __attribute__((noinline)) void poll(struct vmx_vcpu *s, u64 rflags)
{
    s->seen_if = rflags & RFLAGS_IF;
    s->polls = !s->seen_if;
    vmcs_write(VMCS_PIN_CONTROLS, vmx_caps.control[CONTROL_PIN] | (s->polls ? PIN_TIMER : 0));
}

static inline bool overlooked(const struct vmx_vcpu *s)
{
    cpu_take_interrupts();
    return timer_fired() && !s->injected; /* an event goes in first */
}

static __attribute__((noinline)) void stay_out(const struct vcpu *v, struct exit *x)
{
    *x = (struct exit){.reason = EXIT_INTR, .rip = v->rip, .code = EXIT_NOT_ENTERED};
}

/* The first entry, or one after the VMM changed how the guest pages. */
static __attribute__((noinline)) bool prepare(struct vcpu *v, struct exit *x)
{
    vmx_of(v)->paging_changed = false;
    vmx_load_pdptes(v);
    if (v->breaks && !vmx_break(v->breaks)) {
        *x = (struct exit){.reason = EXIT_ENTRY_FAILED,
                           .rip = v->rip,
                           .code = EXIT_NOT_ENTERED,
                           .fail = {.why = "break=: there is no entry check of that name "
                                          "(handouts/formats.md, section 4, lists them)"}};
        return false;
    }
    v->breaks = NULL;
    return true;
}

/* Refused at once, the guest's state not even loaded: by controls or host state. */
static __attribute__((noinline)) void vm_fail(const struct vcpu *v, struct exit *x)
{
    u64 error = vmcs_read(VMCS_INSTRUCTION_ERROR);

    *x = (struct exit){.reason = EXIT_ENTRY_FAILED, .rip = v->rip, .code = error};
    if (vmx_check(x))
        return;
    vmx_dump();
    x->fail.field = vmcs_words(VMCS_INSTRUCTION_ERROR);
    x->fail.value = error;
    x->fail.section = "30.4";
    x->fail.why = error == ERROR_CONTROLS ? "a control field is not valid"
                  : error == ERROR_HOST   ? "a field of the host's state is not valid"
                                          : "the instruction failed";
}

static void vmx_run(struct vcpu *v, struct exit *x)
{
    struct vmx_vcpu *s = vmx_of(v);

    vmx_use(v);
    put_registers(v, s);
    if (__builtin_expect((v->rflags & s->watched_if) != s->seen_if, 0))
        poll(s, v->rflags);
    if (s->polls && __builtin_expect(overlooked(s), 0)) {
        stay_out(v, x);
        return;
    }
    if (__builtin_expect(s->paging_changed, 0) && !prepare(v, x))
        return;
    if (__builtin_expect(vmx_enter(v->gpr, s->launched), 0)) {
        vm_fail(v, x);
        return;
    }
    take_registers(v, s);
    s->injected = false;
    u32 reason = (u32)vmcs_read(VMCS_EXIT_REASON);
    if (__builtin_expect(!s->launched, 0))
        s->launched = !(reason & EXIT_REFUSED);
    vmx_translate(v, reason, x);
}

/* An error code goes with an exception only in protected mode: 26.2.1.3. */
static int vmx_inject(struct vcpu *v, const struct event *e)
{
    struct vmx_vcpu *s = vmx_of(v);

    if (s->injected)
        return -EBUSY;
    s->injected = true;
    vmx_use(v);
    bool error = e->has_error && vmcs_read(VMCS_GUEST_CR0) & CR0_PE;
    vmcs_write(VMCS_ENTRY_EVENT,
               EVENT_VALID | (u32)e->type << 8 | e->vector | (error ? EVENT_ERROR_VALID : 0));
    vmcs_write(VMCS_ENTRY_ERROR, e->error);
    return 0;
}

const struct hv_ops hv_vmx = {
    .name = "vmx",
    .manual = "Intel SDM vol. 3C",
    .probe = vmx_probe,
    .cpu_on = vmx_cpu_on,
    .vcpu_init = vmx_vcpu_init,
    .vcpu_fini = vmx_vcpu_fini,
    .configure = vmx_configure,
    .load = vmx_load,
    .save = vmx_save,
    .run = vmx_run,
    .inject = vmx_inject,
    .reg = vmx_reg,
    .seg = vmx_seg,
    .flush = vmx_flush,
};
