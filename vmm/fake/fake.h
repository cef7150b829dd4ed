/*
 * The third backend of hv.h: no processor, but a script. It runs on the
 * developer's host, so the VMM's core is tested there without any machine.
 *
 * A vCPU's script is a list of steps: the guest runs so long, does something,
 * then exits so. Around it the fake plays the processor's part with virtual
 * time: the host's timer cuts a step short, an interrupt window opens. It
 * panics when the VMM breaks a rule of hv.h. Registers are plain memory.
 */
#ifndef VMM_FAKE_FAKE_H
#define VMM_FAKE_FAKE_H

#include "vmm/vcpu.h"

#define FAKE_STEPS 64
#define FAKE_CALLS 512

/* exit.code of a vCPU that was run beyond its script (reason UNKNOWN). */
#define FAKE_SCRIPT_END 0xe2dull

struct fake_step {
    u64 ns;                     /* the guest runs so long ... */
    void (*act)(struct vcpu *); /* ... and does this: registers, flags; or NULL */
    struct exit exit;           /* EXIT_NONE: it goes on with the next step. A
                                 * rip of 0 stands for the vCPU's own */
};

/* What a backend keeps for a vCPU. */
struct fake_vcpu {
    u64 reg[HV_REG_COUNT];
    struct seg seg[SEG_IDTR + 1];
    struct hv_ctl ctl;    /* as of the last configure() */
    struct event waiting; /* injected, for the next entry */
    /* Called when an event is delivered at an entry: the guest's handler may
     * clear IF or push steps. */
    void (*on_event)(struct vcpu *, const struct event *);
    /* Asked for the next step when the script is empty; NULL, or false: none. */
    bool (*more)(struct vcpu *, struct fake_step *);
    u32 first, count;
    u64 done;  /* ns of the first step that have passed */
    u32 stuck; /* exits since the guest came any further */
    struct fake_step step[FAKE_STEPS];
};

enum fake_what {
    FAKE_INIT, FAKE_FINI, FAKE_CONFIGURE, FAKE_LOAD, FAKE_SAVE, FAKE_RUN, FAKE_INJECT,
    FAKE_SET_REG, FAKE_SET_SEG, FAKE_FLUSH
};

/* One call made to the backend. */
struct fake_call {
    enum fake_what what;
    u16 vm;
    u64 rip;
    union {
        struct hv_ctl ctl;
        struct event event;
        struct {
            u32 which; /* enum hv_reg, hv_seg, hv_flush */
            u64 value; /* register, base, address */
        };
    };
};

extern const struct hv_ops fake_ops;
/* Called at the end of vcpu_init(): whoever does not make the VMs itself gives
 * their guests a program here. NULL at first. */
extern void (*fake_on_init)(struct vcpu *);

static inline struct fake_vcpu *fake_of(const struct vcpu *v)
{
    return v->backend;
}

/* Append a step to the script; panics when it is full. */
void fake_push(struct vcpu *, const struct fake_step *);
/* The same for a step that takes no time. */
void fake_push_exit(struct vcpu *, const struct exit *);

/* The calls made since fake_forget(), oldest first; later ones than FAKE_CALLS
 * are counted only. */
void fake_forget(void);
u32 fake_count(enum fake_what);
const struct fake_call *fake_last(enum fake_what); /* or NULL */
const struct fake_call *fake_call_at(u32 i);       /* or NULL: there are fewer */

#endif
