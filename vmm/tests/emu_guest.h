/*
 * A guest for tests of the emulator: registers, segments, a window of pages
 * that can be absent or read-only, and ports that remember what was written.
 */
#ifndef VMM_TESTS_EMU_GUEST_H
#define VMM_TESTS_EMU_GUEST_H

#include "vmm/emulate.h"

#define GUEST_PAGES 8
#define GUEST_SIZE  (GUEST_PAGES * PAGE_SIZE)
#define GUEST_PORTS 64

struct emu_guest {
    struct emu_ctx ctx; /* ready for emulate_insn() */
    u64 gpr[GPR_COUNT];
    u64 rflags;
    struct seg seg[6];
    u64 base; /* linear address of the window */
    u8 bytes[GUEST_SIZE];
    bool absent[GUEST_PAGES], read_only[GUEST_PAGES];
    u32 reads, writes; /* calls */
    bool crossed;      /* an access crossed the end of a page */
    struct {
        u16 port;
        u8 size;
        bool in;
        u32 value;
    } port[GUEST_PORTS];
    u32 ports;
    u32 next_input; /* what the next IN reads; grows by 0x01010101 */
};

/* Flat segments, code of that size, all pages there and zero. */
void emu_guest_init(struct emu_guest *, u8 mode, u64 base);
/* Decode and execute; the result of emulate_insn(), or 1 if not decoded. */
int emu_guest_run(struct emu_guest *, const u8 *code, u32 n, struct emu_fault *);

#endif
