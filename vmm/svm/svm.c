/*
 * The SVM backend: AMD's extension behind hv.h. It translates and decides
 * nothing. Source: AMD64 Manual vol. 2 (24593 rev. 3.38), chapter 15.
 */
#include "kernel/cpu.h"
#include "kernel/frame.h"
#include "kernel/lapic.h"
#include "kernel/mem.h"
#include "kernel/nmi_timer.h"
#include "kernel/panic.h"
#include "kernel/todo.h"
#include "vmm/svm/svm.h"

#define CPUID_SVM      (1u << 2) /* 8000_0001 ECX */
#define CPUID_PAGE1GB  (1u << 26)
#define CPUID_NP       (1u << 0) /* 8000_000A EDX */
#define CPUID_NRIPS    (1u << 3)
#define CPUID_DECODE   (1u << 7)
#define TYPE_BUSY      2u /* in the type of a TSS */
#define EXCEPTION_DF   (1u << 8) /* for want of a SHUTDOWN exit: see doublefault.c */

/* What always exits. Nothing of a guest's CR3, DR0-3 or TSC does. CR8 writes do
 * because of QEMU 7.2, which dies of one while V_IRQ is set; so does LTR, see
 * exit_ltr.c. */
#define BASE_INTERCEPTS1                                                                           \
    (INTERCEPT_INTR | INTERCEPT_NMI | INTERCEPT_INIT | INTERCEPT_RDPMC | INTERCEPT_CPUID |          \
     INTERCEPT_INVD | INTERCEPT_HLT | INTERCEPT_INVLPGA | INTERCEPT_IOIO | INTERCEPT_MSR |          \
     INTERCEPT_SHUTDOWN | INTERCEPT_TR_WRITE)
#define BASE_INTERCEPTS2                                                                           \
    (INTERCEPT_VMRUN | INTERCEPT_VMMCALL | INTERCEPT_VMLOAD | INTERCEPT_VMSAVE | INTERCEPT_STGI |   \
     INTERCEPT_CLGI | INTERCEPT_SKINIT | INTERCEPT_WBINVD | INTERCEPT_MONITOR | INTERCEPT_MWAIT |   \
     INTERCEPT_XSETBV)
#define BASE_DR_WRITES 0xf0u /* DR4 to DR7: QEMU takes bits that VMRUN then refuses */
#define BASE_CR_WRITES (1u << 0 | 1u << 4 | 1u << 8)

/* A vCPU's frames: the control block, then struct svm_vcpu. */
#define SVM_FRAMES (1 + (sizeof(struct svm_vcpu) + PAGE_SIZE - 1) / PAGE_SIZE)

static u8 host_save[PAGE_SIZE] __attribute__((aligned(4096)));
static bool on_bochs;
/* A call through a variable is one instruction too. */
static void (*enter_guest)(u64 *gpr, hpa_t vmcb) = svm_enter;

static int svm_probe(struct hv_caps *caps)
{
    u32 r[4], ext[4];
    u64 vm_cr;

    cpuid(0x80000001, 0, ext);
    if (!(ext[2] & CPUID_SVM))
        return -ENOTSUP;
    if (rdmsr_safe(MSR_VM_CR, &vm_cr) && vm_cr & VM_CR_SVMDIS)
        return -ENOTSUP;
    cpuid(0x8000000a, 0, r);
    *caps = (struct hv_caps){.name = "svm",
                             .asids = r[1],
                             .nested = r[3] & CPUID_NP,
                             .next_rip = r[3] & CPUID_NRIPS,
                             .decode_assist = r[3] & CPUID_DECODE,
                             .large_1g = ext[3] & CPUID_PAGE1GB,
                             .task_exits = cpu_is_bochs(), /* QEMU 7.2 overlooks the intercept */
                             .shutdown_exits = !cpu_is_bochs()}; /* and Bochs 2.7 this one */
    return caps->nested ? 0 : -ENOTSUP;
}

/* Bochs 2.7 overlooks the host's interrupts as long as the guest's IF is clear, and the
 * open window of a guest whose IF is set already. What waits at the entry is as an exit
 * for an interrupt, one that broke off what was to be delivered. For an interrupt that
 * comes later there are NMIs, which Bochs does not overlook: but VMRUN has to be over. */
#define NMI_AFTER_NS 1000

static bool interrupt_waits(const struct vmcb *b)
{
    bool delivers = b->eventinj & EVENT_VALID;

    if (b->rflags & RFLAGS_IF && !delivers)
        return b->intercepts1 & INTERCEPT_VINTR && !b->interrupt_shadow;
    cpu_take_interrupts();
    return timer_fired();
}

