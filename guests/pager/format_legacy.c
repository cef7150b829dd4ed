/*
 * 32-bit paging: two levels of 1024 entries of 4 bytes, pages of 4 MiB with
 * CR4.PSE. AMD64 manual vol. 2, 5.2.2. The first four entries of a root map this
 * program.
 */
#include "guests/pager/pager.h"

const struct format format = {
    .levels = 2,
    .width = 4,
    .needs_pse = true,
    .kernel_bytes = 16,
    .level =
        {
            [1] = {12, 10, .maps = true, .rights = true, .few = {0, 1, 2, 3, 511, 512, 1022, 1023}},
            [2] = {22, 10, .maps = true, .rights = true, .zero_page = 1ull << 21,
                   .few = {256, 256, 256, 256, 257, 511, 600, 768}},
        },
};
