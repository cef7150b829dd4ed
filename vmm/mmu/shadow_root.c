/*
 * The root: MOV CR3, and what else decides how the guest pages. A root that was used
 * before is found again with all that hangs on it, so that going from one address space
 * to another and back costs no faults.
 *
 * A guest without paging runs on its nested table, writes to all its memory without an
 * exit, and so leaves nothing of the shadow that could be trusted.
 * Source: AMD64 Manual vol. 2, 5.5.2 (what flushes), 5.2.3 (PAE's directory pointers).
 */
#include "kernel/todo.h"
#include "vmm/cpubits.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/mmu/shadow.h"
#include "vmm/vm.h"

#define EXCEPTION_PF (1u << 14)
#define POINTERS     4u

/* --- PAE's directory pointers -------------------------------------------------------- */

static bool pointer_is_good(u64 pointer)
{
    return !(pointer & PTE_P) || !(pointer & pt_reserved(&pt_pae, &pt_pae.level[0], false, false));
}

bool shadow_load_pointers(struct vcpu *v, const struct guest_paging *paging)
{
    struct shadow *s = &v->vm->shadow;
    gpa_t at = gpa(paging->cr3 & pt_pae.root_mask);
    u64 list[POINTERS];

    if (!s->on || s->software || paging_mode(paging) != PAGING_PAE)
        return true;
    if (guestmem_read(&v->vm->mem, at, list, sizeof(list)) != 0)
        memset(list, 0, sizeof(list)); /* reload() says so */
    for (u32 i = 0; i < POINTERS; i++)
        if (!pointer_is_good(list[i]))
            return false;
    memcpy(s->pointer, list, sizeof(list));
    return true;
}

/* The processor walks a list of four in our place. If the guest's pointers are not those
 * for which this one was made, entries go. */
static void renew_pointers(struct shadow *s, struct shadow_page *root)
{
    /* LAB 4 BEGIN: What was made for another pointer than the processor holds now goes. */
    for (u32 i = 0; s->mode == PAGING_PAE && i < POINTERS; i++) {
        if (root->made_for[i] != s->pointer[i])
            shadow_clear(s, root, i);
        root->made_for[i] = s->pointer[i];
    }
    /* LAB 4 END: todo(4, "4.3", s, root); */
}

/* --- The root ------------------------------------------------------------------------ */

/* The page for this CR3, all that was out of step compared; NULL: it lies outside of memory. */
static struct shadow_page *root_for(struct shadow *s, u64 cr3)
{
    /* LAB 4 BEGIN: A flush, then the page for CR3, found again if it was there. */
    const struct pt_format *f = pt_format_of(s->mode);
    gpa_t table = gpa(cr3 & f->root_mask);
    u32 level = s->mode == PAGING_LONG4 ? 4 : 3;
    hpa_t host;
    u32 frame = shadow_frame_at(s, table, &host);

    if (s->unsynced)
        shadow_sync_all(s);
    if (!frame)
        return NULL;
    if (level == 4)
        return shadow_get(s, table, frame, s->role | ROLE_MAKE(level, 0, SHADOW_ALL));
    struct shadow_page *p =
        shadow_get(s, table, frame, s->role | ROLE_POINTERS | ROLE_MAKE(level, 0, SHADOW_ALL));
    renew_pointers(s, p);
    return p;
    /* LAB 4 END: todo(4, "4.3", s, cr3, renew_pointers); */
}

static __attribute__((noinline)) void trace_root(struct vcpu *v, hpa_t root, bool cached)
{
    TRACE_BY(shadow_root, v->who, .groot = hv_get(v, HV_CR3), .root = root.v,
             .mode = root.v ? v->vm->shadow.mode : PAGING_OFF, .cr0 = hv_get(v, HV_CR0),
             .cr4 = hv_get(v, HV_CR4), .efer = hv_get(v, HV_EFER), .cached = cached);
}

/* What has to exit follows from whether it runs on a shadow. */
static void run_on(struct vcpu *v, hpa_t root, hpa_t fence)
{
    struct hv_ctl *c = &v->ctl;
    bool on = root.v;

    c->shadow_root = root;
    c->fence_root = fence;
    c->exceptions = on ? c->exceptions | EXCEPTION_PF : c->exceptions & ~EXCEPTION_PF;
    c->cr3_exits = on;
    c->invlpg_exits = on || v->vm->args.exits == EXITS_INVLPG;
    v->vm->shadow.active = on;
    hv->configure(v);
}

static void stop(struct vcpu *v)
{
    struct shadow *s = &v->vm->shadow;

    if (!s->active)
        return;
    shadow_drop_all(s, ZAP_MODE);
    run_on(v, hpa(0), hpa(0));
    trace_root(v, hpa(0), false);
}

/* The root for this CR3 becomes the active one. False: that was the VM's end. */
static bool choose(struct vcpu *v, u64 cr3)
{
    struct shadow *s = &v->vm->shadow;
    struct shadow_page *p = s->software ? vtlb_root(s, cr3) : root_for(s, cr3);

    if (!p) {
        vm_end(v->vm, END_UNSUPPORTED, 0, "its page tables lie at gPA %#lx, outside its memory",
               cr3);
        return false;
    }
    s->root = (u16)p->number;
    s->strict = s->uppers || s->role & ROLE_STRICT;
    s->narrowed = false; /* who changes the root has flushed everything */
    v->ctl.shadow_root = shadow_table(p);
    return true;
}

static void say(struct vcpu *v)
{
    struct shadow *s = &v->vm->shadow;

    if (trace_wanted(EVENT_shadow_root))
        trace_root(v, v->ctl.shadow_root, s->page[s->root].count != 0);
}

/* The backend takes the root with CR3: hv.h. */
void shadow_switch(struct vcpu *v, u64 cr3)
{
    if (!choose(v, cr3))
        return;
    hv_set(v, HV_CR3, cr3);
    say(v);
}

static void start(struct vcpu *v, const struct guest_paging *paging)
{
    struct shadow *s = &v->vm->shadow;

    if (s->mode != paging_mode(paging))
        stop(v); /* A and D of one mode's entries are other bits of another's */
    s->mode = paging_mode(paging);
    s->role = s->software ? vtlb_role(paging) : role_of(paging);
    hpa_t fence;
    if (shadow_fence(v, &fence) != 0) {
        vm_end(v->vm, END_KILLED, 0, "the host has no memory for what its shadow is fenced with");
        return;
    }
    if (!choose(v, paging->cr3))
        return;
    run_on(v, v->ctl.shadow_root, fence);
    say(v);
}

void shadow_reload(struct vcpu *v)
{
    struct guest_paging paging = vcpu_paging(v);

    if (!v->vm->shadow.on)
        return;
    bool hides = shadow_hides_switches(v);
    if (hides && v->vm->shadow.software && paging_mode(&paging) != PAGING_OFF)
        vm_end(v->vm, END_UNSUPPORTED, 0,
               "CR0.TS with mmu=vtlb outside of long mode: a task switch could not be seen");
    else if (hides || paging_mode(&paging) == PAGING_OFF)
        stop(v);
    else
        start(v, &paging);
}
