/*
 * vmm.c: whole runs of several guests on the fake backend, judged by the trace
 * and the exit status: shares of the CPU, ticks under each policy and view of
 * time, ends, restarts, refusals. Guests are small programs in C (struct
 * guest). Each run is a process of its own, as on a machine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "kernel/clock.h"
#include "kernel/frame.h"
#include "vmm/tests/check.h"
#include "vmm/tests/host.h"
#include "vmm/tests/host_cpu.h"
#include "vmm/tests/rig.h"
#include "vmm/vmm.h"

#define RELOAD 11932u
#define MS (NS_PER_SEC / 1000)

/* --- Guests -------------------------------------------------------------------------- */

enum kind { TICKER, SLEEPER, GREEDY, ENDER, CRASHER, IDLER };

static struct guest {
    enum kind kind;
    u32 pc;
    enum { RUN, HANDLE, RETURN } next;
    u64 handled;
    bool masks; /* IF is clear when no handler runs */
} guests[16];

struct write {
    u16 port;
    u32 value;
};

static const struct write set_up[] = {{0x20, 0x11}, {0x21, 0x20}, {0x21, 4}, {0x21, 1},
                                      {0x21, 0xfe}, {0x43, 0x34}, {0x40, RELOAD & 0xff},
                                      {0x40, RELOAD >> 8}};

static void enable(struct vcpu *v)
{
    v->rflags |= RFLAGS_IF;
}

static struct fake_step out(struct vcpu *v, u16 port, u32 value, u64 ns)
{
    v->gpr[GPR_RAX] = value;
    return (struct fake_step){
        .ns = ns,
        .exit = {.reason = EXIT_IO, .rip = RIG_CODE, .next_rip = RIG_CODE + 1,
                 .io = {.port = port, .size = port >= TESTPORT_BASE ? 4 : 1}}};
}

static struct fake_step plain(enum exit_reason reason, u64 ns)
{
    return (struct fake_step){.ns = ns, .act = enable, .exit = {.reason = reason, .rip = RIG_CODE}};
}

static struct fake_step ordinary(struct guest *g, struct vcpu *v)
{
    switch (g->kind) {
    case SLEEPER:
        return plain(EXIT_HLT, 30000);
    case IDLER:
        return plain(EXIT_HLT, 1000);
    case GREEDY:
        return (struct fake_step){.ns = 100 * MS};
    case CRASHER:
        return plain(EXIT_SHUTDOWN, 3 * MS);
    case ENDER:
        return g->pc++ == 0 ? out(v, TESTPORT_BASE + 4, v->vm->args.sched.weight - 1, 2 * MS)
                            : out(v, TESTPORT_BASE, TESTPORT_EXIT, 10);
    default:
        return plain(EXIT_NONE, 50000);
    }
}

static bool program(struct vcpu *v, struct fake_step *step)
{
    struct guest *g = &guests[v->vm->id];

    if (g->next == HANDLE) {
        g->next = RETURN;
        *step = out(v, 0x20, 0x20, 3000);
    } else if (g->next == RETURN) {
        g->next = RUN;
        *step = plain(EXIT_NONE, 100);
    } else if (g->kind <= SLEEPER && g->pc < ARRAY_SIZE(set_up)) {
        *step = out(v, set_up[g->pc].port, set_up[g->pc].value, 10);
        g->pc++;
    } else {
        *step = ordinary(g, v);
    }
    return true;
}

static void handler(struct vcpu *v, const struct event *e)
{
    struct guest *g = &guests[v->vm->id];

    CHECK_EQ(e->type, EV_INTR);
    CHECK_EQ(e->vector, 0x20);
    v->rflags &= ~RFLAGS_IF;
    g->handled++;
    g->next = HANDLE;
}

/* A guest's kind is the first letter of its name. */
static void begin_guest(struct vcpu *v)
{
    struct guest *g = &guests[v->vm->id];
    const char *letters = "tsgeci";

    *g = (struct guest){.kind = (enum kind)(strchr(letters, v->vm->name[0]) - letters)};
    fake_of(v)->more = program;
    fake_of(v)->on_event = handler;
}

/* --- A run ------------------------------------------------------------------------------- */

/* Guests are "NAME ARGUMENTS", up to NULL. */
static enum host_status run(const char *options, const char *const *lines)
{
    static struct {
        struct bundle b;
        struct bundle_guest guest[15];
        u8 image[16];
    } file = {.image = {0xf4}};
    struct bundle_guest *g = (void *)((u8 *)&file + offsetof(struct bundle, guest));

    host_trace_start();
    host_cpuid_set(0x80000008, 0x3028, 0, 0, 0);
    fake_on_init = begin_guest;
    snprintf(file.b.cmdline, sizeof(file.b.cmdline), "%s", options);
    for (file.b.guests = 0; lines[file.b.guests]; file.b.guests++, g++) {
        const char *line = lines[file.b.guests];
        size_t n = strcspn(line, " ");
        snprintf(g->name, sizeof(g->name), "%.*s", (int)n, line);
        snprintf(g->args, sizeof(g->args), "mem=64K boot=raw%s", line + n);
        g->image_off = offsetof(typeof(file), image);
        g->image_size = 1;
    }
    return vmm_main(&file.b);
}
#define RUN(options, ...) run(options, (const char *const[]){__VA_ARGS__, NULL})

