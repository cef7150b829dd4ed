/*
 * The backend interface: all that the VMM knows of the processor's
 * virtualization extension. One const struct of functions, chosen at boot.
 *
 * A backend translates: neutral settings into its control block, a hardware
 * exit into a neutral struct exit. It decides nothing. No vendor's structure
 * is visible here. Sources: AMD64 Manual vol. 2 (24593) chapter 15; Intel SDM
 * vol. 3C chapters 24 to 28.
 */
#ifndef VMM_HV_H
#define VMM_HV_H

#include "kernel/trace.h"
#include "kernel/types.h"

struct vcpu;

/* --- Registers ------------------------------------------------------------ */

/* General registers in the order of their encoding in instructions. */
enum gpr {
    GPR_RAX, GPR_RCX, GPR_RDX, GPR_RBX, GPR_RSP, GPR_RBP, GPR_RSI, GPR_RDI,
    GPR_R8, GPR_R9, GPR_R10, GPR_R11, GPR_R12, GPR_R13, GPR_R14, GPR_R15,
    GPR_COUNT
};

/* Registers behind get_reg and set_reg: the values that the guest gave them. On
 * a shadow root the processor runs with others, see struct hv_ctl. */
enum hv_reg {
    HV_CR0, HV_CR2, HV_CR3, HV_CR4, HV_EFER, HV_DR6, HV_DR7,
    HV_STAR, HV_LSTAR, HV_CSTAR, HV_SFMASK, HV_KERNEL_GS_BASE,
    HV_SYSENTER_CS, HV_SYSENTER_ESP, HV_SYSENTER_EIP, HV_PAT,
    HV_TPR, /* CR8 */
    HV_REG_COUNT
};

/* Segment registers in the order of their encoding, then the tables. */
enum hv_seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_GDTR, SEG_IDTR };

struct seg {
    u16 selector;
    u16 attr; /* type 0-3, S 4, DPL 5-6, P 7, AVL 8, L 9, D/B 10, G 11 */
    u32 limit; /* in bytes, G applied */
    u64 base;
};
#define SEG_ATTR_S  (1u << 4)
#define SEG_ATTR_P  (1u << 7)
#define SEG_ATTR_L  (1u << 9)
#define SEG_ATTR_DB (1u << 10)
#define SEG_ATTR_G  (1u << 11)
#define SEG_DPL(attr) ((attr) >> 5 & 3u)

/* --- Events and exits ----------------------------------------------------- */

enum ev_type { EV_INTR = 0, EV_NMI = 2, EV_EXCEPTION = 3, EV_SOFT_INT = 4 };

struct event {
    bool valid;
    u8 type; /* enum ev_type */
    u8 vector;
    bool has_error;
    u32 error;
};

enum { ACCESS_WRITE = 1, ACCESS_USER = 2, ACCESS_EXEC = 4 };

#define EXIT_NOT_ENTERED 0xffffu /* exit.code: the backend did not enter, so nothing was left */

struct exit {
    enum exit_reason reason;
    u8 insn_len;          /* 0: not known, the core decodes */
    u64 rip;              /* of the instruction that caused it */
    u64 next_rip;         /* 0: not known */
    struct event pending; /* its delivery was broken off by this exit */
    u64 code, info1, info2; /* the processor's words, for the trace only */
    union {
        struct {
            u16 port;
            u8 size; /* bytes: 1, 2, 4 */
            bool in, string, rep;
        } io;
        struct {
            gpa_t gpa;
            gva_t gva;    /* 0 if not known */
            u8 access;    /* ACCESS_ bits */
            bool in_walk; /* during the guest's own page walk */
            bool present; /* a mapping is there but forbids it */
            bool misconfig;
        } nested;
        struct {
            u8 vector;
            u32 error;
            u64 addr; /* of a page fault */
        } exc;
        struct {
            u64 addr;   /* linear */
            bool known; /* false: decode the operand */
        } invlpg;
        struct {
            bool write;
        } msr;
        struct {
            u8 n; /* control or debug register */
            bool write;
            bool known; /* false: decode which register and operand */
        } cr;
        struct {
            const char *field;   /* of the control block, as the manual names it; or NULL */
            u64 value;
            const char *why;     /* the rule that was broken, in words */
            const char *section; /* where the manual says so */
        } fail;
    };
};

