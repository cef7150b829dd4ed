/*
 * The canaries beside the general registers: an FXSAVE image for x87, MXCSR and
 * XMM0-15, and a table of system registers with what each can hold.
 * AMD64 manual vol. 2, section 11.4.4 (FXSAVE's format) and 13.1.1 (DR6, DR7).
 */
#include "guests/canary.h"

/* Offsets in the FXSAVE image; ST and XMM registers follow every 16 bytes. */
enum { FX_FCW = 0, FX_FSW = 2, FX_FTW = 4, FX_MXCSR = 24, FX_ST = 32, FX_XMM = 160 };

#define FCW_MASKED    0x037f /* all exceptions masked, 64-bit precision */
#define FCW_ROUNDING  0x0c00
#define FSW_TOP_AND_C 0x7f00 /* condition codes and top of stack */
#define MXCSR_MASKED  0x1f80
#define MXCSR_FREE    0xe03f /* flags, rounding, FZ */

#define CANONICAL 0x00007fffffffffffull

struct canary_fx canary_fx_want, canary_fx_seen;

enum kind { IS_MSR, IS_CR2, IS_CR8, IS_DR0, IS_DR1, IS_DR2, IS_DR3, IS_DR6, IS_DR7 };

static struct system_register {
    const char *name;
    enum kind kind;
    u32 msr;
    u64 random, fixed; /* which bits are free; which are always set */
    u64 want;
} registers[] = {
    {"cr2", IS_CR2, 0, ~0ull, 0, 0},
    {"cr8", IS_CR8, 0, 0xf, 0, 0},
    {"dr0", IS_DR0, 0, CANONICAL, 0, 0},
    {"dr1", IS_DR1, 0, CANONICAL, 0, 0},
    {"dr2", IS_DR2, 0, CANONICAL, 0, 0},
    {"dr3", IS_DR3, 0, CANONICAL, 0, 0},
    {"dr6", IS_DR6, 0, 0xf, 0xffff0ff0, 0},
    {"dr7", IS_DR7, 0, 0xffff0300, 0x400, 0}, /* kinds and lengths, nothing enabled */
    {"fs.base", IS_MSR, MSR_FS_BASE, CANONICAL, 0, 0},
    {"gs.base", IS_MSR, MSR_GS_BASE, CANONICAL, 0, 0},
    {"kgsbase", IS_MSR, MSR_KERNEL_GS_BASE, CANONICAL, 0, 0},
    {"star", IS_MSR, MSR_STAR, ~0ull, 0, 0},
    {"lstar", IS_MSR, MSR_LSTAR, CANONICAL, 0, 0},
    {"cstar", IS_MSR, MSR_CSTAR, CANONICAL, 0, 0},
    {"sfmask", IS_MSR, MSR_SFMASK, 0xffffffff, 0, 0},
    {"sys.cs", IS_MSR, MSR_SYSENTER_CS, 0xffff, 0, 0},
    {"sys.esp", IS_MSR, MSR_SYSENTER_ESP, CANONICAL, 0, 0},
    {"sys.eip", IS_MSR, MSR_SYSENTER_EIP, CANONICAL, 0, 0},
    {"pat", IS_MSR, MSR_PAT, 0x0101010101010101ull, 0x0604060406040604ull, 0},
};

