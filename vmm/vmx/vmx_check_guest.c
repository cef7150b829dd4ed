/*
 * Why an entry was refused: the checks on the guest's state. They are made
 * after those on controls and host state, and exit with reason 33.
 * Source: Intel SDM vol. 3C, 26.3.1.
 */
#include "vmm/cpubits.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/vmx/vmx_check.h"

#define DEBUGCTL_KNOWN 0xffc3ull
#define RFLAGS_ZERO (PT_BITS(22, 63) | 1ull << 15 | 1ull << 5 | 1ull << 3)
/* Access rights */
#define TYPE(r)     ((r) & 15)
#define DPL(r)      ((r) >> 5 & 3)
#define RIGHTS_L    (1u << 13)
#define RIGHTS_DB   (1u << 14)
#define RIGHTS_G    (1u << 15)
#define RIGHTS_ZERO (PT_BITS(8, 11) | PT_BITS(17, 31))
#define CODE        8u /* in the type of a segment */
#define BLOCKING_ZERO PT_BITS(5, 31)
#define DEBUG_BS    (1ull << 14)
#define DEBUG_ZERO  (~(PT_BITS(0, 3) | 1ull << 12 | DEBUG_BS | 1ull << 16))
#define PDPTE_ZERO  (PT_BITS(1, 2) | PT_BITS(5, 8))
#define MAX_ACTIVITY 3

static bool wide(void)
{
    return vmcs_read(VMCS_ENTRY_CONTROLS) & ENTRY_IA32E;
}

static bool check_control_registers(struct exit *x)
{
    u64 cr0 = vmcs_read(VMCS_GUEST_CR0), cr4 = vmcs_read(VMCS_GUEST_CR4);

    RULE(GUEST_CR0, "26.3.1.1", "a bit that VMX fixes is not so",
         vmx_bad_fixed(cr0, vmx_caps.cr0_ones, vmx_caps.cr0_may));
    RULE(GUEST_CR0, "26.3.1.1", "paging needs protected mode: PG without PE",
         cr0 & CR0_PG && !(cr0 & CR0_PE));
    RULE(GUEST_CR4, "26.3.1.1", "a bit that VMX fixes is not so",
         vmx_bad_fixed(cr4, vmx_caps.cr4_ones, vmx_caps.cr4_may));
    RULE(GUEST_CR0, "26.3.1.1", "IA-32e mode needs paging", wide() && !(cr0 & CR0_PG));
    RULE(GUEST_CR4, "26.3.1.1", "IA-32e mode needs CR4.PAE", wide() && !(cr4 & CR4_PAE));
    RULE(GUEST_CR4, "26.3.1.1", "PCIDs need IA-32e mode", !wide() && cr4 & CR4_PCIDE);
    RULE(GUEST_CR3, "26.3.1.1", "it must lie in physical memory",
         vmcs_read(VMCS_GUEST_CR3) >> pt_phys_bits);
    return false;
}

static bool check_msrs(struct exit *x)
{
    u64 efer = vmcs_read(VMCS_GUEST_EFER);
    bool paging = vmcs_read(VMCS_GUEST_CR0) & CR0_PG;

    RULE(GUEST_DEBUGCTL, "26.3.1.1", "reserved bits must be 0",
         vmcs_read(VMCS_GUEST_DEBUGCTL) & ~DEBUGCTL_KNOWN);
    RULE(GUEST_DR7, "26.3.1.1", "bits 63-32 must be 0", vmcs_read(VMCS_GUEST_DR7) >> 32);
    RULE(GUEST_SYSENTER_ESP, "26.3.1.1", "the address must be canonical",
         not_canonical(VMCS_GUEST_SYSENTER_ESP));
    RULE(GUEST_SYSENTER_EIP, "26.3.1.1", "the address must be canonical",
         not_canonical(VMCS_GUEST_SYSENTER_EIP));
    RULE(GUEST_PAT, "26.3.1.1", "each byte must be a memory type", vmx_bad_pat(VMCS_GUEST_PAT));
    RULE(GUEST_EFER, "26.3.1.1", "reserved bits must be 0", efer & ~EFER_KNOWN);
    RULE(GUEST_EFER, "26.3.1.1", "LMA must be as the entry control \"IA-32e mode guest\" says",
         !(efer & EFER_LMA) == wide());
    RULE(GUEST_EFER, "26.3.1.1", "with paging, LMA and LME must be alike",
         paging && !(efer & EFER_LMA) != !(efer & EFER_LME));
    return false;
}

