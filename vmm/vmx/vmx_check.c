/*
 * Why an entry was refused, in words: the manual's checks on controls and the
 * host's state, one after the other; those on the guest's state are in
 * vmx_check_guest.c. Fields that are not used here are not looked at.
 * Source: Intel SDM vol. 3C, 26.2.
 */
#include "vmm/cpubits.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/vmx/vmx_check.h"

#define PIN_VIRTUAL_NMI  (1u << 5)
#define PROC_NMI_WINDOW  (1u << 22)
#define EFER_LMA_LME     (1ull << 10 | 1ull << 8)
#define MAX_CR3_TARGETS  4
#define EPTP_ZERO        PT_BITS(7, 11)
#define EVENT_ZERO       PT_BITS(12, 30)

bool vmx_broken(struct exit *x, u32 field, const char *section, const char *why)
{
    x->fail.field = vmcs_words(field);
    x->fail.value = vmcs_read(field);
    x->fail.section = section;
    x->fail.why = why;
    return true;
}

/* Does it have all bits that must be 1, and none that may not be? */
static bool not_allowed(u32 field, u64 allowed)
{
    u64 value = vmcs_read(field);
    return (value & (u32)allowed) != (u32)allowed || value & ~(allowed >> 32);
}

/* Too far up for this processor, or not on a page's start. */
static bool bad_page(u64 address)
{
    return address & PAGE_MASK || address >> pt_phys_bits;
}

static bool check_words(struct exit *x)
{
    RULE(PIN_CONTROLS, "26.2.1.1", "a reserved bit is not as IA32_VMX_TRUE_PINBASED_CTLS says",
         not_allowed(VMCS_PIN_CONTROLS, vmx_caps.allowed[CONTROL_PIN]));
    RULE(PROC_CONTROLS, "26.2.1.1", "a reserved bit is not as IA32_VMX_TRUE_PROCBASED_CTLS says",
         not_allowed(VMCS_PROC_CONTROLS, vmx_caps.allowed[CONTROL_PROC]));
    RULE(PROC_CONTROLS2, "26.2.1.1", "a reserved bit is not as IA32_VMX_PROCBASED_CTLS2 says",
         not_allowed(VMCS_PROC_CONTROLS2, vmx_caps.allowed[CONTROL_PROC2]));
    RULE(EXIT_CONTROLS, "26.2.1.2", "a reserved bit is not as IA32_VMX_TRUE_EXIT_CTLS says",
         not_allowed(VMCS_EXIT_CONTROLS, vmx_caps.allowed[CONTROL_EXIT]));
    RULE(ENTRY_CONTROLS, "26.2.1.3", "a reserved bit is not as IA32_VMX_TRUE_ENTRY_CTLS says",
         not_allowed(VMCS_ENTRY_CONTROLS, vmx_caps.allowed[CONTROL_ENTRY]));
    return false;
}

static bool check_execution(struct exit *x)
{
    u64 pin = vmcs_read(VMCS_PIN_CONTROLS), proc = vmcs_read(VMCS_PROC_CONTROLS);
    u64 proc2 = vmcs_read(VMCS_PROC_CONTROLS2), eptp = vmcs_read(VMCS_EPTP);

    RULE(CR3_TARGETS, "26.2.1.1", "there are at most 4 CR3 targets",
         vmcs_read(VMCS_CR3_TARGETS) > MAX_CR3_TARGETS);
    RULE(IO_BITMAP_A, "26.2.1.1", "the I/O bitmap must be a page of physical memory",
         bad_page(vmcs_read(VMCS_IO_BITMAP_A)));
    RULE(IO_BITMAP_B, "26.2.1.1", "the I/O bitmap must be a page of physical memory",
         bad_page(vmcs_read(VMCS_IO_BITMAP_B)));
    RULE(MSR_BITMAP, "26.2.1.1", "the MSR bitmap must be a page of physical memory",
         bad_page(vmcs_read(VMCS_MSR_BITMAP)));
    RULE(PIN_CONTROLS, "26.2.1.1", "virtual NMIs need NMI exiting",
         pin & PIN_VIRTUAL_NMI && !(pin & PIN_NMI));
    RULE(PROC_CONTROLS, "26.2.1.1", "NMI-window exiting needs virtual NMIs",
         proc & PROC_NMI_WINDOW && !(pin & PIN_VIRTUAL_NMI));
    RULE(VPID, "26.2.1.1", "the VPID must not be 0, that is the host's",
         proc2 & PROC2_VPID && !vmcs_read(VMCS_VPID));
    RULE(PROC_CONTROLS2, "26.2.1.1", "an unrestricted guest needs EPT",
         proc2 & PROC2_UNRESTRICTED && !(proc2 & PROC2_EPT));
    if (!(proc2 & PROC2_EPT))
        return false;
    RULE(EPTP, "26.2.1.1", "bits 2-0 must be a memory type for tables: 0 or 6",
         (eptp & 7) != 0 && (eptp & 7) != EPTP_WB);
    RULE(EPTP, "26.2.1.1", "bits 5-3 must be 3, one less than the levels of a walk",
         (eptp & EPTP_LEVELS) != EPTP_LEVELS || eptp >> 5 & 1);
    RULE(EPTP, "26.2.1.1", "this processor keeps no A and D in EPT: bit 6 must be 0",
         eptp & EPTP_AD && !vmx_caps.ept_ad);
    RULE(EPTP, "26.2.1.1", "reserved bits must be 0, the root lie in physical memory",
         eptp & EPTP_ZERO || eptp >> pt_phys_bits);
    return false;
}

