/*
 * Single instructions that C has no words for: ports, MSRs, control
 * registers, CPUID, interrupts.
 */
#ifndef KERNEL_CPU_H
#define KERNEL_CPU_H

#include "kernel/types.h"

static inline void outb(u16 port, u8 v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}
static inline void outw(u16 port, u16 v)
{
    __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}
static inline void outl(u16 port, u32 v)
{
    __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}
static inline u8 inb(u16 port)
{
    u8 v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
static inline u64 rdmsr(u32 msr)
{
    u32 lo, hi;
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return (u64)hi << 32 | lo;
}
static inline void wrmsr(u32 msr, u64 v)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}
#ifdef HOST_BUILD
void cpuid(u32 leaf, u32 sub, u32 out[4]); /* a processor of the unit tests' making */
#else
static inline void cpuid(u32 leaf, u32 sub, u32 out[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                     : "a"(leaf), "c"(sub));
}
#endif
static inline u64 read_cr0(void)
{
    u64 v;
    __asm__ volatile("movq %%cr0, %0" : "=r"(v));
    return v;
}
static inline void write_cr0(u64 v)
{
    __asm__ volatile("movq %0, %%cr0" : : "r"(v) : "memory");
}
static inline u64 read_cr4(void)
{
    u64 v;
    __asm__ volatile("movq %%cr4, %0" : "=r"(v));
    return v;
}
static inline void write_cr4(u64 v)
{
    __asm__ volatile("movq %0, %%cr4" : : "r"(v) : "memory");
}
static inline u64 read_cr2(void)
{
    u64 v;
    __asm__ volatile("movq %%cr2, %0" : "=r"(v));
    return v;
}
static inline void write_cr2(u64 v)
{
    __asm__ volatile("movq %0, %%cr2" : : "r"(v));
}
static inline u64 read_cr3(void)
{
    u64 v;
    __asm__ volatile("movq %%cr3, %0" : "=r"(v));
    return v;
}
static inline void write_cr3(u64 v)
{
    __asm__ volatile("movq %0, %%cr3" : : "r"(v) : "memory");
}

#ifdef HOST_BUILD
void cpu_take_interrupts(void);
void cpu_idle(void);
#else
/* Let device interrupts in for one moment: the only place, but for the idle
 * wait, where the host takes them. */
static inline void cpu_take_interrupts(void)
{
    __asm__ volatile("sti; nop; cli" ::: "memory");
}
/* Wait for a device interrupt and take it. */
static inline void cpu_idle(void)
{
    __asm__ volatile("sti; hlt; cli" ::: "memory");
}
#endif
_Noreturn void cpu_stop(void);

/* Is this Bochs's emulation? Port 0xE9 gives its own number there; what depends on
 * it is a fault of that emulator, and says so. */
bool cpu_is_bochs(void);

/* RDMSR that survives a #GP: false then. */
bool rdmsr_safe(u32 msr, u64 *v);

#endif
