/*
 * Loading the segments of a 32-bit ELF executable at their physical addresses.
 * It does not relocate, and looks at no section. Source: System V ABI, edition
 * 4.1, chapters 4 and 5; its i386 supplement.
 */
#include "kernel/mem.h"
#include "vmm/boot/load.h"

struct elf32_header {
    u8 ident[16];
    u16 type, machine;
    u32 version, entry, phoff, shoff, flags;
    u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
struct elf32_segment {
    u32 type, offset, vaddr, paddr, filesz, memsz, flags, align;
};
_Static_assert(sizeof(struct elf32_header) == 52, "ELF header");
_Static_assert(sizeof(struct elf32_segment) == 32, "ELF program header");

enum { EI_CLASS = 4, EI_DATA = 5, ELFCLASS32 = 1, ELFCLASS64 = 2, ELFDATA2LSB = 1 };
enum { ET_EXEC = 2, EM_386 = 3, PT_LOAD = 1 };

static int check_header(struct load *l, const struct elf32_header *h)
{
    if (h->ident[EI_CLASS] == ELFCLASS64)
        return load_refuse(l, -ENOTSUP,
                           "the kernel is a 64-bit ELF file, but Multiboot 1 loads 32-bit "
                           "ones: convert it with objcopy -O elf32-i386 IN OUT");
    if (h->ident[EI_CLASS] != ELFCLASS32 || h->ident[EI_DATA] != ELFDATA2LSB ||
        h->machine != EM_386)
        return load_refuse(l, -ENOTSUP, "the kernel is an ELF file, but not for i386 (machine %u)",
                           h->machine);
    if (h->type != ET_EXEC)
        return load_refuse(l, -ENOTSUP,
                           "the kernel is an ELF file, but no executable (type %u): "
                           "link it without -r, -shared and -pie",
                           h->type);
    if (h->phentsize < sizeof(struct elf32_segment) || h->phoff > l->size ||
        (u64)h->phentsize * h->phnum > l->size - h->phoff)
        return load_refuse(l, -EINVAL,
                           "the kernel's ELF program headers lie behind the file's end");
    return 0;
}

static struct elf32_segment segment(const struct load *l, const struct elf32_header *h, u32 i)
{
    struct elf32_segment s;

    memcpy(&s, l->image + h->phoff + (u64)i * h->phentsize, sizeof(s));
    return s;
}

static bool is_loaded(const struct elf32_segment *s)
{
    return s->type == PT_LOAD && s->memsz;
}

/* Kernels that run at high virtual addresses give their entry as one of these,
 * or as a physical address; both are in use. */
static int find_entry(struct load *l, const struct elf32_header *h, u64 *entry)
{
    for (u32 i = 0; i < h->phnum; i++) {
        struct elf32_segment s = segment(l, h, i);
        if (is_loaded(&s) && h->entry >= s.vaddr && h->entry - s.vaddr < s.memsz) {
            *entry = (u64)s.paddr + (h->entry - s.vaddr);
            return 0;
        }
    }
    *entry = h->entry;
    if (!load_contains(l, *entry))
        return load_refuse(l, -EINVAL, "the kernel's entry point 0x%x lies outside what was loaded",
                           h->entry);
    return 0;
}

int elf32_load(struct load *l, u64 *entry)
{
    struct elf32_header h;

    if (l->size < sizeof(h) || memcmp(l->image, "\177ELF", 4))
        return load_refuse(l, -EINVAL,
                           "the kernel's Multiboot header has no address fields "
                           "(flag 16), and the file is no ELF file");
    memcpy(&h, l->image, sizeof(h));
    int err = check_header(l, &h);
    for (u32 i = 0; !err && i < h.phnum; i++) {
        struct elf32_segment s = segment(l, &h, i);
        if (is_loaded(&s))
            err = load_part(l, s.offset, s.filesz, s.paddr, s.memsz);
    }
    if (!err && !l->parts)
        err = load_refuse(l, -EINVAL, "the kernel's ELF file has no segment to load");
    return err ? err : find_entry(l, &h, entry);
}
