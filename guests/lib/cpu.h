/*
 * Single instructions of the processor as functions: ports, CPUID, MSRs, the
 * time stamp, control and debug registers, interrupts on and off.
 * AMD64 Architecture Programmer's Manual vol. 2 and 3 (rev. 3.40).
 */
#ifndef GUESTS_LIB_CPU_H
#define GUESTS_LIB_CPU_H

#include "guests/lib/types.h"

#define CR0_PE (1ul << 0)
#define CR0_MP (1ul << 1)
#define CR0_EM (1ul << 2)
#define CR0_TS (1ul << 3)
#define CR0_WP (1ul << 16)
#define CR0_PG (1ul << 31)

#define CR4_PAE        (1ul << 5)
#define CR4_OSFXSR     (1ul << 9)
#define CR4_OSXMMEXCPT (1ul << 10)

#define MSR_SYSENTER_CS    0x174
#define MSR_SYSENTER_ESP   0x175
#define MSR_SYSENTER_EIP   0x176
#define MSR_PAT            0x277
#define MSR_EFER           0xc0000080
#define MSR_STAR           0xc0000081
#define MSR_LSTAR          0xc0000082
#define MSR_CSTAR          0xc0000083
#define MSR_SFMASK         0xc0000084
#define MSR_FS_BASE        0xc0000100
#define MSR_GS_BASE        0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102

#define EFER_SCE (1u << 0)
#define EFER_LME (1u << 8)
#define EFER_NXE (1u << 11)

#define RFLAGS_IF (1ul << 9)
#define RFLAGS_DF (1ul << 10)

static inline void outb(u16 port, u8 v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port) : "memory");
}
static inline void outw(u16 port, u16 v)
{
    __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port) : "memory");
}
static inline void outl(u16 port, u32 v)
{
    __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port) : "memory");
}
static inline u8 inb(u16 port)
{
    u8 v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}
static inline u16 inw(u16 port)
{
    u16 v;
    __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}
static inline u32 inl(u16 port)
{
    u32 v;
    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}

struct cpuid {
    u32 a, b, c, d;
};

static inline struct cpuid cpuid(u32 leaf, u32 sub)
{
    struct cpuid r;
    __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
    return r;
}

/* On a processor of Intel's VMCALL takes VMMCALL's place. Asking exits, as any CPUID. */
static inline bool cpu_is_intel(void)
{
    return cpuid(0, 0).b == 0x756e6547; /* Genu */
}

static inline u64 rdtsc(void)
{
    u32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (u64)high << 32 | low;
}

static inline u64 rdmsr(u32 msr)
{
    u32 low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
    return (u64)high << 32 | low;
}
static inline void wrmsr(u32 msr, u64 v)
{
    __asm__ volatile("wrmsr" : : "a"((u32)v), "d"((u32)(v >> 32)), "c"(msr) : "memory");
}

/* read_NAME() and write_NAME() of one control or debug register. */
#define CPU_REGISTER(name)                                                                         \
    static inline unsigned long read_##name(void)                                                  \
    {                                                                                              \
        unsigned long v;                                                                           \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(v) : : "memory");                            \
        return v;                                                                                  \
    }                                                                                              \
    static inline void write_##name(unsigned long v)                                               \
    {                                                                                              \
        __asm__ volatile("mov %0, %%" #name : : "r"(v) : "memory");                                \
    }

CPU_REGISTER(cr0)
CPU_REGISTER(cr2)
CPU_REGISTER(cr3)
CPU_REGISTER(cr4)
CPU_REGISTER(dr0)
CPU_REGISTER(dr1)
CPU_REGISTER(dr2)
CPU_REGISTER(dr3)
CPU_REGISTER(dr6)
CPU_REGISTER(dr7)

static inline void interrupts_on(void)
{
    __asm__ volatile("sti" : : : "memory");
}
static inline void interrupts_off(void)
{
    __asm__ volatile("cli" : : : "memory");
}
/* Sleep until an interrupt came; STI's shadow closes the gap before HLT. */
static inline void halt_until_interrupt(void)
{
    __asm__ volatile("sti; hlt" : : : "memory");
}
/* Let time pass by computing: two instructions a step. Emulators run this far
 * faster than a loop that reads a clock. */
static inline void cpu_spin(u64 steps)
{
    while (steps--)
        __asm__ volatile("");
}
static inline void cpu_relax(void)
{
    __asm__ volatile("pause" : : : "memory");
}
static inline void invlpg(const void *p)
{
    __asm__ volatile("invlpg (%0)" : : "r"(p) : "memory");
}

/* What LGDT and LIDT read. */
struct table_register {
    u16 limit;
    unsigned long base;
} __attribute__((packed));

static inline void lidt(const struct table_register *t)
{
    __asm__ volatile("lidt (%0)" : : "r"(t) : "memory");
}
static inline void lgdt(const struct table_register *t)
{
    __asm__ volatile("lgdt (%0)" : : "r"(t) : "memory");
}

#endif
