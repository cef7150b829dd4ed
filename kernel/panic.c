/*
 * The end of a host with a bug in it: say why, on the console and in the
 * trace's reserve, and stop with status 4.
 */
#include "kernel/panic.h"
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/format.h"
#include "kernel/hostexit.h"
#include "kernel/trace.h"

/* The return addresses on the stack: gcc keeps frame pointers here. */
static void backtrace(void)
{
    u64 *frame = __builtin_frame_address(0);

    console_print("called from");
    for (int i = 0; i < 12 && frame && frame[1]; i++) {
        console_print(" %lx", frame[1]);
        frame = (u64 *)frame[0];
    }
    console_print("\n");
}

_Noreturn void panic(const char *fmt, ...)
{
    static bool again;
    char text[200];
    va_list args;

    if (again) {
        console_print("panic while panicking: %s\n", fmt);
        host_exit(STATUS_PANIC);
    }
    again = true;
    va_start(args, fmt);
    vformat(text, sizeof(text), fmt, args);
    va_end(args);
    console_print("\nnestling: panic: %s\n", text);
    backtrace();
    trace_open_reserve();
    TRACE_TEXT(panic, 0, 0, text, .rip = (u64)__builtin_return_address(0),
               .rsp = (u64)__builtin_frame_address(0), .cr2 = read_cr2());
    host_exit(STATUS_PANIC);
}
