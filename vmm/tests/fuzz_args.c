/*
 * Fuzz target: VM arguments and the machine's options from any text. What is
 * accepted must be within the limits of formats.md section 4; what is refused
 * must come with a sentence.
 */
#include <string.h>
#include "vmm/options.h"
#include "vmm/tests/fuzz.h"
#include "vmm/vmargs.h"

const char *const fuzz_name = "args";

static void check_slots(const struct vm_args *a)
{
    u64 end = 0;

    FUZZ_CHECK(a->slots >= 1 && a->slots <= GUESTMEM_SLOTS);
    for (u32 i = 0; i < a->slots; i++) {
        FUZZ_CHECK(a->slot[i].gpa.v >= end);
        FUZZ_CHECK(a->slot[i].size && (a->slot[i].size | a->slot[i].gpa.v) % PAGE_SIZE == 0);
        end = a->slot[i].gpa.v + a->slot[i].size;
        FUZZ_CHECK(end > a->slot[i].gpa.v && end <= VMARGS_MAX_GPA);
    }
}

static void check_vm(const char *text)
{
    struct vm_args a;
    char why[256];

    memset(why, 'x', sizeof(why));
    if (vmargs_parse(text, MMU_NESTED, &a, why, sizeof(why))) {
        FUZZ_CHECK(memchr(why, 0, sizeof(why)) && strlen(why) > 10);
        return;
    }
    check_slots(&a);
    FUZZ_CHECK(a.restart <= 1000000 && a.sched.weight >= 1 && a.sched.weight <= 65535);
    FUZZ_CHECK(sched_check(&a.sched, why, sizeof(why)) == 0);
    FUZZ_CHECK(a.boot <= BOOT_RAW && a.ticks <= TICK_SLEW && a.tsc <= CLOCK_APPARENT);
    FUZZ_CHECK(a.cmdline >= text && a.cmdline <= text + strlen(text) && *a.cmdline != ' ');
}

static void check_options(const char *text)
{
    struct options o;
    char why[160];

    if (options_parse(text, &o, why, sizeof(why))) {
        FUZZ_CHECK(memchr(why, 0, sizeof(why)) && strlen(why) > 10 && why[0] == '\'');
        return;
    }
    FUZZ_CHECK(o.sched && o.slice >= 100000 && o.slice <= NS_PER_SEC);
    FUZZ_CHECK(o.time >= 1000 && o.time <= 1000 * NS_PER_SEC);
    FUZZ_CHECK(o.tracebuf >= 1 << 20 && o.tracebuf <= 192 << 20);
}

int fuzz_one(const u8 *data, size_t size)
{
    char text[512]; /* as long as the bundle's fields */

    size = min_u64(size, sizeof(text) - 1);
    memcpy(text, data, size);
    text[size] = 0;
    check_vm(text);
    check_options(text);
    return 0;
}

size_t fuzz_seed(u32 i, u8 *to)
{
    static const char *const seeds[] = {
        "mem=1M,4M@0x10000000,64K@2M mmu=nested -- pages=64 size=4k,2m",
        "boot=raw tsc=apparent pit=wall ticks=slew restart=1000 checks=ignore weight=512",
        "sched=rr slice=10ms time=2s trace=walks,io,sched tracebuf=16M",
        "mmu=nested trace=none bench=record",
        "mem=16M@1G,0x2000K@0xfffff000 break=asid --",
        "mem=4K,4K@1M,4K@2M,4K@3M,4K@4M,4K@5M,4K@6M,4K@7M",
        "mem=4K@9M,1M@8M,1M@7M,1M@6M,1M@5M,1M@4M,4K@10M,4K@11M,4K@12M",
    };

    if (i >= ARRAY_SIZE(seeds))
        return 0;
    memcpy(to, seeds[i], strlen(seeds[i]));
    return strlen(seeds[i]);
}
