/*
 * A guest's VM arguments (handouts/formats.md section 4): what stands before
 * the word -- in its entry of the bundle. What follows is the guest's own.
 */
#ifndef VMM_VMARGS_H
#define VMM_VMARGS_H

#include "kernel/args.h"
#include "kernel/trace.h"
#include "kernel/types.h"
#include "vmm/guestmem.h"
#include "vmm/sched/sched.h"

#define VMARGS_MAX_GPA     (1ull << 48)
#define VMARGS_MAX_CHANGES 4

/* How a VM's memory is virtualized. */
enum vm_mmu { MMU_NESTED, MMU_SHADOW, MMU_VTLB };
/* How it is started; auto: by the image's Multiboot header, or its absence. */
enum vm_boot { BOOT_AUTO, BOOT_MULTIBOOT, BOOT_RAW };
/* Whether its self-checks decide the run's exit status. */
enum vm_checks { CHECKS_COUNT, CHECKS_IGNORE };

/* What exits besides the usual, for nobody. */
enum vm_exits { EXITS_NONE, EXITS_RDTSC, EXITS_INVLPG, EXITS_UD, EXITS_DE };

struct vm_args {
    u32 slots;
    struct {
        gpa_t gpa;
        u64 size;
        u8 access; /* as struct slot's */
    } slot[GUESTMEM_SLOTS]; /* ascending, not overlapping, whole pages */
    enum vm_mmu mmu;
    u64 shadowpages; /* at most so many shadow tables */
    enum vm_boot boot;
    enum clock_view tsc, pit;
    enum tick_policy ticks;
    enum vm_checks checks;
    enum vm_exits exits;
    u64 restart; /* how often it is created anew after its end */
    struct sched_params sched;
    struct word change; /* as given: what it asks for later */
    u32 changes;
    struct {
        u64 at; /* virtual time, ns */
        struct sched_params sched;
    } later[VMARGS_MAX_CHANGES];
    u64 watchdog; /* ns of its own time without a word at the test port; 0: no limit */
    char breaks[16];     /* an entry check to violate, for study; empty: none */
    const char *cmdline; /* the guest's own; points into the text that was parsed */
};

/* mmu: what the machine's options say of VMs that say nothing. 0, or -EINVAL
 * with a sentence that names the word (256 bytes hold any). */
int vmargs_parse(const char *text, enum vm_mmu mmu, struct vm_args *, char *why, size_t why_size);

#endif
