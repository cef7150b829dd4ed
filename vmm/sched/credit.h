/*
 * What the two files of the Credit scheduler share: its state, and who calls
 * whom. credit.c decides who runs; credit_account.c keeps the credits.
 */
#ifndef VMM_SCHED_CREDIT_H
#define VMM_SCHED_CREDIT_H

#include "vmm/sched/sched.h"

#define CREDIT_NEVER (~0ull)
#define CREDIT_TICK  10000000ull /* ns */
#define CREDIT_SLICE (3 * CREDIT_TICK)

/* Priorities, the highest first. */
#define CREDIT_BOOST   0ll
#define CREDIT_UNDER   (-1ll)
#define CREDIT_OVER    (-2ll)
#define CREDIT_IDLE    (-64ll)
#define CREDIT_CLASSES 3u

struct credit_queue {
    struct sched_unit *head, *tail;
};

struct credit_cpu {
    struct credit_queue queue[CREDIT_CLASSES]; /* by priority, the current one not */
    struct sched_unit *current;
    u64 expires;
    bool due; /* decide at the next pick */
};

struct credit {
    struct credit_cpu cpu[SCHED_MAX_CPUS];
    u32 cpus;
    u32 added;   /* units, ever */
    u32 waiting; /* on queues */
    bool exact;  /* run time is charged as it is; else whole ticks, to whom they meet */
    struct sched_unit *active_head, *active_tail; /* VMs that get credits, by first vCPU */
    s64 balance;                                  /* of all credits after the last accounting */
    u64 ticks, next_tick;
    struct sched_changes changes;
};
extern struct credit credit;

/* Ticks that are due by now, each at its own time (credit_account.c). */
void credit_tick(u64 now);
static inline void credit_advance(u64 now)
{
    if (now >= credit.next_tick)
        credit_tick(now);
}
void credit_charge(struct sched_unit *, u64 ran, u64 now);
/* It gets no more credits; if it was its VM's last, the VM leaves the active list. */
void credit_deactivate(struct sched_unit *);

/* Its state, into the trace. */
void credit_report(const struct sched_unit *);

/* Off its queue, if it is on one. */
void credit_unqueue(struct sched_unit *);
/* To the end of the queue that its priority says. */
void credit_append(struct sched_unit *);
/* It can run (again): behind its equals; what is strictly lower is preempted. */
void credit_come(struct sched_unit *, u64 now);

#endif
