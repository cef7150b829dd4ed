/*
 * VM arguments and the machine's options (formats.md section 4): defaults,
 * values, and for every kind of error the sentence. The sentences are those of
 * grader/args.py, which refuses the same before a run.
 */
#include <string.h>
#include "vmm/hv.h"
#include "vmm/options.h"
#include "vmm/tests/check.h"
#include "vmm/vmargs.h"

static struct vm_args vm;
static struct options machine;
static char why[256];

static int parse(const char *text)
{
    check_about("'%s'", text);
    memset(why, 0, sizeof(why));
    return vmargs_parse(text, MMU_NESTED, &vm, why, sizeof(why));
}

static void refuse(const char *text, const char *sentence)
{
    CHECK_EQ(parse(text), (u64)-EINVAL);
    CHECK_STR(why, sentence);
}

static void test_defaults(void)
{
    CHECK_EQ(parse(""), 0);
    CHECK_EQ(vm.slots, 1);
    CHECK_EQ(vm.slot[0].gpa.v, 0);
    CHECK_EQ(vm.slot[0].size, 16 << 20);
    CHECK_EQ(vm.mmu, MMU_NESTED);
    CHECK_EQ(vm.boot, BOOT_AUTO);
    CHECK_EQ(vm.tsc, CLOCK_WALL);
    CHECK_EQ(vm.pit, CLOCK_WALL);
    CHECK_EQ(vm.ticks, TICK_DELAY);
    CHECK_EQ(vm.checks, CHECKS_COUNT);
    CHECK_EQ(vm.restart, 0);
    CHECK_EQ(vm.watchdog, 0);
    CHECK_EQ(vm.sched.weight, 256);
    CHECK_EQ(vm.exits, EXITS_NONE);
    CHECK_STR(vm.breaks, "");
    CHECK_STR(vm.cmdline, "");
}

static void test_values(void)
{
    CHECK_EQ(parse("mem=2M mmu=nested boot=raw tsc=apparent pit=apparent ticks=slew "
                   "restart=1000000 checks=ignore weight=65535 exits=de -- mem=bad  x --  y"),
             0);
    CHECK_EQ(vm.slot[0].size, 2 << 20);
    CHECK_EQ(vm.boot, BOOT_RAW);
    CHECK_EQ(vm.tsc, CLOCK_APPARENT);
    CHECK_EQ(vm.pit, CLOCK_APPARENT);
    CHECK_EQ(vm.ticks, TICK_SLEW);
    CHECK_EQ(vm.restart, 1000000);
    CHECK_EQ(vm.checks, CHECKS_IGNORE);
    CHECK_EQ(vm.sched.weight, 65535);
    CHECK_EQ(vm.exits, EXITS_DE);
    CHECK_STR(vm.cmdline, "mem=bad  x --  y");
    static const char *const ticks[] = {"ticks=discard", "ticks=merge", "ticks=delay"};
    for (u32 i = 0; i < ARRAY_SIZE(ticks); i++) {
        CHECK_EQ(parse(ticks[i]), 0);
        CHECK_EQ(vm.ticks, i);
    }
    CHECK_EQ(parse("break=fifteen-letters"), 0);
    CHECK_STR(vm.breaks, "fifteen-letters");
    CHECK_EQ(parse("boot=multiboot --"), 0);
    CHECK_EQ(vm.boot, BOOT_MULTIBOOT);
    CHECK_STR(vm.cmdline, "");
    CHECK_EQ(parse("--   hz=100"), 0);
    CHECK_STR(vm.cmdline, "hz=100");
}

