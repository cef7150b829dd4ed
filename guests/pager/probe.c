/*
 * Runs one instruction at CPL 0 or 3 and catches how it ends: by the UD2 behind it,
 * or by #PF. Any other exception is unexpected and ends the guest. A GDT with user
 * segments and a TSS for the way back are set up here.
 */
#include "guests/pager/probe.h"

#define SELECTOR_USER_DATA 0x23
#define SELECTOR_TSS       0x28
#define TSS_AVAILABLE      0x0000890000000000ull

#ifdef __x86_64__
struct tss {
    u32 reserved0;
    u64 rsp0, rest[11];
    u16 reserved1, io_map;
} __attribute__((packed));
#define GDT_CODE0 0x00af9b000000ffffull
#define GDT_CODE3 0x00affb000000ffffull
#else
struct tss {
    u32 link, esp0, ss0, rest[22];
    u16 trap, io_map;
} __attribute__((packed));
#define GDT_CODE0 0x00cf9b000000ffffull
#define GDT_CODE3 0x00cffb000000ffffull
#endif
_Static_assert(sizeof(struct tss) == 104, "TSS");

static u64 gdt[8] __attribute__((aligned(16)));
static struct tss tss;
static u8 trap_stack[8192] __attribute__((aligned(16)));

u8 user_page[PAGE_SIZE] __attribute__((aligned(4096)));
struct probe *probe_current;
unsigned long probe_base = (unsigned long)probe_stubs;
unsigned long probe_user_stack = (unsigned long)user_page + PAGE_SIZE;
bool (*probe_first)(const struct trap_frame *);

static void leave(struct trap_frame *f, bool faulted)
{
    struct probe *p = probe_current;
    if (!p || f->ip - probe_base >= PAGE_SIZE) {
        if (!p || !faulted || f->ip != p->di) { /* a fetch faults where it goes */
            print("vector %U error 0x%X at 0x%X cr2 0x%X\n", (u64)f->vector, (u64)f->error,
                  (u64)f->ip, (u64)read_cr2());
            diverge("an exception of this program", f->ip, f->vector, 0);
        }
    }
    p->ax = f->ax;
    p->bx = f->bx;
    p->cx = f->cx;
    p->dx = f->dx;
    p->si = f->si;
    p->di = f->di;
    p->faulted = faulted;
    p->error = faulted ? (u32)f->error : 0;
    p->cr2 = read_cr2();
    probe_current = NULL;
    probe_back();
}

static void on_fault(struct trap_frame *f)
{
    if (!probe_first || !probe_first(f))
        leave(f, true);
}

static void on_end(struct trap_frame *f)
{
    leave(f, false);
}

static void load_tables(void)
{
    const struct table_register t = {sizeof(gdt) - 1, (uintptr_t)gdt};
    u64 base = (uintptr_t)&tss;
    gdt[1] = GDT_CODE0;
    gdt[2] = 0x00cf93000000ffffull;
    gdt[3] = GDT_CODE3;
    gdt[4] = 0x00cff3000000ffffull;
    gdt[5] =
        TSS_AVAILABLE | (sizeof(tss) - 1) | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
    gdt[6] = base >> 32;
    lgdt(&t);
    __asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"(SELECTOR_USER_DATA));
    __asm__ volatile("ltr %w0" : : "r"(SELECTOR_TSS));
}

void probe_init(void)
{
#ifdef __x86_64__
    tss.rsp0 = (uintptr_t)trap_stack + sizeof(trap_stack);
#else
    tss.esp0 = (uintptr_t)trap_stack + sizeof(trap_stack);
    tss.ss0 = 0x10;
#endif
    tss.io_map = sizeof(tss);
    load_tables();
    write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
    write_cr0((read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP);
    trap_set(VECTOR_PF, on_fault);
    trap_set(VECTOR_UD, on_end);
}

void probe_run(struct probe *p, enum probe_kind kind, bool user)
{
    probe_current = p;
    probe_enter(p, probe_base + (unsigned)kind * PROBE_STUB, user);
}
