/*
 * The one VM of a test whose guest's page faults exit, and the rig's questions about
 * it, in short. For one .c file each.
 */
#ifndef VMM_TESTS_PAGED_H
#define VMM_TESTS_PAGED_H

#include "vmm/tests/rig.h"

static struct vm vm;
static struct vcpu *const v = &vm.vcpu;

static inline u64 leaf(u64 gva)
{
    return rig_leaf(&vm, gva, RIG_TOP);
}
static inline u64 host(u64 at)
{
    return rig_host(&vm, at);
}
static inline bool hidden(u64 gva, u32 error)
{
    return rig_hidden(&vm, gva, error);
}

#endif
