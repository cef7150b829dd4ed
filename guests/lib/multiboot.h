/*
 * What a Multiboot 1 loader hands over, as far as our guests read it.
 * Multiboot Specification 0.6.96, section 3.3. Asm files take the constants.
 */
#ifndef GUESTS_LIB_MULTIBOOT_H
#define GUESTS_LIB_MULTIBOOT_H

#define MULTIBOOT_HEADER_MAGIC 0x1badb002
#define MULTIBOOT_HEADER_FLAGS 0x3 /* modules page-aligned, memory information */
#define MULTIBOOT_BOOT_MAGIC   0x2badb002

#ifndef __ASSEMBLER__
#include "guests/lib/types.h"

enum { MULTIBOOT_MEM = 1 << 0, MULTIBOOT_CMDLINE = 1 << 2, MULTIBOOT_MMAP = 1 << 6 };

struct multiboot_info {
    u32 flags;
    u32 mem_lower; /* KiB from 0 */
    u32 mem_upper; /* KiB from 1 MiB */
    u32 boot_device;
    u32 cmdline; /* physical address */
    u32 mods_count;
    u32 mods_addr;
    u32 syms[4];
    u32 mmap_length; /* bytes */
    u32 mmap_addr;
};

/* size does not count itself; the next entry is at &size + 4 + size. */
struct multiboot_mmap {
    u32 size;
    u64 addr;
    u64 len;
    u32 type; /* 1: usable memory */
} __attribute__((packed));
#endif

#endif
