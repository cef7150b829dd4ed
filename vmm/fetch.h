/*
 * Reaching into a guest by its own addresses: the instruction at RIP, and
 * memory through its segments and page tables.
 */
#ifndef VMM_FETCH_H
#define VMM_FETCH_H

#include "vmm/emulate.h"
#include "vmm/insn.h"
#include "vmm/vcpu.h"

/* The linear address of RIP. */
u64 fetch_linear(struct vcpu *);
/* Decode the instruction at RIP. 0; -EFAULT: its bytes cannot be reached;
 * -EINVAL: no such instruction. */
int fetch_insn(struct vcpu *, struct insn *);
/* The same for a handler that cannot go on without it. False: the guest gets a
 * #UD (QEMU lets a few invalid forms exit), or has come to its end. */
bool fetch_needed(struct vcpu *, struct insn *);
/* Execute it: what touches memory outside the slots, or string I/O. Ends in
 * the guest going on, in a fault of its own, or in that VM's end. */
void fetch_emulate(struct vcpu *, const struct insn *);
/* The same for who has another way: -ENOTSUP if it is not one that is emulated, and then
 * nothing has happened. */
int fetch_execute(struct vcpu *, const struct insn *);
/* The linear address of its memory operand. False: none that the segment allows. */
bool fetch_address(struct vcpu *, const struct insn *, u64 *linear);
/* gVA to gPA as the guest's processor walks, on whatever the VM runs. */
enum walk_fault fetch_walk(struct vcpu *, gva_t, u8 access, bool set_ad, struct walk *);

/* The 16-bit register or memory operand of LMSW or LTR. False: reading it
 * faulted, or ended the VM; nothing else has changed. */
bool fetch_word(struct vcpu *, const struct insn *, u16 *);
/* n bytes at a linear address as the processor itself reads and writes them,
 * with supervisor rights. False: as above. */
bool fetch_system(struct vcpu *, u64 linear, void *data, u32 n, bool write);

#endif
