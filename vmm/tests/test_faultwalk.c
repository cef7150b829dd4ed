/*
 * faultwalk.c: which walk ended in a nested fault. A guest in 4-level paging
 * touches a page that its nested tables lack, by each kind of access; the walk
 * traced must begin at the gVA meant, end in that fault with the processor's
 * error code, stand before the mapping, and change nothing. What is not known
 * is not traced.
 */
#include <string.h>
#include "vmm/mmu/pt_format.h"
#include "vmm/tests/check.h"
#include "vmm/tests/host.h"
#include "vmm/tests/rig.h"

#define DATA  0x30000ull
#define STACK 0x41000ull /* rSP: what is pushed lies in the page below */
#define MEMORY (1u << 20)

static struct vm vm;
static struct vcpu *const v = &vm.vcpu;

static void map(u64 at)
{
    CHECK_EQ(nested_map(&vm.nested, gpa(at), ptr_hpa(guestmem_ptr(&vm.mem, gpa(at), NULL)),
                     ACCESS_WRITE | ACCESS_EXEC),
             0);
}

/* A guest whose tables and code are mapped already, its registers all at DATA. */
static void begin(const char *about, enum rig_mode mode)
{
    check_about("%s", about);
    rig_begin(&vm, "");
    rig_mode(&vm, mode);
    trace_walks_named = true;
    for (u32 i = 0; i < 4; i++)
        map(RIG_ROOT + i * PAGE_SIZE);
    map(RIG_CODE & ~PAGE_MASK);
    for (u32 i = 0; i < GPR_COUNT; i++)
        v->gpr[i] = DATA;
    v->gpr[GPR_RSP] = STACK;
    host_trace_start();
}

static void fault(u64 at, u8 access, bool in_walk)
{
    rig_exit(&vm, EXIT_NESTED,
             (struct exit){.nested = {.gpa = gpa(at), .access = ACCESS_USER | access,
                                      .in_walk = in_walk}});
}

/* The one walk of the trace, or NULL. */
static const struct trace_walk_begin *begun(void)
{
    const struct trace_record *r = host_trace_find(EVENT_walk_begin, NULL);

    return r ? (const void *)r->payload : NULL;
}

static void check_walk(u64 linear, u8 access, u64 refs, u8 level, u64 error)
{
    const struct trace_walk_begin *b = begun();
    const struct trace_record *r = host_trace_find(EVENT_walk_end, NULL);

    CHECK_EQ(host_trace_count(EVENT_walk_begin), 1);
    CHECK_EQ(host_trace_count(EVENT_walk_ref), refs);
    if (!CHECK(b != NULL) || !CHECK(r != NULL))
        return;
    const struct trace_walk_end *e = (const void *)r->payload;
    CHECK_EQ(b->gva, linear);
    CHECK_EQ(b->access, access);
    CHECK_EQ(b->cause, CAUSE_FAULT);
    CHECK_EQ(b->nroot, vm.nested.root.v);
    CHECK_EQ(e->refs, refs);
    CHECK_EQ(e->fault, FAULT_NOT_PRESENT);
    CHECK_EQ(e->dim, DIM_NESTED);
    CHECK_EQ(e->level, level);
    CHECK_EQ(e->error, error);
    CHECK(r < host_trace_find(EVENT_map, NULL)); /* as the tables were before */
}

/* --- What an instruction touches ------------------------------------------------------ */

static const struct {
    const char *about;
    u8 code[8];
    u64 at; /* the page that is not mapped */
    u8 access;
} insns[] = {
    {"MOV [RAX], ECX", {0x89, 0x08}, DATA, ACCESS_WRITE},
    {"MOV ECX, [RAX + 0x123]", {0x8b, 0x88, 0x23, 0x01}, DATA + 0x123, 0},
    {"ADD [RAX], ECX", {0x01, 0x08}, DATA, 0}, /* the processor reads first */
    {"STOSD", {0xab}, DATA, ACCESS_WRITE},
    {"REP MOVSB", {0xf3, 0xa4}, DATA, 0},
    {"MOVUPS [RAX], XMM0", {0x0f, 0x11, 0x00}, DATA, ACCESS_WRITE},
    {"FXSAVE [RAX + 0x7f8]: its end", {0x0f, 0xae, 0x80, 0xf8, 0x07}, DATA + 0x7f8, ACCESS_WRITE},
    {"PUSH RAX", {0x50}, STACK - 8, ACCESS_WRITE},
    {"CALL +0", {0xe8, 0, 0, 0, 0}, STACK - 8, ACCESS_WRITE},
    {"RET", {0xc3}, STACK, 0},
    {"POP RAX", {0x58}, STACK, 0},
};

