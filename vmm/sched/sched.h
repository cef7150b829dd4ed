/*
 * The schedulers' interface: who runs next on a CPU, and until when.
 *
 * Pure C without hardware: the same code runs in the VMM and on a developer's
 * host. A scheduler sees only these calls and their time stamps, so a list of
 * them replays a live run. Time is u64 ns of virtual time.
 */
#ifndef VMM_SCHED_H
#define VMM_SCHED_H

#include "kernel/types.h"
#include "vmm/sched/heap.h"

#define SCHED_MAX_CPUS 64

/* What a VM asks for; times in ns. Ranges: handouts/formats.md section 4. */
struct sched_params {
    u64 weight;      /* credit: its part, against the others' */
    u64 cap;         /* credit: at most so many per cent of a CPU; 0: no limit */
    u64 slice;       /* sedf: so much run time ... */
    u64 period;      /* ... in each period */
    u32 extratime;   /* sedf: 1: time that nobody claims is welcome, too */
    u64 extraweight; /* sedf: its part of that; 0: by slice and period */
    u64 mcu_adv;     /* bvt: virtual time for each MCU run: the inverse of a weight */
    u64 warp;        /* bvt: so far it may borrow from its future; 0: it does not */
    u64 warpl;       /* bvt: warped runs last at most so long; 0: no limit */
    u64 warpu;       /* bvt: how long it then does without */
};

/* Whether run time costs credits exactly, or as sampled by the tick. */
enum sched_charge { CHARGE_EXACT, CHARGE_TICK };

struct sched_setup {
    u64 slice;                /* rr */
    u32 cpus;                 /* 1, but for credit */
    enum sched_charge charge; /* credit */
};

struct bvt_unit {
    s64 avt;  /* actual virtual time, less ... */
    s64 base; /* ... what had been taken off all when it was runnable last */
    bool warped;
    u64 unwarp; /* when it may warp again; ~0: nothing to wait for */
    struct heap_node by_evt, by_avt, by_unwarp;
};

struct sedf_unit {
    s64 deadline; /* 0: it never ran nor waited */
    u64 cputime;  /* of its slice, used up */
    u64 penalty;  /* what a short block lost it; 0: it wants no L0 */
    s64 score0, score1;
    struct heap_node edf, l0, l1;
    bool admitted;
};

struct credit_unit {
    s64 credit;
    s64 pri;
    u64 rest; /* ns run that made no whole credit */
    u32 cpu;
    bool active, parked;
    struct credit_queue *queue;  /* it waits there; NULL: it runs or is blocked */
    struct sched_unit *sibling;  /* the VM's next vCPU */
    struct sched_unit *unparked; /* the next that an accounting unparks */
    /* Of the VM; in its first vCPU. */
    u32 active_vcpus;
    struct sched_unit *before, *after; /* on the active list */
};

/* What is scheduled: one vCPU. Owned by the vCPU, filled by the scheduler. */
struct sched_unit {
    u16 vm;
    u8 vcpu;
    bool runnable;
    bool gave_up;                   /* rr: it was queued because it gave up the CPU */
    u64 ran;                        /* ns charged in all */
    u64 turn;                       /* rr: the number of its place in the queue */
    u64 since;                      /* rr, credit: when it was queued */
    struct sched_unit *prev, *next; /* rr, credit: in the queue */

    struct sched_unit *lead;    /* the VM's first vCPU, whose params count; itself if alone */
    struct sched_params params; /* in effect */
    struct sched_params asked;  /* as set last: in effect from the next decision on */
    bool changes;
    struct sched_unit *next_change;
    union {
        struct bvt_unit bvt;
        struct sedf_unit sedf;
        struct credit_unit credit;
    };
};

/* Two words: a function returns these in registers. */
struct sched_choice {
    struct sched_unit *unit; /* NULL: idle */
    u64 until;               /* the latest time of the next decision; ~0: none */
};

/* Why that one: for the trace, and for tests. */
struct sched_reason {
    s64 key; /* the values compared */
    s64 other_key;
    const struct sched_unit *other; /* the best one not chosen, or NULL */
    u32 runnable;
};

