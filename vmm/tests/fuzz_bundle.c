/*
 * Fuzz target: bundle_check(). A bundle that passes is then used as the kernel
 * does, trusting it: every string to its end, every byte of every image. The
 * CRC is set right first in half of the inputs, so that later checks are met.
 */
#include <stdlib.h>
#include <string.h>
#include "kernel/bundle.h"
#include "vmm/tests/fuzz.h"

const char *const fuzz_name = "bundle";

static u32 crc_of(const u8 *p, size_t n)
{
    static u32 half[16]; /* four bits at a time */
    u32 crc = ~0u;

    for (u32 i = 0; i < 16; i++) {
        half[i] = i;
        for (int bit = 0; bit < 4; bit++)
            half[i] = half[i] >> 1 ^ (half[i] & 1 ? 0xedb88320u : 0);
    }
    for (size_t i = 0; i < n; i++) {
        crc ^= i >= 16 && i < 20 ? 0 : p[i];
        crc = crc >> 4 ^ half[crc & 15];
        crc = crc >> 4 ^ half[crc & 15];
    }
    return ~crc;
}

/* Everything that the kernel would look at. */
static void use(const struct bundle *b)
{
    u64 sum = strlen(b->platform) + strlen(b->cmdline) + strlen(b->build_id);

    for (u32 i = 0; i < b->guests; i++) {
        const u8 *image = bundle_image(b, i);
        sum += strlen(b->guest[i].name) + strlen(b->guest[i].args);
        for (u32 j = 0; j < b->guest[i].image_size; j++)
            sum += image[j];
        FUZZ_CHECK(image >= (const u8 *)&b->guest[b->guests]);
    }
    __asm__ volatile("" ::"r"(sum));
}

int fuzz_one(const u8 *data, size_t size)
{
    u8 *copy = malloc(size + 1);
    struct bundle *b = (struct bundle *)copy;

    memcpy(copy, data, size);
    if (size >= sizeof(*b) && (data[size - 1] & 1)) {
        memcpy(b->magic, BUNDLE_MAGIC, 8);
        b->version = BUNDLE_VERSION;
        b->size = (u32)size;
        b->crc = crc_of(copy, size);
    }
    const char *why = bundle_check(b, size);
    if (why)
        FUZZ_CHECK(strstr(why, ": ") && strlen(why) < 96);
    else
        use(b);
    free(copy);
    return 0;
}

size_t fuzz_seed(u32 i, u8 *to)
{
    struct bundle *b = (struct bundle *)to;
    u32 size = i ? 4096 * i + 9 : 700;

    if (i >= 3)
        return 0;
    memset(to, 0, size);
    memcpy(b->magic, BUNDLE_MAGIC, 8);
    b->version = BUNDLE_VERSION;
    b->size = size;
    b->guests = i;
    for (u32 g = 0; g < i; g++)
        b->guest[g] = (struct bundle_guest){
            4096 * (1 + g), g + 1 == i ? 9 : 4096, "guest", {0}, "mem=16M -- hz=100"};
    strcpy(b->cmdline, "sched=rr");
    to[size - 1] = 1;
    b->crc = crc_of(to, size);
    return size;
}