static void test_insns(void)
{
    static u8 memory[MEMORY];
    u64 gpr[GPR_COUNT];

    for (u32 i = 0; i < ARRAY_SIZE(insns); i++) {
        begin(insns[i].about, RIG_LONG);
        rig_code(&vm, insns[i].code, sizeof(insns[i].code));
        u64 *leaf = guestmem_ptr(&vm.mem, gpa(RIG_ROOT + 3 * PAGE_SIZE), NULL);
        for (u32 level = 0; level < 3; level++) /* as it was fetched, A is set already */
            *(u64 *)guestmem_ptr(&vm.mem, gpa(RIG_ROOT + level * PAGE_SIZE), NULL) |= PTE_A;
        leaf[RIG_CODE >> 12] |= PTE_A;
        memcpy(memory, guestmem_ptr(&vm.mem, gpa(0), NULL), MEMORY);
        memcpy(gpr, v->gpr, sizeof(gpr));
        fault(insns[i].at, insns[i].access, false);
        check_walk(insns[i].at, insns[i].access, 24, 1,
                   NPF_FINAL | PF_U | (insns[i].access & ACCESS_WRITE ? PF_W : 0));
        CHECK_MEM(memory, guestmem_ptr(&vm.mem, gpa(0), NULL), MEMORY);
        CHECK_MEM(gpr, v->gpr, sizeof(gpr));
        CHECK_EQ(v->rip, RIG_CODE);
        rig_end(&vm);
    }
}

static void test_fetch(void)
{
    begin("its own first byte", RIG_LONG);
    v->rip = DATA;
    fault(DATA, ACCESS_EXEC, false);
    check_walk(DATA, ACCESS_EXEC, 24, 1, NPF_FINAL | PF_U | PF_I);
    rig_end(&vm);

    begin("an instruction that goes on in the next page", RIG_LONG);
    v->rip = RIG_CODE + 0x3ff;
    fault(0x8000, ACCESS_EXEC, false);
    check_walk(0x8000, ACCESS_EXEC, 24, 1, NPF_FINAL | PF_U | PF_I);
    rig_end(&vm);
}

static void test_in_walk(void)
{
    begin("a table that is not mapped, for data", RIG_LONG);
    RIG_CODE_AT(&vm, 0x8b, 0x08); /* MOV ECX, [RAX] */
    u64 *directory = guestmem_ptr(&vm.mem, gpa(RIG_ROOT + 2 * PAGE_SIZE), NULL);
    directory[1] = 0x50000 | PTE_P | PTE_W | PTE_U;
    v->gpr[GPR_RAX] = 0x200000;
    fault(0x50000, ACCESS_WRITE, true);
    check_walk(0x200000, 0, 19, 1, NPF_IN_WALK | PF_U | PF_W);
    rig_end(&vm);

    begin("and for code", RIG_LONG);
    directory = guestmem_ptr(&vm.mem, gpa(RIG_ROOT + 2 * PAGE_SIZE), NULL);
    directory[1] = 0x50000 | PTE_P | PTE_W | PTE_U;
    v->rip = 0x200010;
    fault(0x50000, ACCESS_WRITE, true);
    check_walk(0x200010, ACCESS_EXEC, 19, 1, NPF_IN_WALK | PF_U | PF_W);
    rig_end(&vm);
}

static void test_others(void)
{
    begin("paging off: the gPA is the gVA", RIG_FLAT32);
    fault(DATA + 5, ACCESS_WRITE, false);
    check_walk(DATA + 5, ACCESS_WRITE, 4, 1, NPF_FINAL | PF_U | PF_W);
    rig_end(&vm);

    begin("the processor says the gVA", RIG_LONG);
    rig_exit(&vm, EXIT_NESTED,
             (struct exit){.nested = {.gpa = gpa(DATA + 9), .gva = gva(DATA + 9),
                                      .access = ACCESS_USER}});
    check_walk(DATA + 9, 0, 24, 1, NPF_FINAL | PF_U);
    rig_end(&vm);

    begin("a user's access", RIG_LONG);
    struct seg ss = {0x1b, 0xcf3, 0xffffffff, 0};
    hv_set_seg(v, SEG_SS, &ss);
    RIG_CODE_AT(&vm, 0x8b, 0x08);
    fault(DATA, 0, false);
    check_walk(DATA, ACCESS_USER, 24, 1, NPF_FINAL | PF_U);
    rig_end(&vm);
}

/* --- A misconfiguration: EPT has them, and says neither the access nor whose table ------ */

/* An entry that can be written but not read, which there cannot be. */
static void misconfigure(u64 at)
{
    u64 *table = hpa_ptr(vm.nested.root);

    for (u32 shift = 39; shift > 12; shift -= 9)
        table = hpa_ptr(hpa(table[at >> shift & 511] & ~PAGE_MASK));
    table[at >> 12 & 511] &= ~1ull;
}

