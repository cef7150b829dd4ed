/*
 * Text memory: kernels that draw with characters at 0xb8000 can be looked at
 * when the VM ends. It is plain memory; nothing is emulated.
 */
#include "kernel/console.h"
#include "vmm/vm.h"

#define TEXT_MEMORY 0xb8000ull
#define COLUMNS 80
#define ROWS 25

static char printable(u16 cell)
{
    u8 c = (u8)cell;

    return c >= ' ' && c < 0x7f ? (char)c : c == 0 ? ' ' : '#';
}

static u32 row_text(const u16 *cells, char *out)
{
    u32 n = 0;

    for (u32 i = 0; i < COLUMNS; i++) {
        out[i] = printable(cells[i]);
        if (out[i] != ' ')
            n = i + 1;
    }
    return n;
}

void vm_show_screen(const struct vm *vm)
{
    const u16 *cells = guestmem_ptr(&vm->mem, gpa(TEXT_MEMORY), NULL);
    char row[COLUMNS];
    u32 used = 0;

    for (u32 y = 0; cells && y < ROWS; y++)
        if (row_text(cells + y * COLUMNS, row))
            used = y + 1;
    if (used)
        console_print("[%u %s] its screen:\n", vm->id, vm->name);
    for (u32 y = 0; y < used; y++) {
        u32 n = row_text(cells + y * COLUMNS, row);
        console_write("    |", 5);
        console_write(row, n);
        console_write("\n", 1);
    }
}
