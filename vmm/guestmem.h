/*
 * A VM's memory: slots of guest-physical addresses backed by host frames, and
 * copying to and from a guest by physical or virtual address.
 *
 * Every access is checked against the slots: nothing outside them is touched,
 * whatever the guest's tables say. What lies outside is an MMIO hole. A slot may
 * be read-only for its VM, or not executable.
 */
#ifndef VMM_GUESTMEM_H
#define VMM_GUESTMEM_H

#include "kernel/types.h"

#define GUESTMEM_SLOTS 8

struct slot {
    gpa_t gpa;
    u64 size; /* bytes, whole pages */
    hpa_t hpa;
    u8 access; /* ACCESS_WRITE, ACCESS_EXEC: what its VM may do besides reading */
};

struct guestmem {
    u32 slots;
    struct slot slot[GUESTMEM_SLOTS]; /* ascending, not overlapping */
};

/* Add a slot; -EINVAL: not page-aligned or overlapping; -ENOSPC. */
int guestmem_add_as(struct guestmem *, gpa_t gpa, u64 size, hpa_t hpa, u8 access);
/* The same for memory that may be written and executed. */
int guestmem_add(struct guestmem *, gpa_t gpa, u64 size, hpa_t hpa);
/* The slot that holds this byte; NULL: a hole. */
const struct slot *guestmem_slot(const struct guestmem *, gpa_t);
/* The host address of a byte of guest memory and how many bytes follow in
 * the same slot (*run may be NULL); NULL if there is no memory. */
void *guestmem_ptr(const struct guestmem *, gpa_t, u64 *run);
static inline bool guestmem_has(const struct guestmem *m, gpa_t a)
{
    return guestmem_ptr(m, a, NULL) != NULL;
}
bool guestmem_writable(const struct guestmem *, gpa_t); /* is there memory, and may it be written? */
/* Whole or not at all: 0 or -EFAULT, also for a write to what is read-only. */
int guestmem_read(const struct guestmem *, gpa_t, void *to, u64 n);
int guestmem_write(const struct guestmem *, gpa_t, const void *from, u64 n);

#endif