/* --- Settings ------------------------------------------------------------- */

/* What the core wants of a vCPU; changed by it, then handed to configure().
 *
 * With a shadow root the processor runs on it with CR0.PG and CR0.WP set, and with
 * CR4.PAE; the guest still reads its own CR0, CR3 and CR4, and changing CR0, CR3 or
 * what of CR4 concerns paging exits. */
struct hv_ctl {
    hpa_t nested_root;  /* of the nested table */
    hpa_t shadow_root;  /* run on this table in its place, no nested one; 0: do not. Another
                         * one is also taken when HV_CR3 is set */
    hpa_t fence_root;   /* with a shadow root: where each address leads to itself, and no address
                         * that is not in it to anything; 0: there is no need (shadow_fence.c) */
    u64 tsc_offset;     /* guest TSC = host TSC + offset */
    u32 exceptions;     /* bit n: vector n exits */
    bool intr_window;   /* exit as soon as the guest could take an interrupt */
    bool cr3_exits;     /* MOV CR3 exits (shadow paging) */
    bool paging_exits;  /* switching paging on or off exits, whatever the guest runs on */
    bool invlpg_exits;
    bool rdtsc_exits;
};

enum hv_flush { HV_FLUSH_ALL, HV_FLUSH_ADDR };

struct hv_caps {
    const char *name; /* "svm", "vmx" */
    u32 asids;
    bool nested, next_rip, decode_assist, large_1g;
    bool ept; /* nested tables have Intel's format, not AMD's */
    bool task_exits; /* a task switch by hardware exits, whatever loads CR3 with it */
    bool shutdown_exits; /* a triple fault exits */
};

struct pcpu;

struct hv_ops {
    const char *name;
    const char *manual; /* that the sections in exit->fail are of */
    /* 0 and *caps, or -ENOTSUP. */
    int (*probe)(struct hv_caps *caps);
    /* Switch the extension on, on this CPU. 0 or a negative errno. */
    int (*cpu_on)(void);
    /* Make, or give back, the control block. -ENOMEM. */
    int (*vcpu_init)(struct vcpu *);
    void (*vcpu_fini)(struct vcpu *);
    /* Put vcpu->ctl into the control block. */
    void (*configure)(struct vcpu *);
    /* Load and store what only a change of vCPU needs (segments' hidden
     * parts, system-call MSRs). */
    void (*load)(struct vcpu *);
    void (*save)(struct vcpu *);
    /* Enter the guest with vcpu->gpr, rip and rflags; fill exit and them. */
    void (*run)(struct vcpu *, struct exit *);
    /* Have an event delivered at the next entry. -EBUSY: another one is
     * waiting, or an interrupt is blocked (see intr_window). */
    int (*inject)(struct vcpu *, const struct event *);
    u64 (*reg)(struct vcpu *, enum hv_reg, const u64 *set); /* set NULL: only read */
    void (*seg)(struct vcpu *, enum hv_seg, struct seg *, bool set);
    void (*flush)(struct vcpu *, enum hv_flush, u64 addr);
};

extern const struct hv_ops *hv; /* the one in use */
extern bool hv_verify; /* set before cpu_on(): distrust the world switch (option verify) */

static inline u64 hv_get(struct vcpu *v, enum hv_reg r)
{
    return hv->reg(v, r, NULL);
}
static inline void hv_set(struct vcpu *v, enum hv_reg r, u64 value)
{
    hv->reg(v, r, &value);
}
static inline void hv_get_seg(struct vcpu *v, enum hv_seg s, struct seg *out)
{
    hv->seg(v, s, out, false);
}
static inline void hv_set_seg(struct vcpu *v, enum hv_seg s, const struct seg *in)
{
    hv->seg(v, s, (struct seg *)in, true);
}

#endif
