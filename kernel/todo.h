/*
 * What stands in a starter where a student's function will be: the run ends
 * there, in words that name the function and the handout's section.
 *
 * todo(lab, "section", arguments...): the arguments are taken only so that the
 * compiler sees them used. It does not return.
 *
 * todo_not(): the same for what need not be written; it goes on.
 */
#ifndef KERNEL_TODO_H
#define KERNEL_TODO_H

#define todo(lab, section, ...) todo_stop(lab, __func__, section, ##__VA_ARGS__)

#define todo_not(lab, section, ...)                                                                \
    do {                                                                                           \
        if (0)                                                                                     \
            todo_stop(lab, __func__, section, ##__VA_ARGS__);                                      \
    } while (0)

_Noreturn void todo_stop(unsigned lab, const char *function, const char *section, ...);

#endif
