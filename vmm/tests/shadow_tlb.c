/*
 * The TLB of a processor that walks a shadow; see shadow_tlb.h. It is larger than what a fuzz
 * input touches, so that what the VMM does not flush is there for long.
 */
#include "vmm/tests/shadow_tlb.h"
#include "vmm/fake/fake.h"
#include "vmm/tests/fuzz.h"
#include "vmm/tests/shadow_books.h"

static struct {
    u64 page, leaf;
} tlb[64];

void tlb_empty(void)
{
    memset(tlb, 0, sizeof(tlb));
}

void tlb_drop(u64 gva)
{
    for (u32 i = 0; i < ARRAY_SIZE(tlb); i++)
        if (tlb[i].page == gva >> PAGE_SHIFT)
            tlb[i].leaf = 0;
}

u64 tlb_find(u64 gva)
{
    for (u32 i = 0; i < ARRAY_SIZE(tlb); i++)
        if (tlb[i].leaf && tlb[i].page == gva >> PAGE_SHIFT)
            return tlb[i].leaf;
    return 0;
}

void tlb_fill(u64 gva, u64 leaf)
{
    u64 page = gva >> PAGE_SHIFT, i = (page ^ page >> 9 ^ page >> 18) % ARRAY_SIZE(tlb);

    tlb_drop(gva);
    tlb[i].page = page;
    tlb[i].leaf = leaf;
}

void tlb_flushes(void)
{
    const struct fake_call *call;

    FUZZ_CHECK(!fake_call_at(FAKE_CALLS - 1)); /* all are there */
    for (u32 i = 0; (call = fake_call_at(i)); i++)
        if (call->what == FAKE_FLUSH && call->which == HV_FLUSH_ALL)
            tlb_empty();
        else if (call->what == FAKE_FLUSH)
            tlb_drop(call->value);
    fake_forget();
}

void tlb_check(struct vcpu *v)
{
    for (u32 i = 0; i < ARRAY_SIZE(tlb); i++) {
        u64 leaf = tlb[i].leaf;
        if (!leaf)
            continue;
        u64 now = books_leaf(v, tlb[i].page << PAGE_SHIFT);
        FUZZ_CHECK(now & PTE_P && !((now ^ leaf) & PTE_ADDR));
        FUZZ_CHECK(!(leaf & ~now & (PTE_W | PTE_U)) && !(now & ~leaf & PTE_NX));
        u32 frame = books_frame(&v->vm->shadow, leaf);
        FUZZ_CHECK(!(leaf & PTE_W) || !shadow_is_protected(&v->vm->shadow.frame[frame]));
    }
}
