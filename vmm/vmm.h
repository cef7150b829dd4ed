/*
 * The VMM as the kernel sees it: one call.
 */
#ifndef VMM_VMM_H
#define VMM_VMM_H

#include "kernel/bundle.h"
#include "kernel/hostexit.h"

/* Run the bundle's guests to their end; the status for the harness. */
enum host_status vmm_main(const struct bundle *);

#endif
