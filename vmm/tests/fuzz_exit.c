/*
 * Fuzz target: a guest that exits for any reason, in any order, with any
 * registers, code and page tables. The whole VMM core runs it on the fake
 * backend, which panics when hv.h's contract is broken. Whatever happens: no
 * state that an entry would be refused for, no frame lost, another VM's memory
 * and registers as they were. Memory that is not the VM's is poisoned.
 */
#include <string.h>
#include "kernel/clock.h"
#include "kernel/console.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/tests/fuzz.h"
#include "vmm/tests/host.h"
#include "vmm/tests/host_cpu.h"
#include "vmm/tests/rig.h"
#include "vmm/vcpu_events.h"

const char *const fuzz_name = "exit";

#define MEMORY "mem=128K,64K@1M boot=raw pit=apparent ticks="
#define MAX_STOPS 32 /* of one input: slices, blocks, yields */

/* How the input begins; steps follow, then what lies in memory. */
struct start {
    u8 mode, policy, cpl, steps;
    u32 flags; /* of RFLAGS */
    u64 gpr[4];
    u16 pte[4];      /* which leaf entries are overwritten, */
    u64 pte_value[4]; /* with what */
};

/* One exit and what the guest did before it. */
struct step {
    u8 reason, a, b, gpr;
    u16 port;
    u16 us;
    u32 number;
    u64 value;
};

static struct {
    struct step step[64];
    u32 steps, next;
    u64 value;
} script;
static struct vm vm, other;
static u8 other_memory[128 << 10];
static u64 frames_before;

/* --- Another VM ------------------------------------------------------------------------- */

static void begin_other(void)
{
    char why[200];

    if (frames_before)
        return;
    host_trace_start();
    FUZZ_CHECK(rig_create(&other, 2, "mem=128K boot=raw", why, sizeof(why)) == 0);
    u8 *memory = guestmem_ptr(&other.mem, gpa(0), NULL);
    for (u32 i = 0; i < sizeof(other_memory); i++)
        memory[i] = (u8)(i * 31 + (i >> 8));
    memcpy(other_memory, memory, sizeof(other_memory));
    for (u32 i = 0; i < GPR_COUNT; i++)
        other.vcpu.gpr[i] = i * 0x0101010101010101;
    frames_before = host_frames_free();
}

static void check_other(void)
{
    FUZZ_CHECK(other.alive && other.vcpu.rip == RIG_CODE && !other.vcpu.inject.valid);
    FUZZ_CHECK(!memcmp(guestmem_ptr(&other.mem, gpa(0), NULL), other_memory, sizeof(other_memory)));
    for (u32 i = 0; i < GPR_COUNT; i++)
        FUZZ_CHECK(other.vcpu.gpr[i] == i * 0x0101010101010101);
}

/* --- The guest ---------------------------------------------------------------------------- */

/* A place that is interesting: in memory, at its ends, or anywhere. */
static u64 place(u8 how, u64 value)
{
    static const u64 base[] = {0, RIG_CODE, RIG_ROOT, 0x1fff0, 0x20000, 0xffff0,
                               0x100000, 0x10fff8, 0x110000, 0xfee00000, 0xfffffff8, 1ull << 40};

    return how % 16 < ARRAY_SIZE(base) ? base[how % 16] + (value & 0xfff) : value;
}

static u16 device_port(u8 how, u16 port)
{
    static const u16 ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x40, 0x43, 0x61, 0x70, 0x71, 0x60,
                                0x64, 0x3f8, 0x3f9, 0x4d0, 0xe9, 0x5e0, 0x5e4, 0x5ec, 0x92};

    return how % 32 < ARRAY_SIZE(ports) ? (u16)(ports[how % 32] + (port & 3)) : port;
}

/* What was being delivered; an interrupt only where it can be. */
static struct event event_of(const struct vcpu *v, const struct step *s)
{
    static const u8 types[] = {EV_INTR, EV_NMI, EV_EXCEPTION, EV_SOFT_INT};
    u8 type = types[s->a >> 4 & 3];
    bool possible = type != EV_INTR || v->rflags & RFLAGS_IF;