/* After each call but charge, ask pick again, for each CPU; it makes a decision
 * only if one is due. The unit that runs is charged up to `now` before any other
 * call of that instant. What falls due at a time of its own (a tick, say) happens
 * then, even if the next call comes later. A call that changes nothing (waking
 * what is runnable, blocking what is not) is harmless.
 *
 * Ties: the one queued earlier first; of those queued in the same instant the
 * lower VM number, then vCPU number; but with rr one that gave up the CPU (by
 * yielding, or at its slice's end) last. The order of the calls of one instant
 * does not matter. */
struct sched_ops {
    const char *name;
    void (*init)(const struct sched_setup *);
    void (*add)(struct sched_unit *, u64 now); /* runnable at once */
    void (*remove)(struct sched_unit *, u64 now);
    /* New parameters, from the next decision on. */
    void (*set)(struct sched_unit *, const struct sched_params *, u64 now);
    void (*wake)(struct sched_unit *, u64 now);
    void (*block)(struct sched_unit *, u64 now);
    /* The turn of the unit that runs is over: a timer fired, or it yields. */
    void (*timer)(struct sched_unit *, u64 now);
    void (*charge)(struct sched_unit *, u64 ran, u64 now);
    struct sched_choice (*pick)(u32 cpu, u64 now);
    /* The reason of that CPU's choice; only right after pick. */
    struct sched_reason (*reason)(u32 cpu);
    /* May the unit have these? NULL: whatever is in range. */
    bool (*admits)(const struct sched_unit *, const struct sched_params *);
    /* Write what the scheduler knows of it into the trace; NULL: nothing more. */
    void (*report)(const struct sched_unit *);
};

extern const struct sched_ops sched_rr, sched_bvt, sched_sedf, sched_credit;
extern const struct sched_ops *const sched_all[]; /* ends with NULL */

/* By name, or NULL. */
const struct sched_ops *sched_find(const char *name, size_t len);

/* --- Parameters (params.c) -------------------------------------------------------- */

extern const struct sched_params sched_defaults;

/* Those that are numbers: name, kind of number (vmm/argtable.h), range. The
 * arguments' parser and sched_check() both build their tables from this. */
#define SCHED_PARAMS(X)                                                                            \
    X(weight, arg_number, 1, 65535, "1 to 65535")                                                  \
    X(cap, arg_number, 0, 100, "0 to 100")                                                         \
    X(slice, arg_time, 5000, 10 * NS_PER_SEC, "5us to 10s (less would go into changing VMs)")      \
    X(period, arg_time, 10000, 10 * NS_PER_SEC, "10us to 10s (less would go into changing VMs)")   \
    X(extraweight, arg_number, 0, 65535, "0 to 65535")                                             \
    X(mcu_adv, arg_number, 1, 65535, "1 to 65535")                                                 \
    X(warp, arg_number, 0, 65535000, "0 to 65535000")                                              \
    X(warpl, arg_time, 0, 1000 * NS_PER_SEC, "0s to 1000s")                                        \
    X(warpu, arg_time, 0, 1000 * NS_PER_SEC, "0s to 1000s")

/* 0, or -EINVAL with a sentence (160 bytes hold any): out of range, or these
 * together make no sense. */
int sched_check(const struct sched_params *, char *why, size_t why_size);

/* May a unit have these, with what all others have? 0, or -EINVAL with a sentence. */
int sched_admit(const struct sched_ops *, const struct sched_unit *, const struct sched_params *,
                char *why, size_t why_size);
/* add() and set() for parameters that nobody has checked: 0, or -EINVAL with a
 * sentence, and nothing has happened. */
int sched_add(const struct sched_ops *, struct sched_unit *, u64 now, char *why, size_t why_size);
int sched_set(const struct sched_ops *, struct sched_unit *, const struct sched_params *, u64 now,
              char *why, size_t why_size);

/* --- For schedulers: parameters that wait for the next decision (params.c) -------- */

struct sched_changes {
    struct sched_unit *first;
};
/* Of several for one unit the last counts. */
void changes_note(struct sched_changes *, struct sched_unit *, const struct sched_params *);
void changes_forget(struct sched_changes *, struct sched_unit *);
void changes_apply(struct sched_changes *, void (*change)(struct sched_unit *, u64 now), u64 now);
/* Call change() on each unit, with its new parameters in effect. Inline: there
 * are hardly ever any. */
static inline void changes_take(struct sched_changes *c,
                                void (*change)(struct sched_unit *, u64 now), u64 now)
{
    if (c->first)
        changes_apply(c, change, now);
}

#endif
