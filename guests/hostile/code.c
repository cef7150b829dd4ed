/*
 * Classes code and privileged. code: random or nearly valid instruction bytes
 * that end where a page ends, or cross into what follows it. privileged: the
 * instructions by which a kernel, or another hypervisor, would take control.
 * Interrupts are on, so that the timer ends what would hang; bytes that switch
 * them off are therefore replaced.
 */
#include "guests/hostile/hostile.h"

#define LONGEST 18

/* Beginnings that a decoder must carry to the end. */
static const struct {
    u8 n, bytes[3];
} openings[] = {
    {2, {0x0f, 0xa2}},
    {2, {0x0f, 0x30}},
    {2, {0x0f, 0x32}},
    {2, {0x0f, 0x20}},
    {2, {0x0f, 0x22}},
    {2, {0x0f, 0x21}},
    {2, {0x0f, 0x23}},
    {2, {0x0f, 0x01}},
    {3, {0x0f, 0x01, 0xd9}},
    {3, {0x0f, 0x01, 0x38}},
    {2, {0x0f, 0xb7}},
    {2, {0x0f, 0xb6}},
    {2, {0x0f, 0xc7}},
    {3, {0x0f, 0x38, 0xf0}},
    {1, {0x6c}},
    {1, {0x6f}},
    {1, {0xe4}},
    {1, {0xe7}},
    {1, {0xec}},
    {1, {0xef}},
    {1, {0x88}},
    {1, {0x8b}},
    {1, {0xa1}},
    {1, {0xc7}},
    {1, {0x81}},
    {1, {0xf7}},
    {1, {0xff}},
    {1, {0xcd}},
    {1, {0xc4}},
    {1, {0x62}},
};

static const u8 prefixes[] = {0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e,
                              0x26, 0x64, 0x65, 0x40, 0x48, 0x4f, 0x41};

/* Whole instructions; what does not fault by itself runs into UD2. */
static const struct {
    u8 n, bytes[4];
} instructions[] = {
    {3, {0x0f, 0x01, 0x38}},       /* invlpg (%rax) */
    {2, {0x0f, 0x09}},             /* wbinvd */
    {2, {0x0f, 0x08}},             /* invd */
    {3, {0x0f, 0x01, 0xd8}},       /* vmrun */
    {3, {0x0f, 0x01, 0xd9}},       /* vmmcall */
    {3, {0x0f, 0x01, 0xda}},       /* vmload */
    {3, {0x0f, 0x01, 0xdb}},       /* vmsave */
    {3, {0x0f, 0x01, 0xdc}},       /* stgi */
    {3, {0x0f, 0x01, 0xdd}},       /* clgi */
    {3, {0x0f, 0x01, 0xde}},       /* skinit */
    {3, {0x0f, 0x01, 0xdf}},       /* invlpga */
    {3, {0x0f, 0x01, 0xc1}},       /* vmcall */
    {3, {0x0f, 0x01, 0xc2}},       /* vmlaunch */
    {4, {0xf3, 0x0f, 0xc7, 0x37}}, /* vmxon (%rdi) */
    {3, {0x0f, 0x01, 0xc8}},       /* monitor */
    {3, {0x0f, 0x01, 0xc9}},       /* mwait */
    {3, {0x0f, 0x01, 0xd0}},       /* xgetbv */
    {3, {0x0f, 0x01, 0xd1}},       /* xsetbv */
    {3, {0x0f, 0x01, 0xf8}},       /* swapgs */
    {3, {0x0f, 0x01, 0xf9}},       /* rdtscp */
    {2, {0x0f, 0x31}},             /* rdtsc */
    {2, {0x0f, 0x33}},             /* rdpmc */
    {2, {0xf3, 0x90}},             /* pause */
    {1, {0xcc}},                   /* int3 */
    {1, {0xf1}},                   /* icebp */
    {2, {0x0f, 0x0b}},             /* ud2 */
    {2, {0x0f, 0x05}},             /* syscall */
    {2, {0x0f, 0x07}},             /* sysret */
    {2, {0x0f, 0x34}},             /* sysenter */
    {2, {0x0f, 0x35}},             /* sysexit */
    {2, {0x0f, 0xaa}},             /* rsm */
    {1, {0x9b}},                   /* fwait */
    {4, {0x0f, 0xae, 0x07, 0x90}}, /* fxsave (%rdi) */
    {3, {0x0f, 0x00, 0xd0}},       /* lldt %ax */
    {3, {0x48, 0xcf, 0x90}},       /* iretq */
};
#define INT_N 0xcd
#define HLT   0xf4