/* The last record of any of these events of a VM; its payload. */
static const u64 *last_of(u16 vm, const u32 *events, u32 n)
{
    const struct trace_record *last = NULL;

    for (u32 i = 0; i < n; i++)
        for (const struct trace_record *r = NULL; (r = host_trace_find(events[i], r));)
            if (host_record_vm(r) == vm && (!last || r > last))
                last = r;
    return last ? last->payload : NULL;
}

static const struct trace_timer_due *last_timer(u16 vm)
{
    static const u32 events[] = {EVENT_timer_due, EVENT_timer_delivered, EVENT_timer_dropped};

    return (const void *)last_of(vm, events, ARRAY_SIZE(events));
}

static u64 ran(u16 vm)
{
    static const u32 charge[] = {EVENT_sched_charge};
    const u64 *p = last_of(vm, charge, 1);

    return p ? ((const struct trace_sched_charge *)(const void *)p)->total : 0;
}

static u64 ends(u16 vm, enum vm_end_how how)
{
    u64 n = 0;

    for (const struct trace_record *r = NULL; (r = host_trace_find(EVENT_vm_end, r));)
        n += host_record_vm(r) == vm && r->payload[0] == how;
    return n;
}

static void check_balances(void)
{
    static const u32 events[] = {EVENT_timer_due, EVENT_timer_delivered, EVENT_timer_dropped};

    for (u32 i = 0; i < ARRAY_SIZE(events); i++)
        for (const struct trace_record *r = NULL; (r = host_trace_find(events[i], r));) {
            const struct trace_timer_due *t = (const void *)r->payload;
            CHECK_EQ(t->delivered + t->backlog + t->discarded, t->due);
        }
}

/* --- Scenarios ---------------------------------------------------------------------------- */

static void shares(void)
{
    CHECK_EQ(RUN("time=2s trace=time,sched", "ticker", "ticker", "greedy"), STATUS_TIME);
    CHECK_EQ(clock_now(), 2 * NS_PER_SEC);
    CHECK_EQ(ran(1) + ran(2) + ran(3), 2 * NS_PER_SEC);
    for (u16 vm = 1; vm <= 3; vm++) {
        check_about("share of VM %u", vm);
        CHECK(ran(vm) * 3 >= 2 * NS_PER_SEC * 98 / 100 && ran(vm) * 3 <= 2 * NS_PER_SEC * 102 / 100);
        CHECK_EQ(ends(vm, END_TIME_UP), 1);
    }
    check_balances();
}

static u64 ticks_by(u64 ns)
{
    return (u64)((u128)ns * PIT_HZ / (RELOAD * NS_PER_SEC));
}

/* One ticker beside two that take the CPU: what its policy promises. */
static const char *policy, *view;

static void ticks(void)
{
    char line[64];

    snprintf(line, sizeof(line), "ticker ticks=%s pit=%s", policy, view);
    CHECK_EQ(RUN("time=2s slice=35ms trace=time", line, "greedy", "greedy"), STATUS_TIME);
    const struct trace_timer_due *t = last_timer(1);
    bool apparent = view[0] == 'a', all_given = !strcmp(policy, "delay") || !strcmp(policy, "slew");
    /* Its PIT began at the last of 8 writes; the records' clock is its own. */
    CHECK_EQ(t->due, ticks_by(t->at - 80));
    CHECK_EQ(t->delivered, guests[1].handled);
    CHECK(t->due >= (apparent ? 60 : 190));
    if (apparent)
        CHECK_EQ(t->discarded, 0); /* no time passed while others ran */
    if (apparent || all_given)
        CHECK_EQ(t->delivered + t->backlog, t->due);
    if (apparent)
        CHECK(t->backlog <= 1);
    else if (!strcmp(policy, "discard"))
        CHECK(t->discarded >= 100 && t->delivered >= 50 && t->delivered <= 75);
    else if (!strcmp(policy, "merge"))
        CHECK(t->discarded >= 90 && t->discarded <= 125);
    else if (!strcmp(policy, "delay")) /* one at each return to the CPU, as merge, and the rest */
        CHECK(t->backlog >= 90 && t->backlog <= 125);
    else
        CHECK(t->backlog <= 40);
    check_balances();
}

/* Two that sleep between ticks leave the CPU to each other and to nobody. */
static void sleepers(void)
{
    CHECK_EQ(RUN("time=1s trace=time,sched", "sleeper", "sleeper"), STATUS_TIME);
    for (u16 vm = 1; vm <= 2; vm++) {
        check_about("sleeper %u", vm);
        const struct trace_timer_due *t = last_timer(vm);
        CHECK_EQ(t->due, 99);
        CHECK_EQ(t->delivered, 99);
        CHECK_EQ(t->discarded, 0);
        CHECK(ran(vm) < 10 * MS);
    }
    CHECK_EQ(host_trace_count(EVENT_sched_block), 2 + 2 * 99);
    CHECK_EQ(host_trace_count(EVENT_sched_wake), 2 * 99);
}

