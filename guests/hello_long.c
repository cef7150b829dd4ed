/*
 * hello in long mode: that EFER and CPUID agree that it is on, and that
 * 64-bit registers hold 64 bits.
 */
#include "guests/hello.h"

#define EFER_LMA (1u << 10)

const char hello_mode_name[] = "long mode";

void hello_mode(void)
{
    check("longmode", rdmsr(MSR_EFER) & (EFER_LME | EFER_LMA), EFER_LME | EFER_LMA);
    check("cpuid-lm", cpuid(0x80000001, 0).d >> 29 & 1, 1);
    u64 x = ~0ull;
    __asm__ volatile("shl $32, %0; bswap %0" : "+r"(x));
    check("64bit", x, 0xffffffff);
}
