/*
 * Reading what the loader left: the memory map of the Multiboot information,
 * and the bundle, as its first module or at the fixed place where an emulator
 * put it. Source: Multiboot 0.6.96, 3.3; handouts/formats.md section 2.
 */
#include "kernel/bootinfo.h"
#include "kernel/console.h"
#include "kernel/hostexit.h"
#include "kernel/mem.h"

#define MB_BOOT_MAGIC 0x2badb002u
#define MB_MODULES    (1u << 3)
#define MB_MMAP       (1u << 6)
#define BUNDLE_BASE   0x08000000ull

struct mb_info {
    u32 flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4];
    u32 mmap_length, mmap_addr;
};

struct mb_module {
    u32 start, end, string, reserved;
};

struct mb_range {
    u32 size; /* of the rest */
    u64 base, length;
    u32 type; /* 1: usable */
} __attribute__((packed));

static _Noreturn void refuse(const char *why)
{
    console_print("nestling: %s\n", why);
    host_exit(STATUS_REFUSED);
}

static void read_map(struct bootinfo *info, const struct mb_info *mb)
{
    u64 at = mb->mmap_addr, end = at + mb->mmap_length;

    while (at < end && info->ranges < BOOT_MAX_RANGES) {
        const struct mb_range *r = hpa_ptr(hpa(at));
        info->range[info->ranges++] =
            (struct boot_range){hpa(r->base), r->length, r->type == 1};
        at += r->size + 4;
    }
}

static void find_bundle(struct bootinfo *info, const struct mb_info *mb)
{
    if (mb->flags & MB_MODULES && mb->mods_count) {
        const struct mb_module *m = hpa_ptr(hpa(mb->mods_addr));
        info->bundle = hpa_ptr(hpa(m->start));
        info->bundle_size = m->end - m->start;
    } else {
        info->bundle = hpa_ptr(hpa(BUNDLE_BASE));
        if (memcmp(info->bundle->magic, BUNDLE_MAGIC, 8) != 0)
            refuse("no bundle: neither a Multiboot module nor one at 128 MiB");
        info->bundle_size = info->bundle->size;
    }
}

void bootinfo_read(struct bootinfo *info, u32 magic, hpa_t multiboot)
{
    const struct mb_info *mb = hpa_ptr(multiboot);

    memset(info, 0, sizeof(*info));
    if (magic != MB_BOOT_MAGIC)
        refuse("not started by a Multiboot loader");
    if (!(mb->flags & MB_MMAP))
        refuse("the loader gave no memory map");
    read_map(info, mb);
    find_bundle(info, mb);
    const char *why = bundle_check(info->bundle, info->bundle_size);
    if (why)
        refuse(why);
}