/* CLI, POPF and IRET could make a loop endless. */
static bool is_forbidden(u8 b)
{
    return b == 0xfa || b == 0x9d || b == 0xcf;
}

static u32 invent(u8 *bytes)
{
    u32 n = 0;
    if (!one_in(3)) {
        while (one_in(2) && n < 6)
            bytes[n++] = prefixes[random_below(ARRAY_SIZE(prefixes))];
        u32 o = random_below(ARRAY_SIZE(openings));
        for (u32 i = 0; i < openings[o].n; i++)
            bytes[n++] = openings[o].bytes[i];
    }
    u32 more = random_below(LONGEST - n);
    for (u32 i = 0; i < more; i++) {
        u8 b = (u8)random_u64();
        bytes[n] = is_forbidden(b) ? 0x90 : b;
        n++;
    }
    if (!n)
        bytes[n++] = (u8)(0x40 | random_below(16)); /* a lone prefix */
    return n;
}

/* Port accesses may leave the PIC and the PIT in any state. */
static bool touches_ports(const u8 *bytes, u32 n)
{
    for (u32 i = 0; i < n; i++)
        if ((bytes[i] & 0xf4) == 0xe4 || (bytes[i] & 0xfc) == 0x6c)
            return true;
    return false;
}

/* So that over of the n bytes lie beyond the end of kind's first page, if there
 * is memory; returns where they begin. The page before them is all INT3. */
static u64 place(enum edge kind, const u8 *bytes, u32 n, u32 over)
{
    u8 *page = (u8 *)EDGE_VA(kind), *start = page + PAGE_SIZE - n + over;
    memset(page, 0xcc, PAGE_SIZE);
    if (kind == EDGE_MEMORY) {
        memset(page + PAGE_SIZE, 0xcc, PAGE_SIZE);
        memcpy(start, bytes, n);
    } else {
        memcpy(start, bytes, n - over);
    }
    return (uintptr_t)start;
}

void action_code(void)
{
    u8 bytes[LONGEST + 8];
    u32 n = invent(bytes);
    enum edge kind = (enum edge)random_below(EDGE_KINDS);
    if (kind == EDGE_OUTSIDE && !dare())
        kind = EDGE_UNMAPPED;
    u64 code = place(kind, bytes, n, random_below(n));
    random_registers();
    recover_arm();
    hostile.ports_dirty = touches_ports(bytes, n);
    hostile_run(code, RFLAGS_IF);
}

void action_privileged(void)
{
    u8 bytes[6] = {0};
    u32 i = random_below(ARRAY_SIZE(instructions) + 6), n = 0;
    if (i < ARRAY_SIZE(instructions)) {
        n = instructions[i].n;
        memcpy(bytes, instructions[i].bytes, n);
    } else if (i == ARRAY_SIZE(instructions)) {
        bytes[n++] = HLT;
    } else {
        bytes[n++] = INT_N;
        bytes[n++] = (u8)random_u64();
    }
    bytes[n++] = 0x0f; /* UD2 */
    bytes[n++] = 0x0b;
    memcpy(scratch(), bytes, n);
    random_registers();
    if (one_in(2))
        hostile_regs[0] &= ~(PAGE_SIZE - 1); /* as VMRUN and VMLOAD want it */
    recover_arm();
    hostile_run(SCRATCH_VA, RFLAGS_IF);
}
