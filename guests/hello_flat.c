/*
 * hello in 32-bit protected mode as Multiboot enters it: paging must be off,
 * and memory that is written at an address is there.
 */
#include "guests/hello.h"

const char hello_mode_name[] = "32-bit protected mode, paging off";

static volatile u32 word;

void hello_mode(void)
{
    check("paging", read_cr0() & (CR0_PG | CR0_PE), CR0_PE);
    word = 0x12345678;
    check("word", word, 0x12345678);
}
