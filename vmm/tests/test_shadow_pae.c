/*
 * The shadow of a PAE guest, on the fake backend: its directory pointers, which only some
 * writes of control registers load; the fence against task switches by hardware, which CR0.TS
 * lifts; 32-bit paging beside it.
 */
#include <string.h>
#include "vmm/cr.h"
#include "vmm/tests/check.h"
#include "vmm/tests/paged.h"

#define TABLE(n)   (RIG_ROOT + (n)*PAGE_SIZE)
#define PAGE_AT(n) ((n)*PAGE_SIZE)
#define PAGE       0x40ull

static u64 *word(u64 at)
{
    return guestmem_ptr(&vm.mem, gpa(at), NULL);
}

static u64 leaf32(u64 gva)
{
    return rig_leaf(&vm, gva, 30);
}

/* The list of pointers at RIG_ROOT + 32 * n leads to that directory and table, and there page
 * PAGE to `to`. */
static void put_list(u32 n, u32 directory, u32 table, u64 to)
{
    *word(RIG_ROOT + 32 * n) = TABLE(directory) | PTE_P;
    *word(TABLE(directory)) = TABLE(table) | PTE_P | PTE_W | PTE_U;
    *word(TABLE(table) + 8 * PAGE) = to | PTE_P | PTE_W | PTE_U;
}

/* A PAE guest's one table of pointers, at RIG_ROOT: its tables do not matter here. */
static void begin_pae(const char *what, const char *args, u64 cr0)
{
    check_about("%s", what);
    rig_begin(&vm, args);
    rig_mode(&vm, RIG_FLAT32);
    memset(word(RIG_ROOT), 0, PAGE_SIZE);
    CHECK(cr_write_3(v, RIG_ROOT));
    CHECK(cr_write_4(v, CR4_PAE));
    CHECK(cr_write_0(v, CR0_PE | CR0_PG | cr0));
}

/* What a nested table makes of an address; 0: nothing. */
static u64 fenced(u64 address)
{
    u64 table = v->ctl.fence_root.v;

    for (int shift = RIG_TOP; shift >= 12; shift -= 9) {
        u64 entry = ((u64 *)table)[address >> shift & 511];
        if (!(entry & PTE_P))
            return 0;
        table = entry & PTE_ADDR;
    }
    return table;
}

static void test_fence(void)
{
    shadow_fences = true;
    check_about("long mode needs no fence");
    rig_begin(&vm, "mmu=shadow");
    rig_mode(&vm, RIG_LONG);
    CHECK(cr_write_0(v, CR0_PE | CR0_PG) && vm.shadow.active);
    CHECK_EQ(v->ctl.fence_root.v, 0);
    rig_end(&vm);

    begin_pae("a fence: the VM's memory, its shadow pages, and nothing else", "mmu=shadow", 0);
    CHECK(vm.shadow.active && v->ctl.fence_root.v != 0);
    CHECK_EQ(fenced(host(0)), host(0));
    CHECK_EQ(fenced(host(0xff000)), host(0xff000));
    CHECK_EQ(fenced(v->ctl.shadow_root.v), v->ctl.shadow_root.v);
    CHECK_EQ(fenced(v->ctl.fence_root.v), 0);
    CHECK_EQ(fenced(vm.nested.root.v), 0);
    CHECK_EQ(fenced(0x1000), 0);
    u64 root = v->ctl.fence_root.v;
    check_about("TS would hide a switch: no shadow, and the same fence again");
    CHECK(cr_write_0(v, CR0_PE | CR0_PG | CR0_TS));
    CHECK(!vm.shadow.active && v->ctl.shadow_root.v == 0 && v->ctl.fence_root.v == 0);
    CHECK(cr_write_0(v, CR0_PE | CR0_PG));
    CHECK(vm.shadow.active && v->ctl.fence_root.v == root);
    rig_exit(&vm, EXIT_TASK_SWITCH, (struct exit){.code = 0x7d});
    CHECK(!vm.alive && strstr(rig_why(&vm), "a task switch by hardware") != NULL);
    rig_end(&vm);

    begin_pae("TS where the guest's tables mean nothing", "mmu=vtlb", CR0_TS);
    CHECK(!vm.alive && strstr(rig_why(&vm), "CR0.TS with mmu=vtlb") != NULL);
    rig_end(&vm);

    shadow_fences = false;
    begin_pae("a processor that makes an exit of it", "mmu=shadow", CR0_TS);
    CHECK(vm.shadow.active && v->ctl.fence_root.v == 0);
    rig_end(&vm);
}

static void test_pointers_behind_ts(void)
{
    shadow_fences = true;
    begin_pae("CR3 is written while CR0.TS keeps the guest off its shadow", "mmu=shadow", 0);
    put_list(0, 2, 3, PAGE_AT(PAGE));
    put_list(1, 4, 5, PAGE_AT(PAGE + 9));
    CHECK(cr_write_3(v, RIG_ROOT));
    CHECK(hidden(PAGE_AT(PAGE), 0));
    CHECK_EQ(leaf32(PAGE_AT(PAGE)) & PTE_ADDR, host(PAGE_AT(PAGE)));
    CHECK(cr_write_0(v, CR0_PE | CR0_PG | CR0_TS));
    CHECK(cr_write_3(v, RIG_ROOT + 32));
    CHECK(!vm.shadow.active);
    CHECK(cr_write_0(v, CR0_PE | CR0_PG)); /* CLTS */
    CHECK(hidden(PAGE_AT(PAGE), 0));
    CHECK_EQ(leaf32(PAGE_AT(PAGE)) & PTE_ADDR, host(PAGE_AT(PAGE + 9)));
    shadow_fences = false;
    rig_end(&vm);
}

/* A and D of one mode's entries are address bits of another's, and the VMM's walks set them. */
static void test_other_mode(void)
{
    begin_pae("A that a 32-bit walk sets in the upper half of PAE's entry",
              "mmu=shadow mem=1M,32K@4G,32K@132G", 0);
    put_list(0, 2, 3, 4ull << 30);
    CHECK(cr_write_3(v, RIG_ROOT));
    CHECK(hidden(PAGE_AT(PAGE), 0));
    CHECK_EQ(leaf32(PAGE_AT(PAGE)) & PTE_ADDR, host(4ull << 30));
    *word(TABLE(6)) = TABLE(3) | PTE_P; /* the same table, by a 32-bit directory */
    CHECK(cr_write_4(v, 0));
    CHECK(cr_write_3(v, TABLE(6)));
    CHECK(hidden(PAGE_AT(2 * PAGE + 1), 0));
    CHECK_EQ(*word(TABLE(3) + 8 * PAGE) >> 32, PTE_P | PTE_A);
    CHECK(cr_write_4(v, CR4_PAE));
    CHECK(cr_write_3(v, RIG_ROOT));
    CHECK_EQ(leaf32(PAGE_AT(PAGE)), 0);
    CHECK(hidden(PAGE_AT(PAGE), 0));
    CHECK_EQ(leaf32(PAGE_AT(PAGE)) & PTE_ADDR, host(132ull << 30));
    rig_end(&vm);
}

int main(void)
{
    test_fence();
    test_pointers_behind_ts();
    test_other_mode();
    return check_done("shadow_pae");
}
