/*
 * Memory that is not for everything (VM arguments rom and noexec): what is in it,
 * what the nested tables allow, and what becomes of an access that they forbid;
 * pages in use, as the test port's HARVEST tells.
 */
#include <string.h>
#include "vmm/boot/memmap.h"
#include "vmm/mix.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/tests/check.h"
#include "vmm/tests/host.h"
#include "vmm/tests/rig.h"

#define ROM    0xf0000000ull
#define NOEXEC 0x40000000ull
#define ARGS   "rom=8K@0xf0000000 noexec=8K@0x40000000"

static struct vm vm;
static struct vcpu *const v = &vm.vcpu;

static void begin(const char *about)
{
    check_about("%s", about);
    rig_begin(&vm, ARGS);
    rig_mode(&vm, RIG_FLAT32);
}

static u8 *guest(u64 at)
{
    return guestmem_ptr(&vm.mem, gpa(at), NULL);
}

static void nested(u64 at, u8 access, bool in_walk, bool present)
{
    rig_exit(&vm, EXIT_NESTED,
             (struct exit){.nested = {.gpa = gpa(at),
                                      .access = access | ACCESS_USER,
                                      .in_walk = in_walk,
                                      .present = present}});
}

static enum walk_fault walk_to(u64 at, u8 access, struct walk *w)
{
    walk_init(w, PAGING_OFF, gva(at), access);
    return walk_nested(vm.nested.root, gpa(at), access, 0, w);
}

static void test_contents(void)
{
    u64 seed, n;

    begin("what is in a ROM");
    seed = mix(vm.seed, vm.id, vm.generation);
    for (u64 at = ROM; at < ROM + 8192; at += 8) {
        n = mix(seed, at, 0) & 0xffffffff;
        const u8 code[] = {0xb8,          (u8)n, (u8)(n >> 8), (u8)(n >> 16),
                           (u8)(n >> 24), 0xc3,  0x90,         0x90};
        CHECK_MEM(guest(at), code, 8);
    }
    CHECK_EQ(*guest(NOEXEC), 0);
    struct memmap map;
    memmap_make(&map, &vm.mem);
    CHECK(memmap_usable(&map, 0x1000, 4096));
    CHECK(!memmap_usable(&map, ROM, 1));
    CHECK(!memmap_usable(&map, NOEXEC, 1));
    rig_end(&vm);
}

static void test_map(void)
{
    struct walk w;

    begin("first touch");
    nested(ROM + 0x1234, 0, false, false);
    nested(NOEXEC + 8, ACCESS_WRITE, false, false);
    nested(NOEXEC + 0x1000, ACCESS_WRITE, true, false); /* its tables may lie there */
    CHECK(vm.alive);
    CHECK_EQ(vm.nested.mapped, 3);
    CHECK_EQ(walk_to(ROM + 0x1234, ACCESS_EXEC, &w), FAULT_NONE);
    CHECK(hpa_ptr(w.hpa) == guest(ROM + 0x1234));
    CHECK_EQ(walk_to(ROM + 0x1234, ACCESS_WRITE, &w), FAULT_WRITE);
    CHECK_EQ(walk_to(NOEXEC, ACCESS_WRITE, &w), FAULT_NONE);
    CHECK_EQ(walk_to(NOEXEC, ACCESS_EXEC, &w), FAULT_EXECUTE);
    rig_end(&vm);
}

/* MOV [ROM + 16], EAX: nothing is written, the guest goes on. */
static void test_write(void)
{
    for (int present = 0; present < 2; present++) {
        begin(present ? "a write to a ROM" : "a write to a ROM, its first touch");
        u64 was;
        memcpy(&was, guest(ROM + 16), 8);
        RIG_CODE_AT(&vm, 0xa3, 0x10, 0, 0, 0xf0);
        v->gpr[GPR_RAX] = ~0ull;
        nested(ROM + 16, ACCESS_WRITE, false, present);
        CHECK(vm.alive);
        CHECK_EQ(v->rip, RIG_CODE + 5);
        CHECK_MEM(guest(ROM + 16), &was, 8);
        const struct trace_record *r = host_trace_find(EVENT_mmio, NULL);
        const struct trace_mmio want = {ROM + 16, true, 4, 0xffffffff};
        CHECK(r);
        CHECK_MEM(r->payload, &want, sizeof(want));
        rig_end(&vm);
    }
    begin("an exchange with a ROM reads it");
    u32 was;
    memcpy(&was, guest(ROM), 4);
    RIG_CODE_AT(&vm, 0x87, 0x05, 0, 0, 0, 0xf0); /* XCHG [ROM], EAX */
    nested(ROM, ACCESS_WRITE, false, true);
    CHECK_EQ(v->gpr[GPR_RAX], was);
    CHECK_EQ(host_trace_count(EVENT_mmio), 1);
    rig_end(&vm);
}

