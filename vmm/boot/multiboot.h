/*
 * Loading a guest: Multiboot 1 kernels (ELF32, or address fields) and raw
 * real-mode images. The image is hostile until checked: every offset and size
 * is, and errors are sentences. Source: Multiboot Specification 0.6.96.
 */
#ifndef VMM_BOOT_MULTIBOOT_H
#define VMM_BOOT_MULTIBOOT_H

#include "kernel/types.h"
#include "vmm/guestmem.h"

#define MULTIBOOT_HEADER_MAGIC 0x1badb002u
#define MULTIBOOT_BOOT_MAGIC   0x2badb002u

/* How the guest is to be started. */
struct boot_state {
    bool real_mode; /* raw image at 0x7c00; else 32-bit protected mode */
    u64 entry;
    u32 eax, ebx;
};

/* Is there a Multiboot header? */
bool multiboot_recognise(const void *image, u64 size);
/* Load the image, build the information structure (memory map from the slots,
 * command line, boot loader name) below 1 MiB of the guest. 0, or
 * -EINVAL/-ENOTSUP with a sentence in why (at least 120 bytes). */
int multiboot_load(const struct guestmem *, const void *image, u64 size, const char *cmdline,
                   struct boot_state *, char *why, size_t why_size);
/* Copy a raw image to 0x7c00. Same errors. */
int raw_load(const struct guestmem *, const void *image, u64 size, struct boot_state *, char *why,
             size_t why_size);

#endif