/* The vectors that push an error code: #DF, #TS to #PF, #AC. */
static bool has_error_code(u64 vector)
{
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

static bool check_event(struct exit *x)
{
    u64 event = vmcs_read(VMCS_ENTRY_EVENT), type = EVENT_TYPE(event), vector = event & 0xff;
    bool protected = vmcs_read(VMCS_GUEST_CR0) & 1, error = event & EVENT_ERROR_VALID;

    if (!(event & EVENT_VALID))
        return false;
    RULE(ENTRY_EVENT, "26.2.1.3", "there is no event of type 1 or 7", type == 1 || type == 7);
    RULE(ENTRY_EVENT, "26.2.1.3", "an NMI has vector 2", type == EVENT_NMI && vector != 2);
    RULE(ENTRY_EVENT, "26.2.1.3", "an exception has a vector of at most 31",
         type == EVENT_FAULT && vector > 31);
    RULE(ENTRY_EVENT, "26.2.1.3", "an error code goes with exceptions that push one, no other",
         error != (protected && type == EVENT_FAULT && has_error_code(vector)));
    RULE(ENTRY_EVENT, "26.2.1.3", "bits 30-12 must be 0", event & EVENT_ZERO);
    RULE(ENTRY_ERROR, "26.2.1.3", "an error code has 16 bits",
         error && vmcs_read(VMCS_ENTRY_ERROR) >> 16);
    RULE(ENTRY_LENGTH, "26.2.1.3", "an event of an instruction needs its length, 1 to 15",
         type >= EVENT_INT && vmcs_read(VMCS_ENTRY_LENGTH) - 1 > 14);
    return false;
}

static bool check_host_registers(struct exit *x)
{
    u64 cr0 = vmcs_read(VMCS_HOST_CR0), cr4 = vmcs_read(VMCS_HOST_CR4);
    bool wide = vmcs_read(VMCS_EXIT_CONTROLS) & EXIT_HOST_64;
    u64 efer = vmcs_read(VMCS_HOST_EFER);

    RULE(HOST_CR0, "26.2.2", "a bit that VMX fixes is not so",
         vmx_bad_fixed(cr0, vmx_caps.cr0_ones | CR0_PE | CR0_PG, vmx_caps.cr0_may));
    RULE(HOST_CR4, "26.2.2", "a bit that VMX fixes is not so",
         vmx_bad_fixed(cr4, vmx_caps.cr4_ones, vmx_caps.cr4_may));
    RULE(HOST_CR3, "26.2.2", "it must lie in physical memory",
         vmcs_read(VMCS_HOST_CR3) >> pt_phys_bits);
    RULE(HOST_PAT, "26.2.2", "each byte must be a memory type", vmx_bad_pat(VMCS_HOST_PAT));
    RULE(HOST_EFER, "26.2.2", "reserved bits must be 0", efer & ~EFER_KNOWN);
    RULE(HOST_EFER, "26.2.2", "LMA and LME must be as the host address-space size says",
         (efer & EFER_LMA_LME) != (wide ? EFER_LMA_LME : 0));
    RULE(EXIT_CONTROLS, "26.2.4", "a host in 64-bit mode stays in it: bit 9 must be 1", !wide);
    RULE(HOST_CR4, "26.2.4", "a host in 64-bit mode has CR4.PAE", !(cr4 & CR4_PAE));
    RULE(HOST_RIP, "26.2.4", "the address must be canonical", not_canonical(VMCS_HOST_RIP));
    return false;
}

static bool check_host_segments(struct exit *x)
{
    static const u16 bases[] = {VMCS_HOST_FS_BASE,      VMCS_HOST_GS_BASE,
                                VMCS_HOST_TR_BASE,      VMCS_HOST_GDTR_BASE,
                                VMCS_HOST_IDTR_BASE,    VMCS_HOST_SYSENTER_ESP,
                                VMCS_HOST_SYSENTER_EIP};

    for (u32 f = VMCS_HOST_ES; f <= VMCS_HOST_TR; f += 2)
        if (vmcs_read(f) & 7)
            return vmx_broken(x, f, "26.2.3", "TI and RPL of the host's selectors must be 0");
    RULE(HOST_CS, "26.2.3", "the host's CS must not be null", !vmcs_read(VMCS_HOST_CS));
    RULE(HOST_TR, "26.2.3", "the host's TR must not be null", !vmcs_read(VMCS_HOST_TR));
    for (u32 i = 0; i < ARRAY_SIZE(bases); i++)
        if (not_canonical(bases[i]))
            return vmx_broken(x, bases[i], "26.2.3", "the address must be canonical");
    return false;
}

bool vmx_check(struct exit *x)
{
    return check_words(x) || check_execution(x) || check_event(x) || check_host_registers(x) ||
           check_host_segments(x) || vmx_check_guest(x);
}
