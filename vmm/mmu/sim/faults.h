/*
 * Nested faults without a processor: a VM that has memory slots and nested tables
 * and nothing else, and what exit_nested() makes of an exit.
 */
#ifndef VMM_MMU_SIM_FAULTS_H
#define VMM_MMU_SIM_FAULTS_H

#include "vmm/mmu/nested.h"

/* What an exit was about. */
enum { FAULT_IN_WALK = 1, FAULT_PRESENT = 2, FAULT_MISCONFIG = 4, FAULT_PENDING = 8 };

/* A VM without memory; its nested tables. */
struct nested *faults_begin(u16 vm);
int faults_slot(u64 gpa, u64 size, u64 hpa, u8 access);
/* One exit, handled and told on standard output: "on", "emulated", "raised" or "ended HOW". */
void faults_exit(u64 gpa, u8 access, u8 about);

#endif