static void idle_for_ever(void)
{
    CHECK_EQ(RUN("time=1s", "idler", "idler"), STATUS_TIME);
    CHECK_EQ(clock_now(), NS_PER_SEC);
}

static void ends_alone(void)
{
    CHECK_EQ(RUN("time=1s trace=time,sched", "crasher", "ticker"), STATUS_TIME);
    CHECK_EQ(ends(1, END_TRIPLE_FAULT), 1);
    CHECK(last_timer(2)->delivered > 95);
    CHECK_EQ(frames_owned(OWNER_VM_RAM + 1) + frames_owned(OWNER_VM_TABLE + 1), 0);
    CHECK_EQ(host_trace_count(EVENT_vm_destroy), 1);
    CHECK(strstr(host_console(), "[1 crasher] ended: triple fault") != NULL);
}

static void restarts(void)
{
    u64 free = host_frames_free(), n = 0;

    CHECK_EQ(RUN("time=10s trace=memory,sched", "ender restart=200 weight=1", "crasher restart=3"),
             STATUS_ENDED);
    CHECK_EQ(ends(1, END_EXITED), 201);
    CHECK_EQ(ends(2, END_TRIPLE_FAULT), 4);
    CHECK_EQ(host_frames_free(), free);
    for (const struct trace_record *r = NULL; (r = host_trace_find(EVENT_vm_destroy, r)); n++) {
        const struct trace_vm_destroy *d = (const void *)r->payload;
        CHECK_EQ(d->leaked, 0);
        CHECK(d->freed >= 16 && d->freed < 32);
    }
    CHECK_EQ(n, 205);
    n = 0;
    for (const struct trace_record *r = NULL; (r = host_trace_find(EVENT_vm_create, r));) {
        const struct trace_vm_create *c = (const void *)r->payload;
        if (host_record_vm(r) == 1)
            CHECK_EQ(c->generation, n++);
    }
    CHECK_EQ(n, 201);
    check_about("the console hears of the first generations only");
    n = 0;
    for (const char *at = host_console(); (at = strstr(at, "[1 ender] ended")); at++)
        n++;
    CHECK_EQ(n, 4);
}

static void statuses(void)
{
    static const struct {
        const char *line;
        enum host_status status;
    } rows[] = {
        {"ender weight=1", STATUS_ENDED}, /* exits with weight - 1 */
        {"ender weight=2", STATUS_FAILED},
        {"ender weight=2 checks=ignore", STATUS_ENDED},
        {"ender weight=1 restart=1", STATUS_ENDED},
        {"crasher", STATUS_ENDED},
    };

    for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
        check_about("%s", rows[i].line);
        CHECK_EQ(RUN("time=1s", rows[i].line), rows[i].status);
    }
}

static void refusals(void)
{
    CHECK_EQ(RUN("slice=0", "ticker"), STATUS_REFUSED);
    CHECK(strstr(host_console(), "slice") != NULL);
    host_console_clear();
    CHECK_EQ(RUN("time=1s", "ticker", "greedy speed=9"), STATUS_REFUSED);
    CHECK(strstr(host_console(), "guest 2 (greedy): ") && strstr(host_console(), "speed"));
    host_console_clear();
    CHECK_EQ(RUN("time=1s", "ticker ticks=never"), STATUS_REFUSED);
    CHECK(strstr(host_console(), "never") != NULL);
}

/* In a process of its own: vmm_main() is called once a boot. */
static bool apart(void (*scenario)(void), const char *name)
{
    int status;

    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        check_about("%s", name);
        scenario();
        exit(check_done(name));
    }
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
        const char *policy, *view;
    } scenarios[] = {
        {"shares", shares, NULL, NULL},
        {"sleepers", sleepers, NULL, NULL},
        {"idle for ever", idle_for_ever, NULL, NULL},
        {"one ends alone", ends_alone, NULL, NULL},
        {"restarts", restarts, NULL, NULL},
        {"statuses", statuses, NULL, NULL},
        {"refusals", refusals, NULL, NULL},
        {"discard, wall", ticks, "discard", "wall"},
        {"merge, wall", ticks, "merge", "wall"},
        {"delay, wall", ticks, "delay", "wall"},
        {"slew, wall", ticks, "slew", "wall"},
        {"discard, apparent", ticks, "discard", "apparent"},
        {"merge, apparent", ticks, "merge", "apparent"},
        {"delay, apparent", ticks, "delay", "apparent"},
        {"slew, apparent", ticks, "slew", "apparent"},
    };

    for (u32 i = 0; i < ARRAY_SIZE(scenarios); i++) {
        policy = scenarios[i].policy;
        view = scenarios[i].view;
        check_about("%s", scenarios[i].name);
        CHECK(apart(scenarios[i].run, scenarios[i].name));
    }
    return check_done("vmm");
}
