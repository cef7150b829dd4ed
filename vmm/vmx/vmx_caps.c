/*
 * What this processor's VMX can do, and with which control words: each
 * capability MSR says which bits must be 1 and which may be. Nothing is
 * switched on here. Source: Intel SDM vol. 3C, 23.7 (IA32_FEATURE_CONTROL),
 * 31.5; vol. 3D, appendix A.
 */
#include "kernel/cpu.h"
#include "vmm/vmx/vmx.h"

#define MSR_FEATURE_CONTROL 0x3au
#define FEATURE_LOCK        (1ull << 0)
#define FEATURE_VMX         (1ull << 2) /* outside SMX */
#define MSR_VMX_BASIC       0x480u
#define BASIC_TYPE(b)       ((b) >> 50 & 15)
#define BASIC_TRUE          (1ull << 55) /* the four MSRs at 48DH exist */
#define MSR_CR0_FIXED0      0x486u
#define MSR_CR0_FIXED1      0x487u
#define MSR_CR4_FIXED0      0x488u
#define MSR_CR4_FIXED1      0x489u
#define MSR_EPT_VPID_CAP    0x48cu
/* Walks of 4 levels, write-back tables, INVEPT, INVVPID: all single contexts */
#define EPT_NEEDED                                                                                 \
    (1ull << 6 | 1ull << 14 | 1ull << 20 | 1ull << 25 | 1ull << 32 | 1ull << 41)
#define EPT_1G              (1ull << 17)
#define EPT_AD              (1ull << 21)
#define CR0_PE_PG           0x80000001ull /* free in an unrestricted guest */

struct vmx_caps vmx_caps;

/* What each control word is to have, and what it must not be forced to have. */
static const struct {
    u32 msr, want, never;
} words[VMX_CONTROLS] = {
    [CONTROL_PIN] = {0x48d, PIN_INTR | PIN_NMI, 0},
    [CONTROL_PROC] = {0x48e,
                      PROC_TSC_OFFSET | PROC_HLT | PROC_MWAIT | PROC_RDPMC | PROC_CR8_LOAD |
                          PROC_CR8_STORE | PROC_IO_BITMAPS | PROC_MSR_BITMAPS | PROC_MONITOR |
                          PROC_SECONDARY,
                      PROC_INVLPG | PROC_RDTSC | PROC_CR3_LOAD | PROC_CR3_STORE},
    [CONTROL_PROC2] = {0x48b, PROC2_EPT | PROC2_VPID | PROC2_WBINVD | PROC2_UNRESTRICTED, 0},
    [CONTROL_EXIT] = {0x48f,
                      EXIT_SAVE_DEBUG | EXIT_HOST_64 | EXIT_LOAD_PAT | EXIT_SAVE_EFER |
                          EXIT_LOAD_EFER,
                      0},
    [CONTROL_ENTRY] = {0x490, ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER, ENTRY_IA32E},
};

int vmx_round(u64 msr, u32 want, u32 never, u32 *out)
{
    u32 must = (u32)msr, may = (u32)(msr >> 32);

    *out = (want | must) & may;
    return want & ~may || must & never ? -ENOTSUP : 0;
}

int vmx_lock(u64 now, u64 *then)
{
    *then = now;
    if (now & FEATURE_LOCK)
        return now & FEATURE_VMX ? 0 : -ENOTSUP; /* firmware has forbidden it */
    *then = now | FEATURE_LOCK | FEATURE_VMX;
    return 0;
}

int vmx_allow(void)
{
    u64 now = rdmsr(MSR_FEATURE_CONTROL), then;
    int err = vmx_lock(now, &then);

    if (!err && then != now)
        wrmsr(MSR_FEATURE_CONTROL, then);
    return err;
}

static int learn_controls(void)
{
    for (u32 i = 0; i < VMX_CONTROLS; i++) {
        vmx_caps.allowed[i] = rdmsr(words[i].msr);
        int err = vmx_round(vmx_caps.allowed[i], words[i].want, words[i].never,
                            &vmx_caps.control[i]);
        if (err)
            return err;
    }
    return 0;
}

int vmx_learn(void)
{
    u64 basic = rdmsr(MSR_VMX_BASIC);

    vmx_caps.revision = (u32)basic & 0x7fffffff;
    if (BASIC_TYPE(basic) != EPTP_WB || !(basic & BASIC_TRUE) || learn_controls() != 0)
        return -ENOTSUP;
    u64 ept = rdmsr(MSR_EPT_VPID_CAP);
    vmx_caps.ept_ad = ept & EPT_AD;
    vmx_caps.large_1g = ept & EPT_1G;
    vmx_caps.cr0_ones = rdmsr(MSR_CR0_FIXED0) & ~CR0_PE_PG;
    vmx_caps.cr0_may = rdmsr(MSR_CR0_FIXED1);
    vmx_caps.cr4_ones = rdmsr(MSR_CR4_FIXED0);
    vmx_caps.cr4_may = rdmsr(MSR_CR4_FIXED1);
    return (ept & EPT_NEEDED) == EPT_NEEDED ? 0 : -ENOTSUP;
}
