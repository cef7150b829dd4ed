/*
 * yielder: gives the CPU away as soon as it has it: the partner that bench needs
 * to measure the way from one VM to another and back.
 * Argument rounds: how often; 0 (the default) is for ever.
 */
#include "guests/lib/guest.h"

void guest_main(const struct multiboot_info *info)
{
    (void)info;
    args_allow("rounds");
    u64 rounds = args_number("rounds", 0, 0, 1ull << 60);
    for (u64 n = 0; !rounds || n < rounds; n++)
        guest_yield();
    checkpoint("rounds", rounds);
}