static void enter_on_bochs(u64 *gpr, hpa_t vmcb)
{
    struct vmcb *b = hpa_ptr(vmcb);

    if (interrupt_waits(b)) {
        b->exitcode = EXIT_NOT_ENTERED;
        b->exitinfo1 = b->exitinfo2 = 0;
        b->exitintinfo = b->eventinj;
        return;
    }
    nmi_timer_arm(timer_armed() == ~0ull ? ~0ull : timer_armed() + NMI_AFTER_NS);
    (hv_verify ? svm_enter_verified : svm_enter)(gpr, vmcb);
}

static int svm_cpu_on(void)
{
    on_bochs = cpu_is_bochs();
    if (on_bochs && !nmi_timer_init())
        return -ENOTSUP;
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
    wrmsr(MSR_VM_HSAVE_PA, ptr_hpa(host_save).v);
    enter_guest = on_bochs ? enter_on_bochs : hv_verify ? svm_enter_verified : svm_enter;
    return 0;
}

static void svm_configure(struct vcpu *v)
{
    struct vmcb *b = svm_of(v)->vmcb;
    const struct hv_ctl *c = &v->ctl;

    b->n_cr3 = c->nested_root.v;
    b->cr_write = BASE_CR_WRITES | (c->cr3_exits ? 1u << 3 : 0);
    if (__builtin_expect(c->shadow_root.v || svm_of(v)->on_shadow, 0))
        svm_paging_configure(v);
    b->dr_write = BASE_DR_WRITES;
    b->exceptions = c->exceptions | (on_bochs ? EXCEPTION_DF : 0);
    b->intercepts1 = BASE_INTERCEPTS1 | (c->intr_window ? INTERCEPT_VINTR : 0) |
                     (c->invlpg_exits ? INTERCEPT_INVLPG : 0) |
                     (c->rdtsc_exits ? INTERCEPT_RDTSC : 0) |
                     (c->shadow_root.v ? INTERCEPT_TASK_SWITCH : 0);
    b->v_intr = (b->v_intr & 0xff) | V_INTR_MASKING | (c->intr_window ? V_IRQ | V_IGN_TPR : 0);
    b->tsc_offset = c->tsc_offset;
}

static int svm_vcpu_init(struct vcpu *v)
{
    hpa_t frames = frames_alloc(SVM_FRAMES, PAGE_SIZE, OWNER_VM_TABLE + v->vm_id);

    if (!frames.v)
        return -ENOMEM;
    memset(hpa_ptr(frames), 0, SVM_FRAMES * PAGE_SIZE);
    v->backend = hpa_ptr(hpa(frames.v + PAGE_SIZE));
    svm_of(v)->vmcb = hpa_ptr(frames);
    svm_of(v)->changed = true;
    struct vmcb *b = svm_of(v)->vmcb;
    b->intercepts2 = BASE_INTERCEPTS2;
    b->iopm_base_pa = svm_io_map().v;
    b->msrpm_base_pa = svm_msr_map().v;
    b->guest_asid = v->vm_id;
    b->tlb_control = TLB_FLUSH_ALL;
    b->np_enable = 1;
    b->efer = EFER_SVME;
    b->g_pat = 0x0007040600070406ull; /* the reset value */
    b->dr6 = 0xffff0ff0;
    b->dr7 = 0x400;
    svm_configure(v);
    return 0;
}

static void svm_vcpu_fini(struct vcpu *v)
{
    if (v->backend)
        frames_free(ptr_hpa(svm_of(v)->vmcb), SVM_FRAMES, OWNER_VM_TABLE + v->vm_id);
    v->backend = NULL;
}

/* Bochs 2.7 stores CR2 at an exit, but VMRUN does not load it. */
static void svm_load(struct vcpu *v)
{
    if (on_bochs)
        write_cr2(svm_of(v)->vmcb->cr2);
    __asm__ volatile("vmload %0" : : "a"(ptr_hpa(svm_of(v)->vmcb).v) : "memory");
}

static void svm_save(struct vcpu *v)
{
    __asm__ volatile("vmsave %0" : : "a"(ptr_hpa(svm_of(v)->vmcb).v) : "memory");
}

/* The VMM wrote guest state: remember what is entered with, since a refused
 * entry leaves the host's state in the save area. */