static void check_misconfigured(u64 linear, u64 at, u64 refs)
{
    rig_exit(&vm, EXIT_NESTED, (struct exit){.nested = {.gpa = gpa(at), .misconfig = true}});
    const struct trace_walk_begin *b = begun();
    const struct trace_record *r = host_trace_find(EVENT_walk_end, NULL);

    CHECK(!vm.alive);
    if (!CHECK(b != NULL) || !CHECK(r != NULL))
        return;
    const struct trace_walk_end *e = (const void *)r->payload;
    CHECK_EQ(b->gva, linear);
    CHECK_EQ(e->refs, refs);
    CHECK_EQ(e->fault, FAULT_RESERVED);
    CHECK_EQ(e->dim, DIM_NESTED);
    CHECK_EQ(e->error, 0);
}

static void test_misconfigured(void)
{
    pt_nested = &pt_ept;
    begin("the page of an operand", RIG_LONG);
    RIG_CODE_AT(&vm, 0x8b, 0x08); /* MOV ECX, [RAX] */
    map(DATA);
    misconfigure(DATA);
    check_misconfigured(DATA, DATA, 24);
    rig_end(&vm);

    begin("the page of one of the guest's tables", RIG_LONG);
    RIG_CODE_AT(&vm, 0x8b, 0x08);
    u64 *directory = guestmem_ptr(&vm.mem, gpa(RIG_ROOT + 2 * PAGE_SIZE), NULL);
    directory[1] = 0x50000 | PTE_P | PTE_W | PTE_U;
    v->gpr[GPR_RAX] = 0x200010;
    map(0x50000);
    misconfigure(0x50000);
    check_misconfigured(0x200010, 0x50000, 19);
    rig_end(&vm);

    begin("a page that is as it should be", RIG_LONG);
    RIG_CODE_AT(&vm, 0x8b, 0x08);
    map(DATA);
    rig_exit(&vm, EXIT_NESTED, (struct exit){.nested = {.gpa = gpa(DATA), .misconfig = true}});
    CHECK(!begun());
    rig_end(&vm);
    begin("one that is merely missing", RIG_LONG);
    RIG_CODE_AT(&vm, 0x8b, 0x08);
    rig_exit(&vm, EXIT_NESTED, (struct exit){.nested = {.gpa = gpa(DATA), .misconfig = true}});
    CHECK(!begun());
    rig_end(&vm);
    pt_nested = &pt_npt;
}

/* --- What is not known ----------------------------------------------------------------- */

static void test_unknown(void)
{
    begin("an address that the instruction does not touch", RIG_LONG);
    RIG_CODE_AT(&vm, 0x8b, 0x08);
    fault(DATA + 0x20000, ACCESS_WRITE, false);
    CHECK(!begun() && vm.alive);
    rig_end(&vm);

    begin("a page that it touches, while a table was looked for there", RIG_LONG);
    RIG_CODE_AT(&vm, 0x8b, 0x08);
    fault(DATA, ACCESS_WRITE, true);
    CHECK(!begun() && vm.alive);
    rig_end(&vm);

    begin("an event that was being delivered", RIG_LONG);
    RIG_CODE_AT(&vm, 0x8b, 0x08);
    rig_exit(&vm, EXIT_NESTED,
             (struct exit){.pending = {.valid = true, .vector = 0x20},
                           .nested = {.gpa = gpa(DATA), .access = ACCESS_USER}});
    CHECK(!begun() && vm.alive);
    rig_end(&vm);
}

static void select(const char *groups, bool named, bool map_too)
{
    check_about("trace=%s", groups);
    CHECK_EQ(trace_select(groups, strlen(groups)), 0);
    CHECK_EQ(trace_walks_named, named);
    CHECK_EQ(trace_wanted(EVENT_map), map_too);
}

static void test_asked_for(void)
{
    select("walks", true, false);
    select("io,walks,memory", true, true);
    select("all", false, true);
    select("walks", true, false);
    select("some", false, true);
    select("io", false, false);
    select("none", false, false);
    CHECK(trace_wanted(EVENT_checkpoint) && !trace_wanted(EVENT_walk_begin));
    select("off", false, false);
    CHECK(!trace_wanted(EVENT_checkpoint));

    begin("not asked for by name", RIG_LONG);
    RIG_CODE_AT(&vm, 0x8b, 0x08);
    trace_walks_named = false;
    fault(DATA, 0, false);
    CHECK(!begun());
    CHECK_EQ(host_trace_count(EVENT_map), 1);
    rig_end(&vm);
}

int main(void)
{
    pt_phys_bits = 52; /* the host's own pointers are the frames' addresses */
    test_insns();
    test_fetch();
    test_in_walk();
    test_others();
    test_misconfigured();
    test_unknown();
    test_asked_for();
    return check_done("faultwalk");
}
