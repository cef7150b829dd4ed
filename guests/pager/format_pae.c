/*
 * PAE: a root of four pointers, then two levels of 512 entries of 8 bytes. AMD64
 * manual vol. 2, 5.2.3. The first pointer maps this program; since an invalid one
 * makes MOV CR3 fault, the pointers are written by nothing but op_map and its like.
 */
#include "guests/pager/pager.h"

const struct format format =
    {
        .levels = 3,
        .width = 8,
        .nx = true,
        .pae = true,
        .root_step = 32,
        .kernel_bytes = 32,
        .pointers = true,
        .level =
            {
                [1] = {12, 9, .maps = true, .rights = true, .zero = BITS(52, 62),
                       .few = {0, 1, 2, 3, 7, 255, 510, 511}},
                [2] = {21, 9, .maps = true, .rights = true, .zero = BITS(52, 62),
                       .zero_page = BITS(13, 20), .few = {2, 2, 2, 3, 3, 2, 4, 511}},
                [3] = {30, 2, .few = {1, 1, 1, 1, 1, 2, 2, 3}},
            },
};
