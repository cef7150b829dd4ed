/*
 * The machine's options (handouts/formats.md section 4): the bundle's command
 * line, checked and turned into values.
 */
#ifndef VMM_OPTIONS_H
#define VMM_OPTIONS_H

#include "kernel/args.h"
#include "vmm/sched/sched.h"
#include "vmm/vmargs.h"

enum bench_kind { BENCH_NONE, BENCH_RECORD, BENCH_SCHED };
enum verify_kind { VERIFY_NONE, VERIFY_REGISTERS };

struct options {
    const struct sched_ops *sched;
    u64 slice;                /* ns: rr's */
    enum sched_charge charge; /* credit's */
    u64 time;                 /* virtual ns at which the run ends */
    enum vm_mmu mmu;          /* of VMs that say nothing */
    struct word trace;        /* for trace_select(), which takes it without complaint */
    u64 tracebuf;             /* bytes */
    enum bench_kind bench;
    enum verify_kind verify;
};

/* 0, or -EINVAL with a sentence that names the word (160 bytes hold any). */
int options_parse(const char *text, struct options *, char *why, size_t why_size);

#endif
