/*
 * The registry of schedulers for tests that only need its names.
 */
#include <string.h>
#include "vmm/sched/sched.h"

const struct sched_ops sched_rr = {.name = "rr"};
const struct sched_ops *const sched_all[] = {&sched_rr, NULL};

const struct sched_ops *sched_find(const char *name, size_t len)
{
    return len == 2 && !memcmp(name, "rr", 2) ? &sched_rr : NULL;
}
