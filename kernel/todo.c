/*
 * A function that is not written yet ends the run, with status 5.
 */
#include "kernel/todo.h"
#include "kernel/console.h"
#include "kernel/format.h"
#include "kernel/hostexit.h"
#include "kernel/trace.h"

_Noreturn void todo_stop(unsigned lab, const char *function, const char *section, ...)
{
    char text[160];

    format(text, sizeof(text), "lab %u: %s is not written yet: handout %s", lab, function, section);
    console_print("nestling: %s\n", text);
    trace_open_reserve();
    TRACE_TEXT(todo, 0, 0, text, .lab = lab);
    host_exit(STATUS_TODO);
}