/* --- Segments -------------------------------------------------------------------- */

static u32 rights(enum hv_seg n)
{
    return (u32)vmcs_read(VMCS_RIGHTS(n));
}

static bool usable(enum hv_seg n)
{
    return !(rights(n) & RIGHTS_UNUSABLE);
}

/* The granularity must fit the limit: bytes for its low, pages for its high bits. */
static bool bad_granularity(enum hv_seg n)
{
    u64 limit = vmcs_read(VMCS_LIMIT(n));
    bool pages = rights(n) & RIGHTS_G;

    return pages ? (limit & PAGE_MASK) != PAGE_MASK : limit >> 20 != 0;
}

/* What holds for each segment that can be used. */
static bool check_usable(struct exit *x, enum hv_seg n)
{
    bool system = n >= SEG_LDTR;

    if (!!(rights(n) & SEG_ATTR_S) == system)
        return vmx_broken(x, VMCS_RIGHTS(n), "26.3.1.2",
                          system ? "S must be 0 in a system segment"
                                 : "S must be 1 in a code or data segment");
    if (!(rights(n) & SEG_ATTR_P))
        return vmx_broken(x, VMCS_RIGHTS(n), "26.3.1.2", "the segment must be present");
    if (rights(n) & RIGHTS_ZERO)
        return vmx_broken(x, VMCS_RIGHTS(n), "26.3.1.2", "reserved bits must be 0");
    if (bad_granularity(n))
        return vmx_broken(x, VMCS_RIGHTS(n), "26.3.1.2", "G does not fit the segment's limit");
    return false;
}

static bool check_code(struct exit *x)
{
    u32 cs = rights(SEG_CS), type = TYPE(cs), ss_dpl = DPL(rights(SEG_SS));

    RULE(GUEST_CS_RIGHTS, "26.3.1.2", "CS must be code that was accessed, or data in real mode",
         type != 3 && (type & (CODE | 1)) != (CODE | 1));
    RULE(GUEST_CS_RIGHTS, "26.3.1.2", "CS as data needs DPL 0", type == 3 && DPL(cs));
    RULE(GUEST_CS_RIGHTS, "26.3.1.2", "non-conforming code has the DPL of SS",
         type != 3 && !(type & 4) && DPL(cs) != ss_dpl);
    RULE(GUEST_CS_RIGHTS, "26.3.1.2", "conforming code has at most the DPL of SS",
         type != 3 && type & 4 && DPL(cs) > ss_dpl);
    RULE(GUEST_CS_RIGHTS, "26.3.1.2", "L and D must not both be 1 in IA-32e mode",
         wide() && cs & RIGHTS_L && cs & RIGHTS_DB);
    RULE(GUEST_CS_BASE, "26.3.1.2", "bits 63-32 must be 0", vmcs_read(VMCS_GUEST_CS_BASE) >> 32);
    return check_usable(x, SEG_CS);
}

static bool check_stack(struct exit *x)
{
    u32 ss = rights(SEG_SS), type = TYPE(ss);

    RULE(GUEST_SS_RIGHTS, "26.3.1.2", "SS must be writable data that was accessed",
         usable(SEG_SS) && type != 3 && type != 7);
    RULE(GUEST_SS_RIGHTS, "26.3.1.2", "in real mode, or with CS as data, SS has DPL 0",
         DPL(ss) && (TYPE(rights(SEG_CS)) == 3 || !(vmcs_read(VMCS_GUEST_CR0) & CR0_PE)));
    return false;
}

