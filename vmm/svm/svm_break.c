/*
 * Breaking one consistency check on purpose: `break=NAME` among a VM's
 * arguments shows a student what each refused entry looks like, and lets the
 * tests see that every one is explained. Source: AMD64 Manual vol. 2, 15.5.1.
 */
#include "kernel/mem.h"
#include "vmm/svm/svm.h"

#define LONG_MODE_CR0  0x80000011ull
#define LONG_MODE_EFER 0x1500ull /* SVME, LMA, LME */

static void break_asid(struct vmcb *b)
{
    b->guest_asid = 0;
}
static void break_vmrun(struct vmcb *b)
{
    b->intercepts2 &= ~INTERCEPT_VMRUN;
}
static void break_svme(struct vmcb *b)
{
    b->efer &= ~EFER_SVME;
}
static void break_nw(struct vmcb *b)
{
    b->cr0 = (b->cr0 | 1ull << 29) & ~(1ull << 30);
}
static void break_cr0_high(struct vmcb *b)
{
    b->cr0 |= 1ull << 40;
}
static void break_cr3(struct vmcb *b)
{
    b->efer |= LONG_MODE_EFER;
    b->cr0 |= LONG_MODE_CR0;
    b->cr4 |= 1u << 5;
    b->cr3 |= 1ull << 60;
}
static void break_cr4(struct vmcb *b)
{
    b->cr4 |= 1ull << 40;
}
static void break_dr6(struct vmcb *b)
{
    b->dr6 |= 1ull << 32;
}
static void break_dr7(struct vmcb *b)
{
    b->dr7 |= 1ull << 32;
}
static void break_efer(struct vmcb *b)
{
    b->efer |= 1ull << 50;
}
static void break_pae(struct vmcb *b)
{
    b->efer |= LONG_MODE_EFER;
    b->cr0 |= LONG_MODE_CR0;
    b->cr4 &= ~(1ull << 5);
}
static void break_pe(struct vmcb *b)
{
    b->efer |= LONG_MODE_EFER;
    b->cr0 = (b->cr0 | LONG_MODE_CR0) & ~1ull;
    b->cr4 |= 1u << 5;
}
static void break_cs(struct vmcb *b)
{
    b->efer |= LONG_MODE_EFER;
    b->cr0 |= LONG_MODE_CR0;
    b->cr4 |= 1u << 5;
    b->seg[SEG_CS].attrib |= SEG_ATTR_L | SEG_ATTR_DB;
}
static void break_iopm(struct vmcb *b)
{
    b->iopm_base_pa = 1ull << 52;
}
static void break_msrpm(struct vmcb *b)
{
    b->msrpm_base_pa = 1ull << 52;
}
static void break_event(struct vmcb *b)
{
    b->eventinj = EVENT_VALID | 1ull << 8 | 32;
}

static const struct {
    const char *name;
    void (*apply)(struct vmcb *);
} breaks[] = {
    {"asid", break_asid},   {"vmrun", break_vmrun}, {"svme", break_svme},
    {"nw", break_nw},       {"cr0", break_cr0_high}, {"cr3", break_cr3},
    {"cr4", break_cr4},     {"dr6", break_dr6},     {"dr7", break_dr7},
    {"efer", break_efer},   {"pae", break_pae},     {"pe", break_pe},
    {"cs", break_cs},       {"iopm", break_iopm},   {"msrpm", break_msrpm},
    {"event", break_event},
};

bool svm_break(struct vmcb *b, const char *name)
{
    for (u32 i = 0; i < ARRAY_SIZE(breaks); i++)
        if (strcmp(name, breaks[i].name) == 0) {
            breaks[i].apply(b);
            return true;
        }
    return false;
}
