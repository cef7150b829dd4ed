/*
 * The state in which a vCPU starts: the machine that Multiboot promises a
 * kernel, or for a raw image the processor as firmware leaves it. Only the
 * neutral setters of hv.h are used here, so it holds for every backend.
 * Sources: Multiboot Specification 0.6.96, 3.2; AMD64 Manual vol. 2, 14.1.3
 * (the processor after reset), 4.8 (descriptors), 11.4.4 (FXSAVE).
 */
#include "kernel/mem.h"
#include "kernel/todo.h"
#include "vmm/boot/multiboot.h"
#include "vmm/cpubits.h"
#include "vmm/vcpu.h"

/* Segment attributes as struct seg has them. */
#define CODE32  0xc9b /* G, D, present, code, read, accessed */
#define DATA32  0xc93
#define CODE16  0x09b
#define DATA16  0x093
#define LDT     0x082
#define TSS32   0x08b
#define LIMIT16 0xffffu
#define LIMIT32 0xffffffffu

/* Where FXRSTOR looks for the two registers that are not 0 after a reset. */
enum { FX_FCW = 0, FX_MXCSR = 24 };
#define FCW_RESET   0x037f
#define MXCSR_RESET 0x1f80

/* LAB 1 BEGIN: The segments that a 16-bit or a 32-bit guest starts with. */
static void set_segments(struct vcpu *v, bool real)
{
    struct seg code = {real ? 0 : 0x08, real ? CODE16 : CODE32, real ? LIMIT16 : LIMIT32, 0};
    struct seg data = {real ? 0 : 0x10, real ? DATA16 : DATA32, real ? LIMIT16 : LIMIT32, 0};
    struct seg table = {0, 0, LIMIT16, 0};
    static const enum hv_seg data_segs[] = {SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS};

    hv_set_seg(v, SEG_CS, &code);
    for (u32 i = 0; i < ARRAY_SIZE(data_segs); i++)
        hv_set_seg(v, data_segs[i], &data);
    hv_set_seg(v, SEG_GDTR, &table);
    hv_set_seg(v, SEG_IDTR, &table);
    hv_set_seg(v, SEG_LDTR, &(struct seg){0, LDT, LIMIT16, 0});
    hv_set_seg(v, SEG_TR, &(struct seg){0, TSS32, LIMIT16, 0});
}

static void set_fpu(struct fpu_state *fpu)
{
    u16 fcw = FCW_RESET;
    u32 mxcsr = MXCSR_RESET;

    memcpy(fpu->fxsave + FX_FCW, &fcw, sizeof(fcw));
    memcpy(fpu->fxsave + FX_MXCSR, &mxcsr, sizeof(mxcsr));
}
/* LAB 1 END: */

void vcpu_reset(struct vcpu *v, const struct boot_state *boot)
{
    /* LAB 1 BEGIN: All that the guest finds in its registers at its first instruction. */
    set_segments(v, boot->real_mode);
    set_fpu(&v->fpu);
    hv_set(v, HV_CR0, CR0_ET | (boot->real_mode ? 0 : CR0_PE));
    hv_set(v, HV_CR3, 0);
    hv_set(v, HV_CR4, 0);
    hv_set(v, HV_EFER, 0);
    v->rflags = RFLAGS_ONE;
    v->rip = boot->entry;
    v->gpr[GPR_RAX] = boot->eax;
    v->gpr[GPR_RBX] = boot->ebx;
    if (boot->real_mode)
        v->gpr[GPR_RSP] = boot->entry;
    /* LAB 1 END: todo(1, "1.1", v, boot); */
}
