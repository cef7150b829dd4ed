/*
 * What the kernel is told at boot, whoever loaded it: QEMU's -kernel or our
 * own boot sector. Both hand over a Multiboot 1 information structure.
 */
#ifndef KERNEL_BOOTINFO_H
#define KERNEL_BOOTINFO_H

#include "kernel/types.h"
#include "kernel/bundle.h"

#define BOOT_MAX_RANGES 32

struct boot_range {
    hpa_t base;
    u64 size;
    bool usable;
};

struct bootinfo {
    const struct bundle *bundle;
    u64 bundle_size;
    u32 ranges;
    struct boot_range range[BOOT_MAX_RANGES];
};

/* Read the Multiboot information; ends the machine with a sentence and status
 * 3 if there is no bundle or it is bad. */
void bootinfo_read(struct bootinfo *info, u32 magic, hpa_t multiboot);

#endif
