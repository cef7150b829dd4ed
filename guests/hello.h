/*
 * The seam between what the three hello guests share and what differs.
 */
#ifndef GUESTS_HELLO_H
#define GUESTS_HELLO_H

#include "guests/lib/guest.h"

extern const char hello_mode_name[];
/* Check the mode this guest was built for. */
void hello_mode(void);

#endif
