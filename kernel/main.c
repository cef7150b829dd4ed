/*
 * The host kernel's start: each part in the order in which the next one needs
 * it, then the VMM. The only file of kernel/ that knows that there is one.
 */
#include "kernel/args.h"
#include "kernel/bootinfo.h"
#include "kernel/clock.h"
#include "kernel/console.h"
#include "kernel/frame.h"
#include "kernel/hostexit.h"
#include "kernel/lapic.h"
#include "kernel/paging.h"
#include "kernel/pic.h"
#include "kernel/trace.h"
#include "kernel/trap.h"
#include "vmm/vmm.h"

#define TRACE_DEFAULT (64ull << 20)
#define TRACE_MAX     (192ull << 20)

/* The size of the trace area is needed before anybody checks the options;
 * the VMM refuses a bad value later, in words. */
static u64 trace_size(const char *cmdline)
{
    struct word word, key, value;
    u64 size = TRACE_DEFAULT;

    while (args_next(&cmdline, &word))
        if (args_split(word, &key, &value) && word_is(key, "tracebuf"))
            args_size(value, &size);
    return align_up(max_u64(1 << 20, min_u64(size, TRACE_MAX)), PAGE_SIZE);
}

static void start_trace(const struct bundle *b)
{
    u64 size = trace_size(b->cmdline);

    frame_reserve(hpa(TRACE_BASE), size, OWNER_TRACE);
    trace_init(hpa_ptr(hpa(TRACE_BASE)), size,
               &(struct trace_setup){b->build_id, b->platform, b->cmdline, b->nonce, b->seed});
}

_Noreturn void kernel_main(u32 magic, u32 multiboot);
_Noreturn void kernel_main(u32 magic, u32 multiboot)
{
    static struct bootinfo info;

    console_init();
    trap_init();
    pic_silence();
    bootinfo_read(&info, magic, hpa(multiboot));
    frame_init(&info);
    paging_init();
    clock_init(info.bundle->clock_hz);
    start_trace(info.bundle);
    lapic_init();
    host_exit(vmm_main(info.bundle));
}
