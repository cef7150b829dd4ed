/*
 * CPUID as the guest sees it: the processor's own answers, without what the
 * VMM does not offer. Source: AMD64 Manual vol. 3 (24594), appendix E.
 */
#include "kernel/cpu.h"
#include "vmm/exit.h"
#include "vmm/vm.h"

/* Leaf 1 EDX: FPU VME DE PSE TSC MSR PAE CX8 SEP PGE CMOV PAT PSE36 CLFSH MMX
 * FXSR SSE SSE2. Without: MCE, APIC, MTRR, ... */
#define LEAF1_EDX 0x078bb97fu & ~(1u << 7 | 1u << 9 | 1u << 12 | 1u << 14)
/* Leaf 1 ECX: SSE3 SSSE3 CX16 SSE4.1 SSE4.2 POPCNT, and the hypervisor bit. */
#define LEAF1_ECX      0x00982201u
#define HYPERVISOR_BIT (1u << 31)
/* 8000_0001 EDX: SYSCALL NX RDTSCP LM and the copies of leaf 1; ECX: LAHF CR8 */
#define EXT1_EDX 0x2193bd7fu & ~(1u << 7 | 1u << 9 | 1u << 12 | 1u << 14)
#define EXT1_ECX 0x00000001u
#define EXT1_PAGE1GB (1u << 26)
#define EXT1_RDTSCP (1u << 27)

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
    r.d &= EXT1_EDX | EXT1_PAGE1GB;
    return r;
}

/* "NestlingVMM." in EBX, ECX, EDX, where hypervisors say who they are. */
static struct answer hypervisor(void)
{
    return (struct answer){0x40000000, 0x7473654e, 0x676e696c, 0x2e4d4d56};
}

static struct answer leaf_answer(u32 leaf)
{
    struct answer r;

    switch (leaf) {
    case 0:
        r = host(0);
        r.a = MAX_BASIC;
        return r;
    case 1:
        return features();
    case 0x40000000:
        return hypervisor();
    case 0x80000000:
        r = host(0x80000000);
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

void exit_cpuid(struct vcpu *v, const struct exit *x)
{
    struct answer r = leaf_answer((u32)v->gpr[GPR_RAX]);

    v->gpr[GPR_RAX] = r.a;
    v->gpr[GPR_RBX] = r.b;
    v->gpr[GPR_RCX] = r.c;
    v->gpr[GPR_RDX] = r.d;
    vcpu_advance(v, x->insn_len ? x->insn_len : 2);
}
