/*
 * What the parts of the Multiboot loader share: the image being loaded, where
 * its parts went, and the sentence when it cannot be. Internal to vmm/boot.
 */
#ifndef VMM_BOOT_LOAD_H
#define VMM_BOOT_LOAD_H

#include "kernel/format.h"
#include "vmm/boot/memmap.h"
#include "vmm/guestmem.h"

#define LOAD_MAX_PARTS 32

struct load {
    const struct guestmem *mem;
    const u8 *image;
    u64 size;
    struct memmap map;
    u32 parts;
    struct {
        u64 start, end; /* guest-physical */
    } part[LOAD_MAX_PARTS];
    char *why;
    size_t why_size;
};

/* Write the sentence: its value is err, which the caller returns. */
#define load_refuse(l, err, ...) (format((l)->why, (l)->why_size, __VA_ARGS__), (err))

/* Copy file_size bytes from an offset of the image to a gPA, zeros up to
 * mem_size. Checked: the file has them, the memory exists, no other part lies
 * there. 0, or -EINVAL with a sentence. */
int load_part(struct load *, u64 offset, u64 file_size, u64 gpa, u64 mem_size);
/* The lowest-ranging page-aligned free place for size bytes: the top of the
 * memory below 640 KiB if it fits there, else of what follows below 4 GiB;
 * 0: there is none. */
u64 load_find_room(const struct load *, u64 size);
/* Is it inside something that was loaded? */
bool load_contains(const struct load *, u64 gpa);

/* elf32.c: load the program headers of an executable. */
int elf32_load(struct load *, u64 *entry);

/* mbinfo.c: the information structure. text_mode: the kernel asked about the
 * screen. *info is its gPA. 0, or -EINVAL with a sentence. */
int mbinfo_make(struct load *, const char *cmdline, bool text_mode, u32 *info);

#endif