static bool check_data(struct exit *x)
{
    static const enum hv_seg data[] = {SEG_SS, SEG_DS, SEG_ES, SEG_FS, SEG_GS};

    for (u32 i = 0; i < ARRAY_SIZE(data); i++) {
        enum hv_seg n = data[i];
        u32 type = TYPE(rights(n));
        bool far = n == SEG_FS || n == SEG_GS;
        if (far ? not_canonical(VMCS_BASE(n)) : usable(n) && vmcs_read(VMCS_BASE(n)) >> 32)
            return vmx_broken(x, VMCS_BASE(n), "26.3.1.2", "the base is out of range");
        if (!usable(n))
            continue;
        if (!(type & 1) || (type & (CODE | 2)) == CODE)
            return vmx_broken(x, VMCS_RIGHTS(n), "26.3.1.2",
                              "a data segment must be readable and accessed");
        if (check_usable(x, n))
            return true;
    }
    return false;
}

static bool check_system(struct exit *x)
{
    u32 type = TYPE(rights(SEG_TR));

    RULE(GUEST_TR, "26.3.1.2", "TR lies in the GDT: TI must be 0",
         vmcs_read(VMCS_GUEST_TR) & SELECTOR_TI);
    RULE(GUEST_TR_RIGHTS, "26.3.1.2", "TR must be usable", !usable(SEG_TR));
    RULE(GUEST_TR_RIGHTS, "26.3.1.2", "TR must be a busy task-state segment",
         type != 11 && (wide() || type != 3));
    RULE(GUEST_TR_BASE, "26.3.1.2", "the address must be canonical",
         not_canonical(VMCS_GUEST_TR_BASE));
    if (check_usable(x, SEG_TR))
        return true;
    if (!usable(SEG_LDTR))
        return false;
    RULE(GUEST_LDTR, "26.3.1.2", "LDTR lies in the GDT: TI must be 0",
         vmcs_read(VMCS_GUEST_LDTR) & SELECTOR_TI);
    RULE(GUEST_LDTR_RIGHTS, "26.3.1.2", "the type of LDTR must be 2",
         TYPE(rights(SEG_LDTR)) != 2);
    RULE(GUEST_LDTR_BASE, "26.3.1.2", "the address must be canonical",
         not_canonical(VMCS_GUEST_LDTR_BASE));
    return check_usable(x, SEG_LDTR);
}

/* In virtual-8086 mode a segment follows from its selector. */
static bool check_v86(struct exit *x)
{
    for (u32 n = SEG_ES; n <= SEG_GS; n++) {
        if (vmcs_read(VMCS_BASE(n)) != vmcs_read(VMCS_SELECTOR(n)) << 4)
            return vmx_broken(x, VMCS_BASE(n), "26.3.1.2", "base = 16 x selector in 8086 mode");
        if (vmcs_read(VMCS_LIMIT(n)) != 0xffff)
            return vmx_broken(x, VMCS_LIMIT(n), "26.3.1.2", "limit = FFFFH in 8086 mode");
        if (vmcs_read(VMCS_RIGHTS(n)) != 0xf3)
            return vmx_broken(x, VMCS_RIGHTS(n), "26.3.1.2", "rights = F3H in 8086 mode");
    }
    return false;
}

static bool check_segments(struct exit *x)
{
    bool v86 = vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_VM;

    if (v86 ? check_v86(x) : check_code(x) || check_stack(x) || check_data(x))
        return true;
    if (check_system(x))
        return true;
    for (u32 n = SEG_GDTR; n <= SEG_IDTR; n++) {
        if (not_canonical(VMCS_BASE(n)))
            return vmx_broken(x, VMCS_BASE(n), "26.3.1.3", "the address must be canonical");
        if (vmcs_read(VMCS_LIMIT(n)) >> 16)
            return vmx_broken(x, VMCS_LIMIT(n), "26.3.1.3", "bits 31-16 must be 0");
    }
    return false;
}

/* --- What is left ------------------------------------------------------------------ */