static __attribute__((noinline)) bool remember(struct vcpu *v, struct exit *x)
{
    struct svm_vcpu *s = svm_of(v);

    if (v->breaks && !svm_break(s->vmcb, v->breaks)) {
        *x = (struct exit){.reason = EXIT_ENTRY_FAILED,
                           .rip = v->rip,
                           .code = EXIT_NOT_ENTERED,
                           .fail = {.why = "break=: there is no entry check of that name "
                                          "(handouts/formats.md, section 4, lists them)"}};
        return false;
    }
    if (v->breaks) /* perhaps an event */
        s->injected = s->look = true;
    v->breaks = NULL;
    s->copy = *s->vmcb;
    s->changed = false;
    return true;
}

bool svm_holds_host_state(const struct vmcb *b)
{
    return b->cr3 == read_cr3() && b->cr0 == read_cr0();
}

/* An interrupt goes in as a virtual one (15.21.4). By EVENTINJ, QEMU 7.2 delivers
 * it twice if its icount budget is used up before the guest's next exit or
 * exception. But where V_IRQ asks for an interrupt window, there is no other way;
 * nor in Bochs 2.7, which looks at V_IRQ only when the guest's IF has changed. */
static void offer_interrupt(struct vmcb *b, u8 vector)
{
    if (b->intercepts1 & INTERCEPT_VINTR || on_bochs)
        b->eventinj = vector | (u64)EV_INTR << 8 | EVENT_VALID;
    else
        b->v_intr |= V_IRQ | V_IGN_TPR | (u64)vector << 32;
}

/* After the exit. An interrupt that waits still (another exit came first, or
 * broke off its delivery) goes back to the core. If none was injected, none waits. */
static void withdraw_event(struct svm_vcpu *s, struct exit *x)
{
    struct vmcb *b = s->vmcb;

    s->injected = false;
    s->look = s->fenced;
    b->eventinj = 0;
    if (b->intercepts1 & INTERCEPT_VINTR)
        return;
    if (b->v_intr & V_IRQ)
        x->pending = (struct event){
            .valid = true, .type = EV_INTR, .vector = (u8)(b->v_intr >> 32)};
    b->v_intr &= ~(V_IRQ | V_IGN_TPR | V_INTR_VECTOR);
}

/* The registers that VMRUN takes from the control block, and an exit leaves there. */
static inline void put_registers(const struct vcpu *v, struct vmcb *b)
{
    /* LAB 1 BEGIN: Four registers and the interrupt shadow, into the control block. */
    b->rax = v->gpr[GPR_RAX];
    b->rsp = v->gpr[GPR_RSP];
    b->rip = v->rip;
    b->rflags = v->rflags;
    b->interrupt_shadow = v->shadow;
    /* LAB 1 END: todo(1, "1.5", v, b); */
}

static inline void take_registers(struct vcpu *v, const struct vmcb *b)
{
    /* LAB 1 BEGIN: The same out of the control block; of the shadow, bit 0. */
    v->gpr[GPR_RAX] = b->rax;
    v->gpr[GPR_RSP] = b->rsp;
    v->rip = b->rip;
    v->rflags = b->rflags;
    v->shadow = b->interrupt_shadow & 1;
    /* LAB 1 END: todo(1, "1.5", v, b); */
}

static void svm_run(struct vcpu *v, struct exit *x)
{
    struct vmcb *b = svm_of(v)->vmcb;

    put_registers(v, b);
    if (__builtin_expect(svm_of(v)->changed, 0) && !remember(v, x))
        return;
    enter_guest(v->gpr, ptr_hpa(b));
    take_registers(v, b);
    b->tlb_control = 0;
    svm_translate(v, b, x);
    if (__builtin_expect(svm_of(v)->look, 0)) {
        withdraw_event(svm_of(v), x);
        if (__builtin_expect(svm_of(v)->fenced, 0))
            svm_paging_after(b, x);
    }
}

static int svm_inject(struct vcpu *v, const struct event *e)
{
    struct vmcb *b = svm_of(v)->vmcb;

    if (svm_of(v)->injected)
        return -EBUSY;
    svm_of(v)->injected = svm_of(v)->look = true;
    if (e->type == EV_INTR) {
        offer_interrupt(b, e->vector);
        return 0;
    }
    b->eventinj = e->vector | (u64)e->type << 8 | EVENT_VALID;
    if (e->has_error)
        b->eventinj |= EVENT_ERROR_VALID | (u64)e->error << 32;
    return 0;
}

