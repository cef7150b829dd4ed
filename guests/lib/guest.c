/*
 * From the trampoline to the guest's own main function: command line, test
 * port, traps and a PIC with every line masked. Interrupts stay off.
 */
#include "guests/lib/guest.h"

void guest_start(u32 magic, const struct multiboot_info *info);

static u64 memory_end = 2 * MIB;

u64 guest_memory_end(void)
{
    return memory_end;
}

void guest_needs(u64 end)
{
    if (memory_end >= end)
        return;
    print("needs memory up to 0x%X: give this VM more (mem=)\n", end);
    guest_exit(EXIT_NO_MEMORY);
}

void guest_hold(void)
{
    while (args_number("hold", 0, 0, 1))
        halt_until_interrupt();
}

void guest_start(u32 magic, const struct multiboot_info *info)
{
    if (magic == MULTIBOOT_BOOT_MAGIC && info->flags & MULTIBOOT_CMDLINE)
        args_init((const char *)(uintptr_t)info->cmdline);
    testport_init();
    check("magic", magic, MULTIBOOT_BOOT_MAGIC);
    if (info->flags & MULTIBOOT_MEM && info->mem_upper > 1024)
        memory_end = MIB + info->mem_upper * KIB;
    trap_init();
    pic_init();
    guest_main(info);
    guest_exit(0);
}