    return (struct event){.valid = possible && s->b >= 224,
                          .type = type,
                          .vector = type == EV_EXCEPTION ? s->gpr % 32 == 2 ? 3 : s->gpr % 32
                                    : type == EV_NMI     ? 2
                                                         : s->gpr,
                          .has_error = type == EV_EXCEPTION && s->gpr & 8};
}

static void fill(const struct vcpu *v, const struct step *s, struct exit *x)
{
    switch (x->reason) {
    case EXIT_IO:
        x->io.port = device_port(s->a, s->port);
        x->io.size = (u8)(1u << s->b % 3);
        x->io.in = s->b & 4;
        x->io.string = (s->b & 0x38) == 0x38;
        x->io.rep = s->b & 0x40;
        x->next_rip = x->io.string ? 0 : x->rip + 1 + s->b % 3;
        break;
    case EXIT_MSR:
        x->msr.write = s->b & 1;
        break;
    case EXIT_NESTED:
        x->nested.gpa = gpa(place(s->a, s->value));
        x->nested.access = (s->b & 3) | (s->b % 32 == 31 ? ACCESS_EXEC : 0);
        x->nested.in_walk = s->b % 64 == 48;
        x->pending = event_of(v, s);
        break;
    default:
        break;
    }
}

static void set_registers(struct vcpu *v, const struct step *s)
{
    static const u32 msrs[] = {0x10, 0x1b, 0x277, 0xc0000080, 0xc0000081, 0x174};

    v->rflags = (v->rflags & ~(RFLAGS_IF | RFLAGS_TF)) | (s->b & 1 ? RFLAGS_IF : 0) |
                ((s->b & 0xe) == 0xe ? RFLAGS_TF : 0);
    v->gpr[s->gpr % GPR_COUNT] = s->number & 1 ? place(s->a, s->value) : s->value;
    if (s->reason % 32 == EXIT_MSR)
        v->gpr[GPR_RCX] = s->a < 192 ? msrs[s->a % ARRAY_SIZE(msrs)] : s->number;
    if (s->reason % 32 == EXIT_CPUID)
        v->gpr[GPR_RAX] = (s->a & 1 ? 0x80000000 : 0) + s->number % 16;
}

/* Code that fits the exit, lest most inputs end with their first one. */
static void plant(enum exit_reason reason, u8 which)
{
    static const u8 cr[][4] = {{0x0f, 0x22, 0xc0}, {0x0f, 0x22, 0xdb}, {0x0f, 0x22, 0xe1},
                               {0x0f, 0x20, 0xe7}, {0x0f, 0x06},       {0x0f, 0x01, 0xf0},
                               {0x0f, 0x01, 0x36}, {0xf0, 0x0f, 0x22, 0xc0}};
    static const u8 memory[][4] = {{0x8b, 0x06}, {0x89, 0x07}, {0xa5}, {0xf3, 0xa4},
                                   {0x00, 0x06}, {0x87, 0x07}, {0xf3, 0xaa}, {0xff, 0x37},
                                   {0x8f, 0x06}, {0x0f, 0xb6, 0x07}, {0xf0, 0xff, 0x07},
                                   {0xf2, 0xae}};
    static const u8 io[][4] = {{0xf3, 0x6e}, {0x6e}, {0xf3, 0x6c}, {0x6d}, {0xf3, 0x6f}};
    static const u8 ltr[][4] = {{0x0f, 0x00, 0xd8}, {0x0f, 0x00, 0x1e}};
    u8 *at = guestmem_ptr(&vm.mem, gpa(RIG_CODE), NULL);

    if (reason == EXIT_CR)
        memcpy(at, cr[which % ARRAY_SIZE(cr)], 4);
    else if (reason == EXIT_NESTED)
        memcpy(at, memory[which % ARRAY_SIZE(memory)], 4);
    else if (reason == EXIT_IO)
        memcpy(at, io[which % ARRAY_SIZE(io)], 4);
    else if (reason == EXIT_DESCRIPTOR)
        memcpy(at, ltr[which % ARRAY_SIZE(ltr)], 4);
}

