/*
 * The bits of control registers, EFER and RFLAGS, and the MSR numbers, that more
 * than one file needs: the same for both vendors, named as in their manuals.
 * What is one vendor's stays with its backend (vmcb.h, vmcs.h).
 * Source: AMD64 Manual vol. 2, 3.1; Intel SDM vol. 3A, 2.2.1, 2.3, 2.5.
 */
#ifndef VMM_CPUBITS_H
#define VMM_CPUBITS_H

#define CR0_PE (1ull << 0)
#define CR0_TS (1ull << 3)
#define CR0_ET (1ull << 4)
#define CR0_WP (1ull << 16)
#define CR0_NW (1ull << 29)
#define CR0_CD (1ull << 30)
#define CR0_PG (1ull << 31)

#define CR4_DE    (1ull << 3)
#define CR4_PSE   (1ull << 4)
#define CR4_PAE   (1ull << 5)
#define CR4_PGE   (1ull << 7)
#define CR4_LA57  (1ull << 12)
#define CR4_VMXE  (1ull << 13)
#define CR4_PCIDE (1ull << 17)
#define CR4_SMEP  (1ull << 20)
#define CR4_SMAP  (1ull << 21)

#define EFER_SCE  (1ull << 0)
#define EFER_LME  (1ull << 8)
#define EFER_LMA  (1ull << 10)
#define EFER_NXE  (1ull << 11)
#define EFER_SVME (1ull << 12)

#define RFLAGS_ONE (1ull << 1) /* reads as 1, always */
#define RFLAGS_TF  (1ull << 8)
#define RFLAGS_IF  (1ull << 9)
#define RFLAGS_DF  (1ull << 10)
#define RFLAGS_VM  (1ull << 17)
#define RFLAGS_AC  (1ull << 18)

#define SELECTOR_TI 4u /* of a selector: in the LDT */

#define MSR_PAT  0x277u
#define MSR_EFER 0xc0000080u

#endif
