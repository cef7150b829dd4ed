/*
 * A virtual machine: its memory, devices, clock and vCPU, made from one entry
 * of the bundle, and given back without a trace.
 */
#ifndef VMM_VM_H
#define VMM_VM_H

#include "kernel/bundle.h"
#include "vmm/dev/bus.h"
#include "vmm/dev/cmos.h"
#include "vmm/dev/kbd.h"
#include "vmm/dev/pic.h"
#include "vmm/dev/pit.h"
#include "vmm/dev/testport.h"
#include "vmm/dev/uart.h"
#include "vmm/guestmem.h"
#include "vmm/mmu/nested.h"
#include "vmm/mmu/shadow.h"
#include "vmm/sched/sched.h"
#include "vmm/time/vclock.h"
#include "vmm/time/vtimer.h"
#include "vmm/vcpu.h"
#include "vmm/vmargs.h"

struct vm {
    u16 id; /* from 1 */
    bool alive;
    bool quiet; /* one of many generations: says no more on the console */
    u32 generation;
    const char *name;
    char label[552]; /* name and arguments, for the trace */
    struct vm_args args;
    const void *image;
    u32 image_size;
    u64 nonce, seed;

    struct guestmem mem;
    struct nested nested;
    struct shadow shadow;
    struct bus bus;
    struct pic pic;
    struct pit pit;
    struct uart uart;
    struct cmos cmos;
    struct kbd kbd;
    struct testport port;
    u64 printed; /* bytes on the console, over all generations */
    struct vclock clock;
    struct vtimer timer;
    struct vcpu vcpu;
    u64 heard;    /* accesses to the test port when the watchdog last looked, */
    u64 heard_at; /* and the VM's own clock (apparent, ns) then */
    struct sched_unit unit; /* the vCPU, as the scheduler knows it */
    u32 changed;            /* how many of the args' later parameters it has asked for */
    bool watched;           /* it has a watchdog, or later parameters */

    /* How it ended. */
    enum vm_end_how how;
    u64 code;
    u32 failed, passed; /* self-checks, over all generations */
};

/* The args and image must stay. 0, or a negative errno with a sentence. */
int vm_create(struct vm *, char *why, size_t why_size);
void vm_destroy(struct vm *);
/* The VM's end: only that VM's. The text says why, for a human. */
void vm_end(struct vm *, enum vm_end_how, u64 code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Attach the devices (vm_devices.c). */
void vm_devices_init(struct vm *);
/* Print what the guest drew into text memory, if it did. */
void vm_show_screen(const struct vm *);

#endif
