/*
 * hello in 32-bit protected mode with PAE paging: maps its memory to itself by
 * 4 KiB pages, then one frame at a second address, and looks through both.
 */
#include "guests/hello.h"
#include "guests/lib/table.h"

#define ALIAS 0x40000000u

const char hello_mode_name[] = "32-bit protected mode, PAE paging";

extern char image_end[];

void hello_mode(void)
{
    u64 mapped = 4 * MIB < guest_memory_end() ? 4 * MIB : guest_memory_end();
    frames_init((uintptr_t)image_end, mapped);
    u64 root = table_new();
    table_map_identity(root, mapped, 1);
    u64 frame = frames_take(1, PAGE_SIZE);
    table_map(root, ALIAS, frame, 1, PTE_P | PTE_W);
    table_activate(root);

    check("paging", (read_cr0() & CR0_PG) && (read_cr4() & CR4_PAE), 1);
    *(volatile u32 *)ALIAS = 0x5a5a1234;
    check("alias", *(volatile u32 *)(uintptr_t)frame, 0x5a5a1234);
    check("dirty", *table_entry(root, ALIAS, 1) & (PTE_A | PTE_D), PTE_A | PTE_D);
    if (testport_present())
        check("walk", guest_walk(ALIAS + 8, WALK_READ), frame + 8);
}