static bool more(struct vcpu *v, struct fake_step *step)
{
    if (script.next == script.steps)
        return false;
    const struct step *s = &script.step[script.next++];
    set_registers(v, s);
    *step = (struct fake_step){.ns = s->us * 64ull};
    step->exit.reason = s->reason % 32;
    if (step->exit.reason > EXIT_NMI_WINDOW || step->exit.reason == EXIT_ENTRY_FAILED)
        step->exit.reason = EXIT_CR;
    step->exit.rip = s->number & 2 ? v->rip : RIG_CODE + s->number / 4 % 512;
    if (s->number & 12) {
        step->exit.rip = RIG_CODE;
        plant(step->exit.reason, s->gpr);
    }
    fill(v, s, &step->exit);
    return true;
}

static void on_event(struct vcpu *v, const struct event *e)
{
    if (e->type == EV_INTR)
        v->rflags &= ~RFLAGS_IF;
}

static void set_mode(const struct start *start)
{
    struct vcpu *v = &vm.vcpu;
    struct seg ss;

    rig_mode(&vm, start->mode % 3);
    hv_get_seg(v, SEG_SS, &ss);
    ss.attr |= (start->cpl & 3) << 5;
    hv_set_seg(v, SEG_SS, &ss);
    for (u32 i = 0; start->mode % 3 == RIG_LONG && i < ARRAY_SIZE(start->pte); i++)
        if (start->pte_value[i])
            memcpy(guestmem_ptr(&vm.mem, gpa(RIG_ROOT + start->pte[i] % 2048 * 8), NULL),
                   &start->pte_value[i], 8);
    v->rflags = 2 | (start->flags & 0x240dd5);
    memcpy(&v->gpr[GPR_RSI], start->gpr, sizeof(start->gpr));
}

/* --- What must hold ------------------------------------------------------------------ */

/* AMD64 Manual vol. 2, 15.5.1: an entry with this state is not refused. */
static void check_state(struct vcpu *v)
{
    u64 cr0 = hv_get(v, HV_CR0), cr4 = hv_get(v, HV_CR4), efer = hv_get(v, HV_EFER);
    bool long_mode = efer & EFER_LMA;

    FUZZ_CHECK(!(cr0 >> 32) && cr0 & 1 << 4);
    FUZZ_CHECK(!(cr0 & CR0_PG) || cr0 & CR0_PE);
    FUZZ_CHECK(!(cr0 & 1 << 29) || cr0 & 1 << 30);
    FUZZ_CHECK(!(cr4 & ~0x7ffull));
    FUZZ_CHECK(!(efer & ~0xd01ull));
    FUZZ_CHECK(long_mode == (efer & EFER_LME && cr0 & CR0_PG));
    FUZZ_CHECK(!long_mode || cr4 & CR4_PAE);
    FUZZ_CHECK(!long_mode || !(hv_get(v, HV_CR3) >> pt_phys_bits));
    FUZZ_CHECK(hv_get(v, HV_TPR) < 16);
}

static void check_vm(void)
{
    const struct event *e = &vm.vcpu.inject;

    FUZZ_CHECK(vm.how != END_BAD_ENTRY && vm.how != END_KILLED);
    FUZZ_CHECK(vtimer_balanced(&vm.timer));
    FUZZ_CHECK(vm.vcpu.shadow <= 1);
    if (vm.alive && e->valid && e->type == EV_EXCEPTION)
        FUZZ_CHECK(e->vector < 32 && e->vector != 2);
    if (vm.alive)
        check_state(&vm.vcpu);
}

/* As vmm.c does it, with one VM. */
static void run(void *unused)
{
    struct vcpu *v = &vm.vcpu;
    (void)unused;

    for (u32 i = 0; i < MAX_STOPS; i++) {
        enum vcpu_stop stop = vcpu_run(v, clock_now() + NS_PER_SEC / 1000, ~0ull);
        check_vm();
        if (stop == STOP_ENDED)
            return;
        if (stop == STOP_BLOCKED) {
            u64 next = vcpu_next_tick(v, clock_now());
            host_clock_advance(next == ~0ull ? 1000 : next - clock_now());
            vcpu_wakes(v, clock_now());
            v->state = VCPU_RUNNING;
        }
        vcpu_ticks(v, clock_now());
    }
}

