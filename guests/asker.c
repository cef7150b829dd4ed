/*
 * asker: what the processor looks like from here. It asks CPUID for the leaves
 * that matter and for random ones, with garbage in the upper halves of the
 * registers, and reports every answer: two checkpoints a leaf, named by the
 * leaf's number (hexadecimal), the first EAX | EBX << 32, the second
 * ECX | EDX << 32. Then what the FPU held before anyone touched it, and where
 * a page fault happened that a VMM must deliver itself: that of an OUTS.
 * It judges only what it can know by itself: see the checks at the end.
 * AMD64 Manual vol. 3, CPUID; vol. 2, 11.4.4 (FXSAVE).
 */
#include "guests/lib/guest.h"

#define RANDOM_LEAVES 8
#define FCW_RESET     0x37f
#define MXCSR_RESET   0x1f80

enum { FX_FCW = 0, FX_MXCSR = 24 };

static const u32 leaves[] = {0,          1,          2,          7,          0xb,
                             0x40000000, 0x40000001, 0x80000000, 0x80000001, 0x80000002,
                             0x80000003, 0x80000004, 0x80000005, 0x80000008, 0x8000000a};

struct answer {
    u64 a, b, c, d;
};

static u32 not_cleared;
static u8 fx[512] __attribute__((aligned(16)));

static struct answer ask(struct rng *r, u32 leaf)
{
    u64 high = ~0xffffffffull;
    struct answer x = {.a = (rng_next(r) & high) | leaf,
                       .b = rng_next(r) | 1ull << 63,
                       .c = rng_next(r) & high,
                       .d = rng_next(r) | 1ull << 63};

    __asm__ volatile("cpuid" : "+a"(x.a), "+b"(x.b), "+c"(x.c), "+d"(x.d));
    not_cleared += (x.a | x.b | x.c | x.d) >> 32 != 0;
    return x;
}

static void report(u32 leaf, const struct answer *x)
{
    char name[9];

    for (int i = 0; i < 8; i++)
        name[i] = "0123456789abcdef"[leaf >> (28 - 4 * i) & 15];
    name[8] = 0;
    checkpoint(name, (u32)x->a | x->b << 32);
    checkpoint(name, (u32)x->c | x->d << 32);
}

static void ask_and_report(struct rng *r, u32 leaf)
{
    struct answer x = ask(r, leaf);

    report(leaf, &x);
}

static void look_at_fpu(void)
{
    u16 fcw;
    u32 mxcsr;

    write_cr0((read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP);
    write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
    __asm__ volatile("fxsave64 %0" : "=m"(fx));
    memcpy(&fcw, fx + FX_FCW, sizeof(fcw));
    memcpy(&mxcsr, fx + FX_MXCSR, sizeof(mxcsr));
    check("fcw", fcw, FCW_RESET);
    check("mxcsr", mxcsr, MXCSR_RESET);
}

/* Above what the trampoline maps. */
#define NOWHERE 0x40001230ull

static u64 fault_at;

static void on_page_fault(struct trap_frame *frame)
{
    fault_at = read_cr2();
    frame->ip += 1; /* OUTSB */
}

static void fault_in_outs(void)
{
    trap_set(VECTOR_PF, on_page_fault);
    __asm__ volatile("outsb" : : "S"(NOWHERE), "d"(0x80) : "memory");
    check("outs pf", fault_at, NOWHERE);
}

void guest_main(const struct multiboot_info *info)
{
    struct rng rng = {guest_seed()};

    (void)info;
    args_allow("");
    look_at_fpu();
    fault_in_outs();
    for (u32 i = 0; i < ARRAY_SIZE(leaves); i++)
        ask_and_report(&rng, leaves[i]);
    for (u32 i = 0; i < RANDOM_LEAVES; i++)
        ask_and_report(&rng, (u32)rng_next(&rng));
    check("upper", not_cleared, 0);
}
