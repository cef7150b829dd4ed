/*
 * crash: ends by a triple fault, on purpose, after saying so.
 * Argument how: idt (an interrupt with no IDT), ud (an invalid instruction with
 * no IDT), pf (page tables that map nothing: no handler can be reached), stack (a stack
 * that is not mapped, and no gate for #DF).
 */
#include "guests/lib/guest.h"

static u64 empty_table[512] __attribute__((aligned(4096)));

static void forget_idt(void)
{
    const struct table_register none = {0, 0};
    lidt(&none);
}

/* What is pushed faults, and so does its #PF. */
static void lose_stack(void)
{
    struct table_register idt;

    __asm__ volatile("sidt %0" : "=m"(idt));
    ((u64 *)(uintptr_t)idt.base)[2 * 8] = 0;
    __asm__ volatile("mov %0, %%rsp; int $3" : : "r"(1ull << 40) : "memory");
}

void guest_main(const struct multiboot_info *info)
{
    (void)info;
    char word[8];
    args_allow("how");
    const char *how = args_word("how", "idt", word, sizeof(word));
    bool idt = text_equal(how, "idt"), ud = text_equal(how, "ud");
    bool stack = text_equal(how, "stack");
    if (!idt && !ud && !stack && !text_equal(how, "pf")) {
        print("argument how: idt, ud, pf or stack\n");
        guest_exit(2);
    }
    print("crash: triple fault by %s\n", how);
    checkpoint("crash", guest_generation());
    if (stack)
        lose_stack();
    if (!idt && !ud)
        write_cr3((uintptr_t)empty_table);
    forget_idt();
    if (ud)
        __asm__ volatile("ud2");
    __asm__ volatile("int $3");
    check("crashed", 0, 1); /* not reached */
}