void canary_fpu_on(void)
{
    write_cr0((read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP);
    write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
    __asm__ volatile("fninit");
}

static void put(u8 *area, const void *bytes, size_t n)
{
    memcpy(area, bytes, n);
}

static void choose_st(struct rng *r, u8 *st)
{
    u64 mantissa = rng_next(r) | 1ull << 63; /* a normal number */
    u16 exponent = (u16)(0x3000 + rng_below(r, 0x2000)) | (u16)(rng_below(r, 2) << 15);
    put(st, &mantissa, 8);
    put(st + 8, &exponent, 2);
}

void canary_fx_choose(struct rng *r)
{
    u8 *fx = canary_fx_want.area;
    u16 fcw = FCW_MASKED | (rng_next(r) & FCW_ROUNDING);
    u16 fsw = rng_next(r) & FSW_TOP_AND_C;
    u32 mxcsr = MXCSR_MASKED | (rng_next(r) & MXCSR_FREE);
    memset(fx, 0, sizeof(canary_fx_want));
    put(fx + FX_FCW, &fcw, 2);
    put(fx + FX_FSW, &fsw, 2);
    fx[FX_FTW] = 0xff; /* all eight in use */
    put(fx + FX_MXCSR, &mxcsr, 4);
    for (int i = 0; i < 8; i++)
        choose_st(r, fx + FX_ST + 16 * i);
    for (int i = 0; i < 32; i++) {
        u64 half = rng_next(r);
        put(fx + FX_XMM + 8 * i, &half, 8);
    }
}

/* n bytes of the two images, n at most 8. */
static u32 compare_at(const char *what, u32 index, unsigned offset, size_t n)
{
    u64 seen = 0, want = 0;
    memcpy(&seen, canary_fx_seen.area + offset, n);
    memcpy(&want, canary_fx_want.area + offset, n);
    return canary_differs(what, index, seen, want);
}

u32 canary_fx_compare(void)
{
    u32 n = compare_at("fcw", NO_INDEX, FX_FCW, 2) + compare_at("fsw", NO_INDEX, FX_FSW, 2) +
            compare_at("ftw", NO_INDEX, FX_FTW, 1) + compare_at("mxcsr", NO_INDEX, FX_MXCSR, 4);
    for (u32 i = 0; i < 8; i++)
        n += compare_at("st mantissa", i, FX_ST + 16 * i, 8) +
             compare_at("st exponent", i, FX_ST + 16 * i + 8, 2);
    for (u32 i = 0; i < 16; i++)
        n += compare_at("xmm low", i, FX_XMM + 16 * i, 8) +
             compare_at("xmm high", i, FX_XMM + 16 * i + 8, 8);
    return n;
}

static u64 read_cr8(void)
{
    u64 v;
    __asm__ volatile("mov %%cr8, %0" : "=r"(v));
    return v;
}
static void write_cr8(u64 v)
{
    __asm__ volatile("mov %0, %%cr8" : : "r"(v));
}

static u64 get(const struct system_register *r)
{
    switch (r->kind) {
    case IS_CR2:
        return read_cr2();
    case IS_CR8:
        return read_cr8();
    case IS_DR0:
        return read_dr0();
    case IS_DR1:
        return read_dr1();
    case IS_DR2:
        return read_dr2();
    case IS_DR3:
        return read_dr3();
    case IS_DR6:
        return read_dr6();
    case IS_DR7:
        return read_dr7();
    default:
        return rdmsr(r->msr);
    }
}

static void set(const struct system_register *r)
{
    switch (r->kind) {
    case IS_CR2:
        return write_cr2(r->want);
    case IS_CR8:
        return write_cr8(r->want);
    case IS_DR0:
        return write_dr0(r->want);
    case IS_DR1:
        return write_dr1(r->want);
    case IS_DR2:
        return write_dr2(r->want);
    case IS_DR3:
        return write_dr3(r->want);
    case IS_DR6:
        return write_dr6(r->want);
    case IS_DR7:
        return write_dr7(r->want);
    default:
        return wrmsr(r->msr, r->want);
    }
}

void canary_system_load(struct rng *rng)
{
    for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) {
        registers[i].want = (rng_next(rng) & registers[i].random) | registers[i].fixed;
        set(&registers[i]);
    }
}

void canary_system_compare(struct canary_system *count)
{
    for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) {
        const struct system_register *r = &registers[i];
        bool dr = r->kind >= IS_DR0 && r->kind <= IS_DR7;
        u32 *place = r->kind == IS_CR2 ? &count->cr2 : dr ? &count->dr : &count->other;
        *place += canary_differs(r->name, NO_INDEX, get(r), r->want);
    }
}
