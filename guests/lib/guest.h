/*
 * What every guest of ours starts from: guest_start() (lib/guest.c) takes over
 * from the trampoline, sets the machine up, calls the guest's own guest_main()
 * and exits with success unless a self-check failed.
 */
#ifndef GUESTS_LIB_GUEST_H
#define GUESTS_LIB_GUEST_H

#include "guests/lib/args.h"
#include "guests/lib/cpu.h"
#include "guests/lib/multiboot.h"
#include "guests/lib/pic.h"
#include "guests/lib/pit.h"
#include "guests/lib/print.h"
#include "guests/lib/rng.h"
#include "guests/lib/testport.h"
#include "guests/lib/text.h"
#include "guests/lib/trap.h"
#include "guests/lib/types.h"

/* Written once for each guest. */
void guest_main(const struct multiboot_info *info);

/* First address after memory that starts at 0 or 1 MiB, from the loader; at least 2 MiB. */
u64 guest_memory_end(void);
#define EXIT_NO_MEMORY 3
/* Ends the guest, in words, unless its memory reaches up to there. */
void guest_needs(u64 end);

/* With hold=1 it halts for ever, so that the machine is looked at as it is; no interrupt comes.
 * For guests that allow this argument; with hold=0, or without it, nothing is done. */
void guest_hold(void);

#endif