static bool check_flow(struct exit *x)
{
    u64 flags = vmcs_read(VMCS_GUEST_RFLAGS), event = vmcs_read(VMCS_ENTRY_EVENT);
    bool in_64 = wide() && rights(SEG_CS) & RIGHTS_L;
    bool protected = vmcs_read(VMCS_GUEST_CR0) & CR0_PE;

    RULE(GUEST_RIP, "26.3.1.4", "bits 63-32 must be 0 outside 64-bit mode",
         !in_64 && vmcs_read(VMCS_GUEST_RIP) >> 32);
    RULE(GUEST_RIP, "26.3.1.4", "the address must be canonical",
         in_64 && not_canonical(VMCS_GUEST_RIP));
    RULE(GUEST_RFLAGS, "26.3.1.4", "reserved bits must be 0, but bit 1",
         flags & RFLAGS_ZERO || !(flags & RFLAGS_ONE));
    RULE(GUEST_RFLAGS, "26.3.1.4", "there is no 8086 mode in IA-32e mode, or in real mode",
         flags & RFLAGS_VM && (wide() || !protected));
    RULE(GUEST_RFLAGS, "26.3.1.4", "an external interrupt goes in only with IF",
         event & EVENT_VALID && EVENT_TYPE(event) == EVENT_INTR && !(flags & RFLAGS_IF));
    return false;
}

static bool check_blocking(struct exit *x)
{
    u64 b = vmcs_read(VMCS_GUEST_BLOCKING), event = vmcs_read(VMCS_ENTRY_EVENT);
    u64 flags = vmcs_read(VMCS_GUEST_RFLAGS), debug = vmcs_read(VMCS_GUEST_DEBUG);
    bool valid = event & EVENT_VALID, both = b & BLOCKING_STI && b & BLOCKING_MOV_SS;

    RULE(GUEST_ACTIVITY, "26.3.1.5", "there are activity states 0 to 3",
         vmcs_read(VMCS_GUEST_ACTIVITY) > MAX_ACTIVITY);
    RULE(GUEST_BLOCKING, "26.3.1.5", "reserved bits must be 0", b & BLOCKING_ZERO);
    RULE(GUEST_BLOCKING, "26.3.1.5", "STI and MOV SS do not both block", both);
    RULE(GUEST_BLOCKING, "26.3.1.5", "STI blocks only with IF set",
         b & BLOCKING_STI && !(flags & RFLAGS_IF));
    RULE(GUEST_BLOCKING, "26.3.1.5", "an interrupt does not go in while STI or MOV SS blocks it",
         valid && EVENT_TYPE(event) == EVENT_INTR && b & (BLOCKING_STI | BLOCKING_MOV_SS));
    RULE(GUEST_BLOCKING, "26.3.1.5", "an NMI does not go in while MOV SS blocks it",
         valid && EVENT_TYPE(event) == EVENT_NMI && b & BLOCKING_MOV_SS);
    RULE(GUEST_DEBUG, "26.3.1.5", "reserved bits must be 0", debug & DEBUG_ZERO);
    RULE(GUEST_DEBUG, "26.3.1.5", "while something blocks, BS must be as TF",
         b & (BLOCKING_STI | BLOCKING_MOV_SS) && !(debug & DEBUG_BS) != !(flags & RFLAGS_TF));
    RULE(LINK_POINTER, "26.3.1.5", "there is no other VMCS: all bits must be 1",
         vmcs_read(VMCS_LINK_POINTER) != ~0ull);
    return false;
}

static bool check_pdptes(struct exit *x)
{
    bool paging = vmcs_read(VMCS_GUEST_CR0) & CR0_PG, pae = vmcs_read(VMCS_GUEST_CR4) & CR4_PAE;

    for (u32 f = VMCS_GUEST_PDPTE0; paging && pae && !wide() && f <= VMCS_GUEST_PDPTE3; f += 2) {
        u64 entry = vmcs_read(f);
        if (entry & 1 && (entry & PDPTE_ZERO || entry >> pt_phys_bits))
            return vmx_broken(x, f, "26.3.1.6", "reserved bits of a present entry must be 0");
    }
    return false;
}

bool vmx_check_guest(struct exit *x)
{
    return check_control_registers(x) || check_msrs(x) || check_segments(x) || check_flow(x) ||
           check_blocking(x) || check_pdptes(x);
}
