/*
 * Page tables built by hand for unit tests, in 64 MiB of 'physical memory'
 * that lies at its own address on the host: RAM_HPA is both.
 *
 * Guest-physical 0 to 32 MiB is its first half; nested tables come from the
 * second. It shares no code with vmm/mmu and checks nothing: a test that wants
 * a wrong entry writes it.
 */
#ifndef VMM_TESTS_HOST_TABLES_H
#define VMM_TESTS_HOST_TABLES_H

#include "kernel/types.h"
#include "vmm/guestmem.h"

#define RAM_HPA    0x40000000ull /* a multiple of 1 GiB: a 1 GiB page fits */
#define RAM_SIZE   (64ull << 20)
#define GUEST_SIZE (32ull << 20)

enum table_kind { TABLE_LONG, TABLE_PAE, TABLE_LEGACY32 };

/* One set of tables. */
struct tables {
    enum table_kind kind;
    int levels;
    u64 to_host; /* add to a table's address to reach it on the host */
    u64 root, next;
};

/* Fresh memory, all zero, and a guestmem over its first half. */
void ram_begin(struct guestmem *);
/* Guest tables from 1 MiB up; nested ones at host-physical addresses. */
void tables_guest(struct tables *, enum table_kind, int levels);
void tables_nested(struct tables *);
/* Map one page: leaf is the level that maps it. flags go into the leaf; upper
 * levels get P, W and U (PAE directory pointers P alone). */
void tables_map(struct tables *, u64 addr, u64 target, int leaf, u64 flags);
/* The entry of that level for an address: on the host, and as the tables count. */
void *tables_entry(const struct tables *, u64 addr, int level);
u64 tables_entry_addr(const struct tables *, u64 addr, int level);
u64 tables_read(const struct tables *, u64 addr, int level);
void tables_write(const struct tables *, u64 addr, int level, u64 entry);
u32 tables_index(const struct tables *, u64 addr, int level);
u64 tables_page_size(const struct tables *, int level);

#endif