static void test_memory(void)
{
    CHECK_EQ(parse("mem=1M,4M@0x10000000,64K@2M"), 0);
    CHECK_EQ(vm.slots, 3);
    CHECK_EQ(vm.slot[0].gpa.v, 0);
    CHECK_EQ(vm.slot[1].gpa.v, 2 << 20);
    CHECK_EQ(vm.slot[1].size, 64 << 10);
    CHECK_EQ(vm.slot[2].gpa.v, 0x10000000);
    CHECK_EQ(parse("mem=1M@4G,1M@1G"), 0);
    CHECK_EQ(vm.slot[0].gpa.v, 1 << 30);
    CHECK_EQ(parse("mem=4K,4K@4K"), 0); /* neighbours do not overlap */
    CHECK_EQ(parse("mem=4K@0xfffffffff000"), 0);
    CHECK_EQ(parse("mem=4K,4K@1M,4K@2M,4K@3M,4K@4M,4K@5M,4K@6M,4K@7M"), 0);
    CHECK_EQ(vm.slots, 8);
    refuse("mem=4K,4K@1M,4K@2M,4K@3M,4K@4M,4K@5M,4K@6M,4K@7M,4K@8M",
           "'mem=4K,4K@1M,4K@2M,4K@3M,4K@4M,4K@5M,4K@': more than 8 slots");
    refuse("mem=1M,2M@0x80000", "'mem=1M,2M@0x80000': '2M@0x80000' overlaps a slot before it");
    refuse("mem=1M@8M,9M@0", "'mem=1M@8M,9M@0': '9M@0' overlaps a slot before it");
    refuse("mem=16M@0,1M@4M", "'mem=16M@0,1M@4M': '1M@4M' overlaps a slot before it");
    refuse("mem=1M,2M",
           "'mem=1M,2M': '2M' needs an @GPA: only the first slot starts at 0 by itself");
    refuse("mem=1M,", "'mem=1M,': '' needs an @GPA: only the first slot starts at 0 by itself");
    refuse("mem=", "'mem=': '' is not a size (a number with K, M or G, or without)");
    refuse("mem=1M@", "'mem=1M@': '' is not a size (a number with K, M or G, or without)");
    refuse("mem=1M@x", "'mem=1M@x': 'x' is not a size (a number with K, M or G, or without)");
    refuse("mem=0", "'mem=0': '0' is not a multiple of 4K, or is empty");
    refuse("mem=1", "'mem=1': '1' is not a multiple of 4K, or is empty");
    refuse("mem=4K@2K", "'mem=4K@2K': '4K@2K' is not a multiple of 4K, or is empty");
    refuse("mem=8K@0xfffffffff000",
           "'mem=8K@0xfffffffff000': '8K@0xfffffffff000' ends above the 48-bit gPAs");
    refuse("mem=0xfffffffffffff000@4K",
           "'mem=0xfffffffffffff000@4K': '0xfffffffffffff000@4K' ends above the 48-bit gPAs");
    refuse("mem=99999999999999999999",
           "'mem=99999999999999999999': '99999999999999999999' is out of range");
}

/* Memory that is not for everything: slots like the others, in any order. */
static void test_regions(void)
{
    CHECK_EQ(parse("rom=64K@0xf0000000,4K@4G noexec=8K@0x80000000 mem=2M"), 0);
    CHECK_EQ(vm.slots, 4);
    CHECK_EQ(vm.slot[0].access, ACCESS_WRITE | ACCESS_EXEC);
    CHECK_EQ(vm.slot[1].gpa.v, 0x80000000);
    CHECK_EQ(vm.slot[1].access, ACCESS_WRITE);
    CHECK_EQ(vm.slot[2].size, 64 << 10);
    CHECK_EQ(vm.slot[2].access, ACCESS_EXEC);
    CHECK_EQ(vm.slot[3].access, ACCESS_EXEC);
    CHECK_EQ(parse("noexec=4K@16M rom= "), 0);
    CHECK_EQ(vm.slots, 2); /* and the 16M of a VM that says nothing of mem */
    CHECK_EQ(vm.slot[0].size, 16 << 20);
    CHECK_EQ(parse("rom=4K@16M mmu=nested"), 0);
    refuse("rom=4K@16M mmu=shadow", "rom and noexec are for mmu=nested");
    refuse("mmu=shadow noexec=4K@16M", "rom and noexec are for mmu=nested");
    refuse("rom=4K@8M", "'16M' overlaps a slot before it");
    refuse("mem=2M rom=4K@0x1ff000", "'rom=4K@0x1ff000': '4K@0x1ff000' overlaps a slot before it");
    refuse("rom=4K", "'rom=4K': '4K' needs an @GPA: only the first slot starts at 0 by itself");
    refuse("rom=2K@16M", "'rom=2K@16M': '2K@16M' is not a multiple of 4K, or is empty");
    refuse("noexec=4K@1G,", "'noexec=4K@1G,': '' needs an @GPA: only the first slot starts at 0 by "
                            "itself");
    refuse("mem=1M,4K@2M,4K@3M,4K@4M,4K@5M rom=4K@6M,4K@7M noexec=4K@8M,4K@9M",
           "'noexec=4K@8M,4K@9M': more than 8 slots");
}