/* Where the plain ones are. */
static const u16 reg_place[HV_REG_COUNT] = {
    [HV_CR2] = offsetof(struct vmcb, cr2),
    [HV_EFER] = offsetof(struct vmcb, efer),
    [HV_DR6] = offsetof(struct vmcb, dr6),
    [HV_DR7] = offsetof(struct vmcb, dr7),
    [HV_STAR] = offsetof(struct vmcb, star),
    [HV_LSTAR] = offsetof(struct vmcb, lstar),
    [HV_CSTAR] = offsetof(struct vmcb, cstar),
    [HV_SFMASK] = offsetof(struct vmcb, sfmask),
    [HV_KERNEL_GS_BASE] = offsetof(struct vmcb, kernel_gs_base),
    [HV_SYSENTER_CS] = offsetof(struct vmcb, sysenter_cs),
    [HV_SYSENTER_ESP] = offsetof(struct vmcb, sysenter_esp),
    [HV_SYSENTER_EIP] = offsetof(struct vmcb, sysenter_eip),
    [HV_PAT] = offsetof(struct vmcb, g_pat),
};

/* No rule of VMRUN concerns CR2: a copy of the control block need not have it. */
static void set_cr2(struct vcpu *v, u64 value)
{
    svm_of(v)->vmcb->cr2 = value;
    if (v->loaded)
        write_cr2(value); /* see svm_load() */
}

/* EFER.SVME must be set for VMRUN, but is not the guest's to see. */
static u64 svm_reg(struct vcpu *v, enum hv_reg r, const u64 *set)
{
    struct vmcb *b = svm_of(v)->vmcb;

    if (r == HV_EFER && !set) /* asked for most */
        return b->efer & ~EFER_SVME;
    if (r == HV_CR2 && set)
        set_cr2(v, *set);
    if (r == HV_CR0 || r == HV_CR3 || r == HV_CR4)
        return svm_paging_reg(v, r, set);
    if (r == HV_TPR) {
        if (set)
            b->v_intr = (b->v_intr & ~0xfull) | (*set & 0xf);
        return b->v_intr & 0xf;
    }
    u64 *place = (u64 *)((u8 *)b + reg_place[r]), hidden = r == HV_EFER ? EFER_SVME : 0;
    if (set && r != HV_CR2) {
        *place = *set | hidden;
        svm_of(v)->changed = true;
    }
    return *place & ~hidden;
}

static struct vmcb_seg *seg_place(struct vmcb *b, enum hv_seg s)
{
    switch (s) {
    case SEG_LDTR:
        return &b->ldtr;
    case SEG_TR:
        return &b->tr;
    case SEG_GDTR:
        return &b->gdtr;
    case SEG_IDTR:
        return &b->idtr;
    default:
        return &b->seg[s];
    }
}

/* QEMU keeps TR without the busy bit of its type, and aborts, with all VMs, at
 * a 32-bit guest's first change of privilege level if it finds the bit set. */
static u16 attrib_of(enum hv_seg s, u16 attr)
{
    return s == SEG_TR ? attr & ~TYPE_BUSY : attr;
}

/* FS, GS, LDTR and TR live in the processor while their vCPU is loaded:
 * VMSAVE and VMLOAD around. */
static void svm_seg(struct vcpu *v, enum hv_seg s, struct seg *seg, bool set)
{
    struct vmcb *b = svm_of(v)->vmcb;
    struct vmcb_seg *place = seg_place(b, s);
    bool loaded = s == SEG_FS || s == SEG_GS || s == SEG_LDTR || s == SEG_TR;

    if (loaded && v->loaded)
        svm_save(v);
    if (set) {
        *place = (struct vmcb_seg){seg->selector, attrib_of(s, seg->attr), seg->limit, seg->base};
        svm_of(v)->changed = true;
        if (s == SEG_SS)
            b->cpl = SEG_DPL(seg->attr);
        if (loaded && v->loaded)
            svm_load(v);
    } else {
        *seg = (struct seg){place->selector, place->attrib, place->limit, place->base};
    }
}

/* INVLPGA would do for one address; the whole ASID is always right. */
static void svm_flush(struct vcpu *v, enum hv_flush kind, u64 addr)
{
    svm_of(v)->vmcb->tlb_control = TLB_FLUSH_ALL;
    TRACE(flush, v->vm_id, v->id, .kind = kind == HV_FLUSH_ALL ? FLUSH_ALL : FLUSH_ADDRESS,
          .addr = addr);
}

const struct hv_ops hv_svm = {
    .name = "svm",
    .manual = "AMD64 Manual vol. 2",
    .probe = svm_probe,
    .cpu_on = svm_cpu_on,
    .vcpu_init = svm_vcpu_init,
    .vcpu_fini = svm_vcpu_fini,
    .configure = svm_configure,
    .load = svm_load,
    .save = svm_save,
    .run = svm_run,
    .inject = svm_inject,
    .reg = svm_reg,
    .seg = svm_seg,
    .flush = svm_flush,
};
