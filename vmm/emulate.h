/*
 * Executing a decoded instruction in the processor's place: data instructions
 * whose memory operand the processor could not reach (device memory, absent
 * memory, pages we protect), and string port I/O.
 *
 * Pure: the guest is seen only through the functions of struct emu_ctx, so the
 * same code runs in unit tests. It does not advance RIP, check I/O permission
 * (the processor did) or alignment (#AC), nor trap single steps.
 * Source: AMD64 Manual vol. 1 (24592) ch. 3, vol. 2 (24593) ch. 4, vol. 3 (24594).
 */
#ifndef VMM_EMULATE_H
#define VMM_EMULATE_H

#include "kernel/types.h"
#include "vmm/hv.h"
#include "vmm/insn.h"

/* Iterations of a REP that one call carries out at most. The shortest slice is
 * 100 us and an iteration may cost 4 us (a walk asked of the test port): what
 * runs over is taken from the other VMs. */
#define EMU_CHUNK 8

/* What the guest is to be told. */
struct emu_fault {
    u8 vector;
    bool has_error;
    u32 error;
    u64 cr2; /* of a page fault */
};

struct emu_ctx {
    void *opaque;
    u64 *gpr; /* the 16 general registers */
    u64 *rflags;
    u64 rip;             /* of the instruction */
    u8 mode;             /* the code's default size: 2, 4, 8 (64-bit mode) */
    bool protected_mode; /* not real, not virtual-8086 mode: segments have types */

    void (*seg)(void *opaque, enum hv_seg, struct seg *);
    /* Accesses by linear address through the guest's paging, never across the
     * end of a page. 0, or -EFAULT and *fault. check only says whether an
     * access (ACCESS_WRITE or 0) would succeed. */
    int (*check)(void *opaque, u64 linear, u32 n, u8 access, struct emu_fault *);
    int (*read)(void *opaque, u64 linear, void *to, u32 n, struct emu_fault *);
    int (*write)(void *opaque, u64 linear, const void *from, u32 n, struct emu_fault *);
    u32 (*port_in)(void *opaque, u16 port, u8 size);
    void (*port_out)(void *opaque, u16 port, u8 size, u32 value);
};

/* Execute one instruction.
 *   0         done: the caller advances RIP
 *   -EBUSY    a part of a REP is done: RIP stays, it goes on at the next entry
 *   -EFAULT   *fault is due at this RIP; nothing but completed iterations of a
 *             REP has changed registers or memory
 *   -ENOTSUP  not an instruction that is emulated; nothing has changed */
int emulate_insn(struct emu_ctx *, const struct insn *, struct emu_fault *);

#endif
