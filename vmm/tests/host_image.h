/*
 * Images of kernels, made field by field, and a VM to load them into: for the
 * tests of vmm/boot. The VM is 8 MiB of rubbish, the image recognisable bytes.
 */
#ifndef VMM_TESTS_HOST_IMAGE_H
#define VMM_TESTS_HOST_IMAGE_H

#include "vmm/boot/multiboot.h"

#define IMAGE_MAGIC 0x1badb002u
#define IMAGE_RAM   (8u << 20)
#define IMAGE_SIZE  65536u

extern u8 *ram; /* the VM's memory from gPA 0 */
extern struct guestmem mem;
extern struct boot_state state;
extern char why[160];
extern u8 image[IMAGE_SIZE];

/* Begin anew: memory and image. */
void begin(void);
void put32(u32 at, u32 value);
u32 get32(u64 at); /* of the VM's memory */
u64 get64(u64 at);

/* A Multiboot header: magic, flags, checksum; and one with address fields. */
void put_header(u32 at, u32 flags);
void put_addresses(u32 at, u32 header, u32 load, u32 load_end, u32 bss_end, u32 entry);
/* At 0x84, with address fields, asking for a video mode. */
void put_video(u32 type, u32 width, u32 height, u32 depth);
/* Begin anew with an ELF32 for i386 of n program headers at 52 and a Multiboot
 * header at 0x400; fill in one of them. */
void put_elf(u32 entry, u32 n);
void put_segment(u32 i, u32 offset, u32 vaddr, u32 paddr, u32 filesz, u32 memsz);

/* Load the image's first size bytes; expect an error and its sentence. */
int load(u64 size);
void refuse(u64 size, int err, const char *sentence);

#endif
