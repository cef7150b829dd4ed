/*
 * A rig for tests of the VMM's core: one VM on the fake backend, made by
 * vm_create() from an argument line and a raw image, and the registers that a
 * guest of each mode would run with.
 */
#ifndef VMM_TESTS_RIG_H
#define VMM_TESTS_RIG_H

#include "vmm/cpubits.h"
#include "vmm/fake/fake.h"
#include "vmm/vm.h"

#define RIG_CODE 0x7c00ull /* where raw images are placed and entered */
#define RIG_ROOT 0x10000ull /* page tables of rig_long_mode() */

/* What rig_insn() and the paging of a test see as the machine's state bits. */

enum rig_mode { RIG_REAL, RIG_FLAT32, RIG_LONG };

/* A fresh trace, time 0, an unarmed timer, no calls recorded; then a VM made
 * from these arguments (mem=1M if they say nothing of it), its vCPU running and loaded. */
void rig_begin(struct vm *, const char *args);
/* Make it again without clearing anything: 0, or vm_create()'s error. */
int rig_create(struct vm *, u16 id, const char *args, char *why, size_t why_size);
/* Destroy it; checks that no frame is left. */
void rig_end(struct vm *);

/* Put the vCPU into a mode. RIG_LONG maps 2 MiB from address 0 to itself with
 * 4 KiB pages, user-accessible and writable. */
void rig_mode(struct vm *, enum rig_mode);
/* Bytes at RIP. */
void rig_code(struct vm *, const void *code, u32 n);
#define RIG_CODE_AT(vm, ...)                                                                       \
    rig_code(vm, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

/* Handle one exit at RIP; its rip and reason are filled in here. */
void rig_exit(struct vm *, enum exit_reason, struct exit x);
/* An IN or OUT of the guest, as an exit; the value read. */
u32 rig_in(struct vm *, u16 port, u8 size);
void rig_out(struct vm *, u16 port, u8 size, u32 value);

/* What the VM's last end said, until the next call; "" if it is alive. */
const char *rig_why(const struct vm *);
/* Is that exception waiting to be delivered, and nothing else done? */
bool rig_raised(const struct vm *, u8 vector, s64 error /* -1: none */);

/* --- Guests whose page faults exit: mmu=shadow, mmu=vtlb --------------------------------- */

#define RIG_TOP 39 /* where the index of level 4 begins in a gVA */

/* A page fault exits, with that error code. */
void rig_fault(struct vm *, u64 gva, u32 error);
/* The same, and the guest will never know. */
bool rig_hidden(struct vm *, u64 gva, u32 error);
/* The leaf that a processor would find in the tables it now uses, whose uppermost index
 * begins at bit `top`; 0: none. */
u64 rig_leaf(struct vm *, u64 gva, int top);
/* The hPA of a gPA. */
u64 rig_host(struct vm *, u64 gpa);

#endif
