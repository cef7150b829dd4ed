/*
 * The host's own address space: all memory at its physical address.
 */
#ifndef KERNEL_PAGING_H
#define KERNEL_PAGING_H

/* Replace the boot tables: the kernel's code read-only, its data not
 * executable, page 0 and the guard below the stack not mapped, devices
 * uncached, everything one to one up to 4 GiB. */
void paging_init(void);

/* Map page 0 and the guard too: for a debugger that reads all memory. */
void paging_reveal(void);

#endif
