/*
 * A fence around a guest on a shadow. What the processor takes for its root is a
 * host-physical address, so nobody but the VMM may choose it. MOV CR3 exits; but a task
 * switch by hardware, which there is outside of long mode, loads CR3 too, and not every
 * processor lets it exit (QEMU's does not). There nested paging stays on behind the
 * shadow: a table that leads each address to itself, and only the VM's own frames and
 * shadow pages are in it. Whatever tables such a guest brings, they lead to nothing else.
 *
 * What it leaves in the shadow pages is not to be trusted. A task switch sets CR0.TS, and
 * clearing it exits: so the backend sees that there was one (EXIT_TASK_SWITCH), and the
 * VM ends. A guest that has set TS itself would hide it, and runs without a shadow.
 * Source: AMD64 Manual vol. 2, 12.3 (task switches), 15.9 (the intercept), 15.25.
 */
#include "kernel/frame.h"
#include "vmm/cpubits.h"
#include "vmm/hv.h"
#include "vmm/mmu/shadow.h"
#include "vmm/vm.h"

bool shadow_fences;

static bool switches_tasks(struct vcpu *v)
{
    return shadow_fences && !(hv_get(v, HV_EFER) & EFER_LMA);
}

bool shadow_hides_switches(struct vcpu *v)
{
    return switches_tasks(v) && hv_get(v, HV_CR0) & CR0_TS;
}

static int let_in(struct nested *fence, u64 from, u64 size)
{
    for (u64 at = from; at < from + size; at += PAGE_SIZE)
        if (nested_map(fence, gpa(at), hpa(at), ACCESS_WRITE | ACCESS_EXEC) != 0)
            return -ENOMEM;
    return 0;
}

static int make(struct shadow *s)
{
    if (nested_init(&s->fence, s->vm) != 0)
        return -ENOMEM;
    s->fence.quiet = true;
    for (u32 i = 0; i < s->mem->slots; i++)
        if (let_in(&s->fence, s->mem->slot[i].hpa.v, s->mem->slot[i].size) != 0)
            return -ENOMEM;
    return let_in(&s->fence, s->base + PAGE_SIZE, s->pages * PAGE_SIZE);
}

int shadow_fence(struct vcpu *v, hpa_t *root)
{
    struct shadow *s = &v->vm->shadow;
    int err = 0;

    *root = hpa(0);
    if (!switches_tasks(v))
        return 0;
    if (!s->fence.root.v)
        err = make(s);
    *root = s->fence.root;
    return err;
}
