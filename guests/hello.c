/*
 * hello: the first guest. Prints a greeting, its command line, its memory map
 * and what CPUID says, makes a few self-checks and exits with success.
 * Three programs are made of it: hello (64-bit), hello32 (32-bit, paging off)
 * and hello-pae (32-bit, PAE); hello_mode() is what differs.
 */
#include "guests/hello.h"

static u64 zeroed[8]; /* .bss: the loader must have cleared it */

static void put_register(u32 v)
{
    for (int i = 0; i < 4; i++) {
        char c = (char)(v >> (8 * i));
        if (c >= ' ' && c <= '~')
            print("%c", c);
    }
}

static void print_cpu(void)
{
    struct cpuid v = cpuid(0, 0), f = cpuid(1, 0);
    print("CPUID: vendor ");
    put_register(v.b);
    put_register(v.d);
    put_register(v.c);
    print(", leaves 0 to %u, signature 0x%x, features 0x%x 0x%x\n", v.a, f.a, f.d, f.c);
    if (f.c >> 31) {
        struct cpuid h = cpuid(0x40000000, 0);
        print("CPUID: hypervisor ");
        put_register(h.b);
        put_register(h.c);
        put_register(h.d);
        print("\n");
    }
}

/* Print the map; returns how many usable bytes it lists. */
static u64 print_memory(const struct multiboot_info *info)
{
    u64 usable = 0;
    if (!(info->flags & MULTIBOOT_MMAP))
        return (info->mem_lower + info->mem_upper) * KIB;
    for (u32 at = 0; at < info->mmap_length;) {
        const struct multiboot_mmap *m = (const void *)(uintptr_t)(info->mmap_addr + at);
        print("memory: 0x%X to 0x%X %s\n", m->addr, m->addr + m->len - 1,
              m->type == 1 ? "usable" : "reserved");
        if (m->type == 1)
            usable += m->len;
        at += m->size + (u32)sizeof(m->size);
    }
    return usable;
}

static u64 sum_of_bss(void)
{
    u64 sum = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(zeroed); i++)
        sum |= *(volatile u64 *)&zeroed[i];
    return sum;
}

void guest_main(const struct multiboot_info *info)
{
    print("Hello from %s, in %s\n", testport_present() ? "a VM of Nestling" : "a bare machine",
          hello_mode_name);
    print("command line: \"%s\"\n", args_line());
    print("memory: %u KiB below 1 MiB, %u KiB above\n", info->mem_lower, info->mem_upper);
    check("memory", print_memory(info) >= MIB, 1);
    check("bss", sum_of_bss(), 0);
    print_cpu();
    if (testport_present()) /* no nesting is offered: SVM and VMX must be hidden */
        check("hidden", (cpuid(0x80000001, 0).c >> 2 & 1) | (cpuid(1, 0).c >> 5 & 1), 0);
    hello_mode();
    checkpoint("hello", guest_generation());
}
