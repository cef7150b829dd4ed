/*
 * The virtual machine control block, as far as it is used here.
 * Source: AMD64 Manual vol. 2 (24593 rev. 3.38), appendix B, tables B-1, B-2.
 */
#ifndef VMM_SVM_VMCB_H
#define VMM_SVM_VMCB_H

#include "kernel/types.h"
#include "vmm/cpubits.h"

struct vmcb_seg {
    u16 selector;
    u16 attrib; /* bits 40-47 and 52-55 of the descriptor */
    u32 limit;
    u64 base;
};

struct vmcb {
    /* Control area */
    u16 cr_read, cr_write; /* 000 */
    u16 dr_read, dr_write;
    u32 exceptions;   /* 008 */
    u32 intercepts1;  /* 00c */
    u32 intercepts2;  /* 010 */
    u8 reserved1[0x3c - 0x14];
    u16 pause_threshold, pause_count;
    u64 iopm_base_pa; /* 040 */
    u64 msrpm_base_pa;
    u64 tsc_offset;   /* 050 */
    u32 guest_asid;
    u8 tlb_control;   /* 05c */
    u8 reserved2[3];
    u64 v_intr;       /* 060 */
    u64 interrupt_shadow;
    u64 exitcode;     /* 070 */
    u64 exitinfo1, exitinfo2, exitintinfo;
    u64 np_enable;    /* 090 */
    u8 reserved3[0xa8 - 0x98];
    u64 eventinj;     /* 0a8 */
    u64 n_cr3;        /* 0b0 */
    u64 virt_ext;
    u32 vmcb_clean;   /* 0c0 */
    u32 reserved4;
    u64 nrip;         /* 0c8 */
    u8 reserved5[0x3e0 - 0xd0];
    u64 host_use[4];  /* 3e0: the processor looks at none of it */

    /* State save area */
    struct vmcb_seg seg[6]; /* 400: ES CS SS DS FS GS */
    struct vmcb_seg gdtr, ldtr, idtr, tr;
    u8 reserved6[0x4cb - 0x4a0];
    u8 cpl;                 /* 4cb */
    u32 reserved7;
    u64 efer;               /* 4d0 */
    u8 reserved8[0x548 - 0x4d8];
    u64 cr4, cr3, cr0;      /* 548 */
    u64 dr7, dr6, rflags, rip; /* 560 */
    u8 reserved9[0x5d8 - 0x580];
    u64 rsp;                /* 5d8 */
    u8 reserved10[0x5f8 - 0x5e0];
    u64 rax;                /* 5f8 */
    u64 star, lstar, cstar, sfmask, kernel_gs_base; /* 600 */
    u64 sysenter_cs, sysenter_esp, sysenter_eip;
    u64 cr2;                /* 640 */
    u8 reserved11[0x668 - 0x648];
    u64 g_pat;              /* 668 */
    u8 reserved12[0x1000 - 0x670];
};

#define VMCB_AT(field, offset) _Static_assert(offsetof(struct vmcb, field) == (offset), #field)
VMCB_AT(exceptions, 0x008);
VMCB_AT(intercepts1, 0x00c);
VMCB_AT(intercepts2, 0x010);
VMCB_AT(iopm_base_pa, 0x040);
VMCB_AT(msrpm_base_pa, 0x048);
VMCB_AT(tsc_offset, 0x050);
VMCB_AT(guest_asid, 0x058);
VMCB_AT(tlb_control, 0x05c);
VMCB_AT(v_intr, 0x060);
VMCB_AT(interrupt_shadow, 0x068);
VMCB_AT(exitcode, 0x070);
VMCB_AT(exitinfo1, 0x078);
VMCB_AT(exitinfo2, 0x080);
VMCB_AT(exitintinfo, 0x088);
VMCB_AT(np_enable, 0x090);
VMCB_AT(eventinj, 0x0a8);
VMCB_AT(n_cr3, 0x0b0);
VMCB_AT(vmcb_clean, 0x0c0);
VMCB_AT(nrip, 0x0c8);
VMCB_AT(host_use, 0x3e0);
VMCB_AT(seg, 0x400);
VMCB_AT(gdtr, 0x460);
VMCB_AT(ldtr, 0x470);
VMCB_AT(idtr, 0x480);
VMCB_AT(tr, 0x490);
VMCB_AT(cpl, 0x4cb);
VMCB_AT(efer, 0x4d0);
VMCB_AT(cr4, 0x548);
VMCB_AT(cr3, 0x550);
VMCB_AT(cr0, 0x558);
VMCB_AT(dr7, 0x560);
VMCB_AT(dr6, 0x568);
VMCB_AT(rflags, 0x570);
VMCB_AT(rip, 0x578);
VMCB_AT(rsp, 0x5d8);
VMCB_AT(rax, 0x5f8);
VMCB_AT(star, 0x600);
VMCB_AT(kernel_gs_base, 0x620);
VMCB_AT(sysenter_cs, 0x628);
VMCB_AT(cr2, 0x640);
VMCB_AT(g_pat, 0x668);
_Static_assert(sizeof(struct vmcb) == 0x1000, "VMCB");

