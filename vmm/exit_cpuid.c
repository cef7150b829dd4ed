/*
 * CPUID as the guest sees it: the processor's own answers, without what the
 * VMM does not offer. Source: AMD64 Manual vol. 3 (24594), appendix E.
 */
#include "kernel/cpu.h"
#include "kernel/todo.h"
#include "vmm/exit.h"
#include "vmm/vm.h"

#define BIT(n) (1u << (n))
/* Both in leaf 1 and in 8000_0001 EDX: FPU VME DE PSE TSC MSR PAE, CX8, PGE,
 * CMOV, PAT, PSE36, MMX, FXSR. Not: MCE, APIC, MTRR, MCA. */
#define COMMON_EDX                                                                                 \
    (0x7fu | BIT(8) | BIT(13) | BIT(15) | BIT(16) | BIT(17) | BIT(23) | BIT(24))
/* and SEP, CLFLUSH, SSE, SSE2 */
#define LEAF1_EDX (COMMON_EDX | BIT(11) | BIT(19) | BIT(25) | BIT(26))
/* SSE3 SSSE3 CX16 SSE4.1 SSE4.2 POPCNT. Not: MONITOR, XSAVE, AVX. */
#define LEAF1_ECX (BIT(0) | BIT(9) | BIT(13) | BIT(19) | BIT(20) | BIT(23))
#define HYPERVISOR_BIT BIT(31)
/* SYSCALL, NX, 1G pages, long mode. Not: RDTSCP. */
#define EXT1_EDX (COMMON_EDX | BIT(11) | BIT(20) | BIT(26) | BIT(29))
/* LAHF, CR8. Not: SVM. */
#define EXT1_ECX (BIT(0) | BIT(4))

#define MAX_BASIC    1u
#define MAX_EXTENDED 0x80000008u

struct answer {
    u32 a, b, c, d;
};

static struct answer host(u32 leaf)
{
    u32 r[4];

    cpuid(leaf, 0, r);
    return (struct answer){r[0], r[1], r[2], r[3]};
}

/* LAB 1 BEGIN: What each leaf answers. */
static struct answer features(void)
{
    struct answer r = host(1);

    r.b &= 0x0000ffff; /* brand, CLFLUSH; no APIC id */
    r.c = (r.c & LEAF1_ECX) | HYPERVISOR_BIT;
    r.d &= LEAF1_EDX;
    return r;
}

static struct answer extended_features(void)
{
    struct answer r = host(0x80000001);

    r.c &= EXT1_ECX;
    r.d &= EXT1_EDX;
    return r;
}

/* "NestlingVMM." in EBX, ECX, EDX, where hypervisors say who they are. */
static struct answer hypervisor(void)
{
    return (struct answer){0x40000000, 0x7473654e, 0x676e696c, 0x2e4d4d56};
}

static struct answer basic(u32 leaf)
{
    struct answer r;

    if (leaf == 1)
        return features();
    r = host(0);
    r.a = MAX_BASIC;
    return r;
}

static struct answer extended(u32 leaf)
{
    struct answer r;

    switch (leaf) {
    case 0x80000000:
        r = host(leaf);
        r.a = MAX_EXTENDED;
        return r;
    case 0x80000001:
        return extended_features();
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
        return host(leaf);
    case 0x80000008:
        return (struct answer){.a = host(leaf).a & 0xffff};
    default:
        return (struct answer){0};
    }
}

static struct answer leaf_answer(u32 leaf)
{
    if (leaf <= MAX_BASIC)
        return basic(leaf);
    if (leaf >= 0x80000000)
        return extended(leaf);
    if (leaf == 0x40000000)
        return hypervisor();
    return (struct answer){0};
}
/* LAB 1 END: */

/* Two bytes: nobody puts a prefix before it, and to decode would cost more than
 * all else here. A guest that does it all the same goes on in the middle of it. */
void exit_cpuid(struct vcpu *v, const struct exit *x)
{
    /* LAB 1 BEGIN: The answer to the leaf in EAX, into the guest's registers. */
    struct answer r = leaf_answer((u32)v->gpr[GPR_RAX]);

    v->gpr[GPR_RAX] = r.a;
    v->gpr[GPR_RBX] = r.b;
    v->gpr[GPR_RCX] = r.c;
    v->gpr[GPR_RDX] = r.d;
    vcpu_advance(v, x->insn_len ? x->insn_len : 2);
    /* LAB 1 END: todo(1, "1.7", v, x, host); */
}