static void test_errors(void)
{
    const char *keys = "mem, rom, noexec, mmu, shadowpages, boot, tsc, pit, ticks, restart, "
                       "checks, break, watchdog, exits, "
                       "weight, cap, slice, period, extraweight, mcu_adv, warp, warpl, warpu, "
                       "extratime, change";
    char want[256] = "'hz=100' is no VM argument; there are: ";

    refuse("hz=100", strcat(want, keys));
    strcpy(want, "'mem' is no VM argument; there are: ");
    refuse("mem", strcat(want, keys));
    strcpy(want, "'=1' is no VM argument; there are: ");
    refuse("=1", strcat(want, keys));
    refuse("tsc=wall tsc=wall", "'tsc=wall': tsc is given twice");
    refuse("tsc=Wall", "'tsc=Wall': 'Wall' is none of: wall, apparent");
    refuse("ticks=", "'ticks=': '' is none of: discard, merge, delay, slew");
    refuse("weight=0", "'weight=0': '0' is out of range: 1 to 65535");
    refuse("weight=65536", "'weight=65536': '65536' is out of range: 1 to 65535");
    refuse("restart=1000001", "'restart=1000001': '1000001' is out of range: 0 to 1000000");
    refuse("restart=-1", "'restart=-1': '-1' is not a number");
    refuse("weight=99999999999999999999",
           "'weight=99999999999999999999': '99999999999999999999' is out of range: 1 to 65535");
    refuse("exits=pushf", "'exits=pushf': 'pushf' is none of: none, rdtsc, invlpg, ud, de");
    refuse("watchdog=1001s", "'watchdog=1001s': '1001s' is out of range: 0s to 1000s");
    refuse("break=sixteen-letters-",
           "'break=sixteen-letters-': 'sixteen-letters-' is no entry check");
    refuse("weight=18446744073709551617",
           "'weight=18446744073709551617': '18446744073709551617' is out of range: 1 to 65535");
    /* A short buffer holds the beginning of the sentence. */
    char small[12];
    CHECK_EQ(vmargs_parse("nonsense", MMU_NESTED, &vm, small, sizeof(small)), (u64)-EINVAL);
    CHECK_STR(small, "'nonsense' ");
}

static void test_changes(void)
{
    CHECK_EQ(parse("change=1s:weight=512,cap=20/2s:cap=0 weight=100"), 0);
    CHECK_EQ(vm.changes, 2);
    CHECK_EQ(vm.later[0].at, NS_PER_SEC);
    CHECK_EQ(vm.later[0].sched.weight, 512);
    CHECK_EQ(vm.later[0].sched.cap, 20);
    CHECK_EQ(vm.later[0].sched.slice, vm.sched.slice);
    CHECK_EQ(vm.later[1].sched.weight, 512);
    CHECK_EQ(vm.later[1].sched.cap, 0);
    CHECK_EQ(vm.sched.weight, 100);
    CHECK_EQ(parse("change="), 0);
    CHECK_EQ(vm.changes, 0);
    refuse("change=1s:weight=0",
           "'change=1s:weight=0': 'weight=0': '0' is out of range: 1 to 65535");
    refuse("change=1s", "'change=1s': '1s' is not TIME:KEY=VALUE,...");
    refuse("change=5ms:warp=1/6ms:warp=10001",
           "'change=5ms:warp=1/6ms:warp=10001': warp=10001 is refused: at most 1000 times mcu_adv, "
           "here 10000, so that nobody borrows more than 100 ms of run time");
    refuse("change=5ms:slice=200ms", "'change=5ms:slice=200ms': a slice of 200000000 ns is longer "
                                     "than its period of 100000000 ns");
    refuse("change=2s:cap=1/1s:cap=2",
           "'change=2s:cap=1/1s:cap=2': '1s:cap=2' is not after the one before it");
}

