/*
 * stray: does one thing that may be its last. With the VM argument exits= of
 * the same name it exits and nobody handles it; without, RDTSC and INVLPG are
 * harmless, and an exception ends the guest with code 128 + vector. hlt halts
 * with interrupts off: nothing can wake it.
 * Argument how: rdtsc, invlpg, ud, de, hlt.
 */
#include "guests/lib/guest.h"

static void do_rdtsc(void)
{
    rdtsc();
}
static void do_invlpg(void)
{
    invlpg((const void *)0x1000);
}
static void do_ud(void)
{
    __asm__ volatile("ud2");
}
static void do_de(void)
{
    __asm__ volatile("xor %%ecx, %%ecx; div %%ecx" : : : "eax", "ecx", "edx", "cc");
}
static void do_hlt(void)
{
    __asm__ volatile("cli; hlt");
}

static const struct {
    const char *name;
    void (*run)(void);
} ways[] = {
    {"rdtsc", do_rdtsc}, {"invlpg", do_invlpg}, {"ud", do_ud}, {"de", do_de}, {"hlt", do_hlt}};

void guest_main(const struct multiboot_info *info)
{
    (void)info;
    char word[8];
    args_allow("how");
    const char *how = args_word("how", "hlt", word, sizeof(word));
    for (u32 i = 0; i < ARRAY_SIZE(ways); i++)
        if (text_equal(how, ways[i].name)) {
            checkpoint("stray", i);
            ways[i].run();
            checkpoint("went on", i);
            return;
        }
    print("argument how: rdtsc, invlpg, ud, de or hlt\n");
    guest_exit(2);
}
