/*
 * The VMCS: its fields by name (vmcs.def), the bits in them, and the
 * instructions that reach it. All concern the current VMCS of this processor.
 * Source: Intel SDM vol. 3C (326019), chapters 24 and 30, appendices A to C.
 */
#ifndef VMM_VMX_VMCS_H
#define VMM_VMX_VMCS_H

#include "kernel/types.h"

enum vmcs_field {
#define VMCS(name, encoding, words) VMCS_##name = encoding,
#include "vmm/vmx/vmcs.def"
#undef VMCS
};

/* The fields of segment s (enum hv_seg) lie one after the other. */
#define VMCS_SELECTOR(s) (VMCS_GUEST_ES + 2 * (s))
#define VMCS_LIMIT(s)    (VMCS_GUEST_ES_LIMIT + 2 * (s))
#define VMCS_RIGHTS(s)   (VMCS_GUEST_ES_RIGHTS + 2 * (s))
#define VMCS_BASE(s)     (VMCS_GUEST_ES_BASE + 2 * (s))

/* Pin-based controls, table 24-5 */
#define PIN_INTR (1u << 0)
#define PIN_NMI  (1u << 3)
#define PIN_TIMER (1u << 6)
/* Primary processor-based controls, table 24-6 */
#define PROC_INTR_WINDOW (1u << 2)
#define PROC_TSC_OFFSET  (1u << 3)
#define PROC_HLT         (1u << 7)
#define PROC_INVLPG      (1u << 9)
#define PROC_MWAIT       (1u << 10)
#define PROC_RDPMC       (1u << 11)
#define PROC_RDTSC       (1u << 12)
#define PROC_CR3_LOAD    (1u << 15)
#define PROC_CR3_STORE   (1u << 16)
#define PROC_CR8_LOAD    (1u << 19)
#define PROC_CR8_STORE   (1u << 20)
#define PROC_IO_BITMAPS  (1u << 25)
#define PROC_MSR_BITMAPS (1u << 28)
#define PROC_MONITOR     (1u << 29)
#define PROC_SECONDARY   (1u << 31)
/* Secondary controls, table 24-7 */
#define PROC2_EPT          (1u << 1)
#define PROC2_VPID         (1u << 5)
#define PROC2_WBINVD       (1u << 6)
#define PROC2_UNRESTRICTED (1u << 7)
/* VM-exit controls, table 24-13 */
#define EXIT_SAVE_DEBUG (1u << 2)
#define EXIT_HOST_64    (1u << 9)
#define EXIT_LOAD_PAT   (1u << 19)
#define EXIT_SAVE_EFER  (1u << 20)
#define EXIT_LOAD_EFER  (1u << 21)
/* VM-entry controls, table 24-15 */
#define ENTRY_LOAD_DEBUG (1u << 2)
#define ENTRY_IA32E      (1u << 9)
#define ENTRY_LOAD_PAT   (1u << 14)
#define ENTRY_LOAD_EFER  (1u << 15)

/* Access rights, table 24-2: attr of struct seg, from bit 8 on moved by 4 */
#define RIGHTS_UNUSABLE (1u << 16)
/* Interruptibility state, table 24-3 */
#define BLOCKING_STI    (1u << 0)
#define BLOCKING_MOV_SS (1u << 1)
#define BLOCKING_NMI    (1u << 3)

/* Events: 24.8.3, 24.9.2, 24.9.3 */
#define EVENT_VALID       (1u << 31)
#define EVENT_ERROR_VALID (1u << 11)
#define EVENT_TYPE(e)     ((e) >> 8 & 7)
enum { EVENT_INTR, EVENT_NMI = 2, EVENT_FAULT, EVENT_INT, EVENT_ICEBP, EVENT_TRAP };

/* EPTP: write-back, walks of four levels, A and D */
#define EPTP_WB     6ull
#define EPTP_LEVELS (3ull << 3)
#define EPTP_AD     (1ull << 6)

/* Exit reasons, appendix C */
#define EXIT_REFUSED (1u << 31)
enum {
    VMX_EXCEPTION = 0, VMX_INTR = 1, VMX_TRIPLE_FAULT = 2, VMX_INTR_WINDOW = 7,
    VMX_NMI_WINDOW = 8, VMX_TASK_SWITCH = 9, VMX_CPUID = 10, VMX_GETSEC = 11, VMX_HLT = 12,
    VMX_INVD = 13, VMX_INVLPG = 14, VMX_RDPMC = 15, VMX_RDTSC = 16, VMX_VMCALL = 18,
    VMX_VMCLEAR = 19, VMX_VMXON = 27, VMX_CR = 28, VMX_DR = 29, VMX_IO = 30, VMX_RDMSR = 31,
    VMX_WRMSR = 32, VMX_BAD_GUEST = 33, VMX_BAD_MSR = 34, VMX_MWAIT = 36, VMX_TRAP_FLAG = 37,
    VMX_MONITOR = 39, VMX_PAUSE = 40, VMX_GDTR_IDTR = 46, VMX_LDTR_TR = 47,
    VMX_EPT_VIOLATION = 48, VMX_EPT_MISCONFIG = 49, VMX_INVEPT = 50, VMX_RDTSCP = 51,
    VMX_PREEMPTION = 52, VMX_INVVPID = 53, VMX_WBINVD = 54, VMX_XSETBV = 55, VMX_REASONS = 64
};

#ifdef HOST_BUILD
u64 vmcs_read(u32 field); /* a VMCS of the unit tests' making */
void vmcs_write(u32 field, u64 value);
#else
static inline u64 vmcs_read(u32 field)
{
    u64 value;
    __asm__ volatile("vmread %1, %0" : "=r"(value) : "r"((u64)field) : "cc");
    return value;
}
static inline void vmcs_write(u32 field, u64 value)
{
    __asm__ volatile("vmwrite %1, %0" : : "r"((u64)field), "r"(value) : "cc");
}
#endif

#endif
