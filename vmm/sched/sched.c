/*
 * All schedulers there are: to add one, add it here.
 */
#include "vmm/sched/sched.h"

#include "kernel/mem.h"

const struct sched_ops *const sched_all[] = {&sched_rr, &sched_bvt, &sched_sedf, &sched_credit,
                                             NULL};

const struct sched_ops *sched_find(const char *name, size_t len)
{
    for (u32 i = 0; sched_all[i]; i++)
        if (strlen(sched_all[i]->name) == len && memcmp(sched_all[i]->name, name, len) == 0)
            return sched_all[i];
    return NULL;
}
