/*
 * Long mode: four levels of 512 entries of 8 bytes. AMD64 manual vol. 2, 5.3.
 * The first entry of a root maps this program.
 */
#include "guests/pager/pager.h"

const struct format format =
    {
        .levels = 4,
        .width = 8,
        .nx = true,
        .kernel_bytes = 8,
        .level =
            {
                [1] = {12, 9, .maps = true, .rights = true, .few = {0, 1, 2, 3, 7, 255, 510, 511}},
                [2] = {21, 9, .maps = true, .rights = true, .zero_page = BITS(13, 20),
                       .few = {2, 2, 2, 3, 3, 2, 4, 511}},
                [3] = {30, 9, .maps = true, .rights = true, .zero_page = BITS(13, 29),
                       .few = {0, 0, 0, 0, 0, 1, 1, 511}},
                [4] = {39, 9, .rights = true, .zero = PTE_PS, .few = {1, 1, 1, 1, 1, 2, 256, 511}},
            },
};
