/*
 * Classes msr, cpuid, control and debug: registers that a guest may try to read
 * and write, with random numbers and with numbers that mean something.
 * On a bare machine the emulator lacks some of the checks that a processor makes
 * (leaving long mode with CS.L set must be #GP): there these bits stay.
 */
#include "guests/hostile/hostile.h"

#define CR4_LA57  (1ul << 12)
#define CR4_PCIDE (1ul << 17)

static const u32 known_msrs[] = {
    0x10,       0x1b,       0x3a,       0x8b,       0xfe,       0x174,      0x175,      0x176,
    0x179,      0x17a,      0x17b,      0x1a0,      0x1d9,      0x200,      0x20f,      0x250,
    0x277,      0x2ff,      0x400,      0x480,      0x48c,      0x6e0,      0x800,      0x808,
    0x80b,      0x830,      0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101,
    0xc0000102, 0xc0000103, 0xc0010000, 0xc0010004, 0xc0010010, 0xc0010015, 0xc001001a, 0xc001001f,
    0xc0010058, 0xc0010114, 0xc0010115, 0xc0010117, 0xc0011029, 0x40000000, 0x40000001, 0x4b564d00,
};

static const u32 known_leaves[] = {
    0,          1,          2,          4,          5,          6,          7,          0xa,
    0xb,        0xd,        0x40000000, 0x40000001, 0x80000000, 0x80000001, 0x80000002, 0x80000004,
    0x80000005, 0x80000006, 0x80000007, 0x80000008, 0x8000000a, 0x8000001e, 0xffffffff,
};

void random_registers(void)
{
    for (int i = 0; i < 16; i++) {
        u64 v = random_any();
        if (v >= 256 && v < GIB) /* this kernel's own memory is not the target */
            v |= 1ull << 45;
        if (one_in(4))
            v = SCRATCH_VA + random_below((u32)(SCRATCH_PAGES * PAGE_SIZE));
        else if (one_in(64))
            v = OUTSIDE_VA(random_below(OUTSIDE_WINDOWS)) + random_below(4096);
        hostile_regs[i] = v;
    }
    if (!one_in(16))
        hostile_regs[4] = SCRATCH_VA + 3 * PAGE_SIZE; /* RSP */
}

static void access_msr(void)
{
    u32 msr = one_in(3) ? (u32)random_any() : known_msrs[random_below(ARRAY_SIZE(known_msrs))];
    if (one_in(2))
        (void)rdmsr(msr);
    else if (msr != MSR_EFER) /* class control has it */
        wrmsr(msr, random_any());
}

/* Several: those up to the first that does not exist. */
void action_msr(void)
{
    for (u32 n = 1 + random_below(4); n; n--)
        access_msr();
}

void action_cpuid(void)
{
    for (u32 n = 1 + random_below(4); n; n--) {
        u32 i = random_below(ARRAY_SIZE(known_leaves));
        u32 leaf = one_in(3) ? (u32)random_any() : known_leaves[i];
        cpuid(leaf, one_in(2) ? random_below(16) : (u32)random_any());
    }
}

/* One to three bits, seldom in the upper half. */
static u64 random_bits(void)
{
    u64 bits = 0;
    for (u32 n = 1 + random_below(3); n; n--)
        bits |= 1ull << random_below(one_in(8) ? 64 : 32);
    return bits;
}

static u64 keep_if_bare(u64 bits, u64 keep)
{
    return testport_present() ? bits : bits & ~keep;
}

/* The root with attributes; with bits that must fault; or, if it may, anything. */
static void change_cr3(void)
{
    u64 root = read_cr3();
    if (dare())
        write_cr3(random_any());
    else if (one_in(2))
        write_cr3(root | (random_u64() & 0x18));
    else
        write_cr3(root | 1ull << (52 + random_below(11)));
}

static void read_controls(void)
{
    u64 v;
    switch (random_below(5)) {
    case 0:
        (void)read_cr0();
        break;
    case 1:
        (void)read_cr4();
        break;
    case 2:
        (void)read_cr3();
        break;
    case 3:
        __asm__ volatile("mov %%cr8, %0" : "=r"(v));
        break;
    default:
        __asm__ volatile("mov %%cr5, %0" : "=r"(v)); /* no such register */
    }
}

static void change_part_of_cr0(void)
{
    u64 v = random_u64();
    switch (random_below(3)) {
    case 0:
        __asm__ volatile("clts");
        break;
    case 1:
        __asm__ volatile("smsw %0" : "=r"(v));
        break;
    default:
        __asm__ volatile("lmsw %w0" : : "r"((u16)v));
    }
}

void action_control(void)
{
    switch (random_below(8)) {
    case 0:
        write_cr0(read_cr0() ^ keep_if_bare(random_bits(), CR0_PE | CR0_PG));
        break;
    case 1:
        write_cr4(read_cr4() ^ keep_if_bare(random_bits(), CR4_PAE | CR4_LA57 | CR4_PCIDE));
        break;
    case 2:
        change_cr3();
        break;
    case 3:
        __asm__ volatile("mov %0, %%cr8" : : "r"(one_in(2) ? random_any() : random_below(16)));
        break;
    case 4:
        wrmsr(MSR_EFER, rdmsr(MSR_EFER) ^ keep_if_bare(random_bits(), EFER_LME));
        break;
    case 5:
        read_controls();
        break;
    case 6:
        change_part_of_cr0();
        break;
    default:
        write_cr2(random_u64());
        write_cr0(random_any() | CR0_PE | CR0_PG);
    }
}

static void write_debug(u32 n, u64 v)
{
    switch (n) {
    case 0:
        return write_dr0(v);
    case 1:
        return write_dr1(v);
    case 2:
        return write_dr2(v);
    case 3:
        return write_dr3(v);
    case 4:
        __asm__ volatile("mov %0, %%dr4" : : "r"(v));
        return;
    case 6:
        return write_dr6(v);
    default:
        return write_dr7(v);
    }
}

void action_debug(void)
{
    u64 v;
    if (one_in(4)) {
        v = read_dr0() + read_dr3() + read_dr6() + read_dr7();
        __asm__ volatile("mov %%dr5, %0" : "=r"(v));
        return;
    }
    /* Breakpoints on the scratch pages can be met; reserved high bits fault. */
    bool near = one_in(2);
    write_debug(random_below(8), near ? SCRATCH_VA + random_below(64) : random_any());
    write_debug(7, one_in(4) ? random_any() : (random_u64() & 0xffffffff));
    *(volatile u64 *)(SCRATCH_VA + random_below(64)) = v = random_u64();
    (void)v;
}
