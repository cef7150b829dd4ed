/*
 * A VMCS for unit tests: fields by their encoding, as VMREAD and VMWRITE reach
 * them, and one that passes every check.
 */
#ifndef VMM_TESTS_HOST_VMCS_H
#define VMM_TESTS_HOST_VMCS_H

#include "vmm/vmx/vmx.h"

/* All fields 0. */
void host_vmcs_clear(void);
/* What the backend enters a 32-bit Multiboot guest with, on a processor of which
 * vmx_caps says so little that its checks mean something. */
void host_vmcs_good(void);
/* The same, long mode with paging switched on. */
void host_vmcs_long(void);

#endif