static int parse_options(const char *text)
{
    check_about("options '%s'", text);
    memset(why, 0, sizeof(why));
    return options_parse(text, &machine, why, sizeof(why));
}

static void refuse_options(const char *text, const char *sentence)
{
    CHECK_EQ(parse_options(text), (u64)-EINVAL);
    CHECK_STR(why, sentence);
}

static void test_options(void)
{
    CHECK_EQ(parse_options(""), 0);
    CHECK_STR(machine.sched->name, "rr");
    CHECK_EQ(machine.slice, 10000000);
    CHECK_EQ(machine.time, 10000000000);
    CHECK_EQ(machine.mmu, MMU_NESTED);
    CHECK(word_is(machine.trace, "all"));
    CHECK_EQ(machine.tracebuf, 64 << 20);
    CHECK_EQ(machine.bench, BENCH_NONE);
    CHECK_EQ(parse_options("sched=rr slice=100us time=1000s mmu=nested trace=walks,io,exits "
                           "tracebuf=192M bench=record verify=registers"),
             0);
    CHECK_EQ(machine.slice, 100000);
    CHECK_EQ(machine.time, 1000000000000);
    CHECK(word_is(machine.trace, "walks,io,exits"));
    CHECK_EQ(machine.tracebuf, 192 << 20);
    CHECK_EQ(machine.bench, BENCH_RECORD);
    CHECK_EQ(machine.verify, VERIFY_REGISTERS);
    CHECK_EQ(parse_options("slice=1s time=1us tracebuf=1M trace=sched,time,memory"), 0);
    CHECK_EQ(parse_options("trace=off"), 0);
    CHECK_EQ(parse_options("trace=none"), 0);
    CHECK_EQ(parse_options("trace=some"), 0);
}

static void test_option_errors(void)
{
    refuse_options("slice=99999ns", "'slice=99999ns': '99999ns' is out of range: 100us to 1s");
    refuse_options("slice=1001ms", "'slice=1001ms': '1001ms' is out of range: 100us to 1s");
    refuse_options("slice=10", "'slice=10': '10' is not a time (an integer with ns, us, ms or s)");
    refuse_options("time=999ns", "'time=999ns': '999ns' is out of range: 1us to 1000s");
    refuse_options("time=1001s", "'time=1001s': '1001s' is out of range: 1us to 1000s");
    refuse_options("tracebuf=193M", "'tracebuf=193M': '193M' is out of range: 1M to 192M");
    refuse_options("tracebuf=512K", "'tracebuf=512K': '512K' is out of range: 1M to 192M");
    refuse_options("sched=fifo", "'sched=fifo': 'fifo' is none of: rr, bvt, sedf, credit");
    refuse_options("verify=all", "'verify=all': 'all' is none of: none, registers");
    refuse_options("bench=all", "'bench=all': 'all' is none of: none, record, sched");
    refuse_options("trace=walks,all",
                   "'trace=walks,all': 'all' is no group of events: walks, io, exits, sched, "
                   "time, memory, or alone all, some, none, off");
    refuse_options("trace=walks,",
                   "'trace=walks,': '' is no group of events: walks, io, exits, sched, "
                   "time, memory, or alone all, some, none, off");
    refuse_options("-- x",
                   "'--' is no option of the machine; there are: sched, charge, slice, time, mmu, "
                   "trace, tracebuf, bench, verify");
}

int main(void)
{
    test_defaults();
    test_values();
    test_memory();
    test_regions();
    test_changes();
    test_errors();
    test_options();
    test_option_errors();
    return check_done("vmargs");
}
