/*
 * A guest's own page tables in the two formats of 64-bit entries: PAE (three
 * levels, 32-bit code) and long mode (four levels). Which one is built is
 * decided by the code's width, so one source serves walker and walker-pae.
 */
#ifndef GUESTS_LIB_TABLE_H
#define GUESTS_LIB_TABLE_H

#include "guests/lib/types.h"

#ifdef __x86_64__
#define TABLE_LEVELS 4
#else
#define TABLE_LEVELS 3
#endif

#define PTE_P       (1ull << 0)
#define PTE_W       (1ull << 1)
#define PTE_U       (1ull << 2)
#define PTE_A       (1ull << 5)
#define PTE_D       (1ull << 6)
#define PTE_PS      (1ull << 7)
#define PTE_NX      (1ull << 63)
#define PTE_ADDRESS 0x000ffffffffff000ull

/* A page's level in the tables: 1 maps 4 KiB, 2 maps 2 MiB, 3 maps 1 GiB (long mode only). */
static inline u64 table_page_size(int level)
{
    return PAGE_SIZE << (9 * (level - 1));
}

/* Frames for tables and data are taken upwards from here; see frames_init. */
void frames_init(u64 first, u64 end);
/* n zeroed frames whose address is a multiple of align; ends the guest when there are none. */
u64 frames_take(u64 n, u64 align);

/* An empty root. */
u64 table_new(void);
/* Map gva to gpa by one page of that level; bits are those of the leaf entry. */
void table_map(u64 root, u64 gva, u64 gpa, int level, u64 bits);
/* Map what lies from 0 to end to itself, readable and writable, by pages of that level. */
void table_map_identity(u64 root, u64 end, int level);
/* The entry that maps gva at that level, or NULL: the tables as memory, nothing walked by hardware.
 */
u64 *table_entry(u64 root, u64 gva, int level);
/* Turn paging on with this root (PAE), or change to it (long mode). */
void table_activate(u64 root);

#endif