/* intercepts1 (00ch) */
#define INTERCEPT_INTR     (1u << 0)
#define INTERCEPT_NMI      (1u << 1)
#define INTERCEPT_INIT     (1u << 3)
#define INTERCEPT_VINTR    (1u << 4)
#define INTERCEPT_TR_WRITE (1u << 13)
#define INTERCEPT_RDTSC    (1u << 14)
#define INTERCEPT_RDPMC    (1u << 15)
#define INTERCEPT_CPUID    (1u << 18)
#define INTERCEPT_INVD     (1u << 22)
#define INTERCEPT_HLT      (1u << 24)
#define INTERCEPT_INVLPG   (1u << 25)
#define INTERCEPT_INVLPGA  (1u << 26)
#define INTERCEPT_IOIO     (1u << 27)
#define INTERCEPT_MSR      (1u << 28)
#define INTERCEPT_TASK_SWITCH (1u << 29)
#define INTERCEPT_SHUTDOWN (1u << 31)
/* intercepts2 (010h) */
#define INTERCEPT_VMRUN   (1u << 0)
#define INTERCEPT_VMMCALL (1u << 1)
#define INTERCEPT_VMLOAD  (1u << 2)
#define INTERCEPT_VMSAVE  (1u << 3)
#define INTERCEPT_STGI    (1u << 4)
#define INTERCEPT_CLGI    (1u << 5)
#define INTERCEPT_SKINIT  (1u << 6)
#define INTERCEPT_WBINVD  (1u << 9)
#define INTERCEPT_MONITOR (1u << 10)
#define INTERCEPT_MWAIT   (1u << 11)
#define INTERCEPT_XSETBV  (1u << 13)

#define TLB_FLUSH_ALL 1u

/* v_intr (060h) */
#define V_IRQ          (1ull << 8)
#define V_IGN_TPR      (1ull << 20)
#define V_INTR_MASKING (1ull << 24)
#define V_INTR_VECTOR  (0xffull << 32)

/* eventinj, exitintinfo */
#define EVENT_VALID       (1ull << 31)
#define EVENT_ERROR_VALID (1ull << 11)

/* Exit codes, appendix C */
#define VMEXIT_CR0_READ   0x000
#define VMEXIT_CR0_WRITE  0x010
#define VMEXIT_CR15_WRITE 0x01f
#define VMEXIT_DR0_READ   0x020
#define VMEXIT_DR15_WRITE 0x03f
#define VMEXIT_EXCP0      0x040
#define VMEXIT_EXCP31     0x05f
#define VMEXIT_INTR       0x060
#define VMEXIT_NMI        0x061
#define VMEXIT_VINTR      0x064
#define VMEXIT_IDTR_READ  0x066
#define VMEXIT_TR_WRITE   0x06d
#define VMEXIT_RDTSC      0x06e
#define VMEXIT_RDPMC      0x06f
#define VMEXIT_CPUID      0x072
#define VMEXIT_SWINT      0x075
#define VMEXIT_INVD       0x076
#define VMEXIT_PAUSE      0x077
#define VMEXIT_HLT        0x078
#define VMEXIT_INVLPG     0x079
#define VMEXIT_INVLPGA    0x07a
#define VMEXIT_IOIO       0x07b
#define VMEXIT_MSR        0x07c
#define VMEXIT_TASK_SWITCH 0x07d
#define VMEXIT_SHUTDOWN   0x07f
#define VMEXIT_VMRUN      0x080
#define VMEXIT_VMMCALL    0x081
#define VMEXIT_SKINIT     0x086
#define VMEXIT_RDTSCP     0x087
#define VMEXIT_WBINVD     0x089
#define VMEXIT_MONITOR    0x08a
#define VMEXIT_MWAIT      0x08b
#define VMEXIT_XSETBV     0x08d
#define VMEXIT_NPF        0x400
#define VMEXIT_INVALID    0xffffffffu /* compare 32 bits: QEMU leaves the upper half 0 */

/* MSRs */
#define MSR_VM_CR      0xc0010114u
#define VM_CR_SVMDIS   (1ull << 4)
#define MSR_VM_HSAVE_PA 0xc0010117u

#endif