static void ends(const char *about, u64 at, u8 access, bool in_walk, const char *why)
{
    begin(about);
    nested(at, access, in_walk, true);
    CHECK(!vm.alive);
    CHECK_STR(rig_why(&vm), why);
    rig_end(&vm);
    begin(about);
    nested(at, access, in_walk, false); /* and when it was never mapped */
    CHECK_STR(rig_why(&vm), why);
    CHECK_EQ(vm.nested.mapped, 0);
    rig_end(&vm);
}

static void test_ends(void)
{
    ends("code where none may be", NOEXEC + 0x123, ACCESS_EXEC, false,
         "executes at gPA 0x40000123, which is not executable");
    ends("page tables in a ROM", ROM + 0x18, ACCESS_WRITE, true,
         "its page tables lie at gPA 0xf0000018, in read-only memory: A and D cannot be set");
    begin("a stack in a ROM");
    struct exit x = {.pending = {.valid = true, .vector = 32},
                     .nested = {.gpa = gpa(ROM), .access = ACCESS_WRITE, .present = true}};
    rig_exit(&vm, EXIT_NESTED, x);
    CHECK_STR(rig_why(&vm), "delivering vector 32 touches gPA 0xf0000000, which is read-only");
    rig_end(&vm);
    begin("forbidden by tables only");
    nested(ROM, 0, false, true);
    CHECK_STR(rig_why(&vm),
              "reading gPA 0xf0000000 is forbidden by its nested tables, though it is mapped");
    rig_end(&vm);
}

/* A walk in the processor's place: A and D of tables in a ROM are not set. */
static void test_tables_in_rom(void)
{
    struct guest_paging paging = {.cr0 = CR0_PE | CR0_PG, .cr3 = ROM, .cr4 = CR4_PSE};
    struct walk w;

    begin("A and D in a ROM");
    *(u32 *)guest(ROM) = (u32)(NOEXEC | PTE_P | PTE_W);
    *(u32 *)guest(NOEXEC) = 0x5000 | PTE_P | PTE_W;
    CHECK_EQ(walk_guest(&vm.mem, &paging, gva(0x123), ACCESS_WRITE, true, &w), FAULT_NONE);
    CHECK_EQ(w.gpa.v, 0x5123);
    CHECK_EQ(*(u32 *)guest(ROM), NOEXEC | PTE_P | PTE_W);
    CHECK_EQ(*(u32 *)guest(NOEXEC), 0x5000 | PTE_P | PTE_W | PTE_A | PTE_D);
    rig_end(&vm);
}

static u64 ask(u64 at)
{
    rig_out(&vm, 0x5e4, 4, (u32)at);
    rig_out(&vm, 0x5e8, 4, (u32)(at >> 32));
    rig_out(&vm, 0x5e0, 4, 10);
    return rig_in(&vm, 0x5e4, 4) | (u64)rig_in(&vm, 0x5e8, 4) << 32;
}

static void test_harvest(void)
{
    struct walk w;

    begin("pages in use");
    nested(0x5000, ACCESS_WRITE, false, false);
    nested(0x24000, 0, false, false);
    CHECK_EQ(ask(0x5000), 0); /* nothing has set A yet: there is no processor here */
    CHECK_EQ(fake_count(FAKE_FLUSH), 0);
    walk_to(0x5000, 0, &w);
    ((u64 *)hpa_ptr(w.ref[3].table))[5] |= PTE_A | PTE_D;
    ((u64 *)hpa_ptr(w.ref[3].table))[0x24] |= PTE_A;
    CHECK_EQ(ask(0x5000), 1ull | 1ull << 31 | 1ull << 32);
    CHECK_EQ(fake_count(FAKE_FLUSH), 1);
    CHECK_EQ(ask(0x5000), 0);
    CHECK_EQ(walk_to(0x5000, ACCESS_WRITE, &w), FAULT_NONE);
    CHECK_EQ(host_trace_count(EVENT_harvest), 3);
    check_about("no page");
    CHECK_EQ(ask(0x5001), ~0ull);
    CHECK_EQ(ask((1ull << 48) - 31 * PAGE_SIZE), ~0ull);
    CHECK_EQ(ask(~0xfffull), ~0ull);
    CHECK_EQ(ask((1ull << 48) - 32 * PAGE_SIZE), 0);
    rig_end(&vm);
}

int main(void)
{
    pt_phys_bits = 52; /* the host's addresses have more than 40 bits */
    test_contents();
    test_map();
    test_write();
    test_ends();
    test_tables_in_rom();
    test_harvest();
    return check_done("regions");
}