static void read_script(const u8 *data, size_t size, u32 steps)
{
    size_t used = min_u64(size, min_u64(steps % 64, 64) * sizeof(struct step));

    memset(&script, 0, sizeof(script));
    memcpy(script.step, data, used);
    script.steps = (u32)((used + sizeof(struct step) - 1) / sizeof(struct step));
    if (size > used)
        memcpy(guestmem_ptr(&vm.mem, gpa(RIG_CODE), NULL), data + used,
               min_u64(size - used, 0x2000));
}

int fuzz_one(const u8 *data, size_t size)
{
    static const char *const args[] = {MEMORY "discard", MEMORY "merge", MEMORY "delay",
                                       MEMORY "slew"};
    struct start start = {0};
    char why[200];
    size_t head = min_u64(size, sizeof(start));

    begin_other();
    memcpy(&start, data, head);
    host_trace_start();
    host_console_clear();
    fake_forget();
    /* Walked faults reach frames by the host's own pointers: long addresses. */
    trace_walks_named = start.policy & 0x80;
    pt_phys_bits = trace_walks_named ? 52 : 40;
    clock_test_ns = 0;
    host_timer_at = ~0ull;
    FUZZ_CHECK(rig_create(&vm, 1, args[start.policy % 4], why, sizeof(why)) == 0);
    set_mode(&start);
    vm.vcpu.state = VCPU_RUNNING;
    vm.vcpu.loaded = true;
    fake_of(&vm.vcpu)->more = more;
    fake_of(&vm.vcpu)->on_event = on_event;
    read_script(data + head, size - head, start.steps);
    if (host_panics(run, NULL)) {
        console_print("%s\n", host_panic_text());
        fuzz_fail(__FILE__, __LINE__, host_panic_text());
    }
    vm_destroy(&vm);
    FUZZ_CHECK(host_frames_free() == frames_before);
    check_other();
    return 0;
}

/* Each mode and policy, with exits of the commoner kinds and plain code. */
size_t fuzz_seed(u32 i, u8 *to)
{
    static const u8 reasons[] = {EXIT_IO, EXIT_NESTED, EXIT_CR, EXIT_MSR, EXIT_IO, EXIT_HLT,
                                 EXIT_NESTED, EXIT_IO, EXIT_DESCRIPTOR, EXIT_CPUID};
    static const u8 code[] = {
        0x0f, 0x22, 0xc0, 0x0f, 0x22, 0xd8, 0x0f, 0x22, 0xe0, 0x0f, 0x20, 0xc0, 0x0f, 0x06,
        0x0f, 0x01, 0xf0, 0x0f, 0x01, 0x36, 0xf3, 0x6e, 0xf3, 0x6c, 0x6d, 0x8b, 0x06, 0x89,
        0x07, 0xa5, 0xf3, 0xa4, 0x00, 0x06, 0x87, 0x07, 0x0f, 0x00, 0xd8, 0x0f, 0x00, 0x1e};
    struct start start = {.mode = (u8)i, .policy = (u8)(i / 3 | i << 7), .steps = 24, .flags = 0x202,
                          .gpr = {0x9000, 0xfee00000, 0x1fff8, 0x100}};
    size_t n = sizeof(start);

    if (i >= 12)
        return 0;
    for (u32 j = 0; j < start.steps; j++) {
        struct step s = {.reason = reasons[(j + i) % sizeof(reasons)], .a = (u8)(j * 7 + i),
                         .b = (u8)(j * 37 + i), .gpr = (u8)j, .port = (u16)(j * 3),
                         .us = (u16)(j * 100), .number = j * 13 + i, .value = j * 0x11110001ull};
        memcpy(to + n, &s, sizeof(s));
        n += sizeof(s);
    }
    memcpy(to, &start, sizeof(start));
    for (u32 j = 0; j < 12; j++, n += sizeof(code))
        memcpy(to + n, code, sizeof(code));
    return n;
}
