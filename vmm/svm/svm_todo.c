/*
 * Where svm_enter goes as long as it is not written: svm_run.S cannot name
 * itself to todo().
 */
#include "kernel/todo.h"
#include "vmm/svm/svm.h"

_Noreturn void svm_enter_missing(void)
{
    todo_stop(1, "svm_enter", "1.5");
}
