/*
 * Is a bundle what handouts/formats.md section 2 says? After bundle_check()
 * everything in it may be used without looking: strings end, images lie inside.
 *
 * It refuses what grader/bundle.py refuses, in the same order, except that
 * bytes behind the bundle's own size do not matter here: where the bundle is
 * put into memory before reset, nobody knows where its file ended.
 */
#include "kernel/bundle.h"
#include "kernel/format.h"
#include "kernel/mem.h"

_Static_assert(offsetof(struct bundle, crc) == 16, "formats.md 2");
_Static_assert(offsetof(struct bundle, cmdline) == 72, "formats.md 2");
_Static_assert(sizeof(struct bundle) == 624, "formats.md 2");
_Static_assert(offsetof(struct bundle_guest, name) == 8, "formats.md 2");
_Static_assert(offsetof(struct bundle_guest, args) == 64, "formats.md 2");
_Static_assert(sizeof(struct bundle_guest) == 576, "formats.md 2");

static u32 crc_table[256];

/* CRC-32 (IEEE 802.3), reflected: one step a bit makes the table. */
static void crc_prepare(void)
{
    for (u32 i = 0; i < 256; i++) {
        u32 c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
        crc_table[i] = c;
    }
}

static u32 crc_update(u32 crc, const void *data, u64 n)
{
    const u8 *p = data;

    for (u64 i = 0; i < n; i++)
        crc = crc >> 8 ^ crc_table[(crc ^ p[i]) & 0xff];
    return crc;
}

/* Of the whole bundle, its crc field taken as 0. */
static u32 bundle_crc(const struct bundle *b)
{
    static const u32 zero;
    u64 field = offsetof(struct bundle, crc), rest = field + sizeof(zero);

    if (!crc_table[1])
        crc_prepare();
    u32 crc = crc_update(~0u, b, field);
    crc = crc_update(crc, &zero, sizeof(zero));
    return ~crc_update(crc, (const u8 *)b + rest, b->size - rest);
}

static bool text_ends(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!text[i])
            return true;
    return false;
}

static bool all_zero(const u8 *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

static const char *check_header(const struct bundle *b, u64 size)
{
    if (size < sizeof(*b))
        return "size: too few bytes for a bundle's header";
    if (memcmp(b->magic, BUNDLE_MAGIC, sizeof(b->magic)))
        return "magic: this is no bundle";
    if (b->version != BUNDLE_VERSION)
        return "version: this kernel reads version 1 only";
    if (b->size < sizeof(*b) || b->size > size)
        return "size: not the number of bytes that are there";
    if (b->size > BUNDLE_MAX_SIZE)
        return "size: more than 64 MiB";
    if (b->crc != bundle_crc(b))
        return "crc: the contents are damaged";
    if (b->guests > BUNDLE_MAX_GUESTS ||
        sizeof(*b) + b->guests * sizeof(struct bundle_guest) > b->size)
        return "guests: more entries than are allowed, or fit";
    if (!text_ends(b->platform, sizeof(b->platform)))
        return "platform: no zero byte ends it";
    if (!text_ends(b->cmdline, sizeof(b->cmdline)))
        return "cmdline: no zero byte ends it";
    if (!text_ends(b->build_id, sizeof(b->build_id)))
        return "build_id: no zero byte ends it";
    return NULL;
}

static const char *check_guest(const struct bundle *b, const struct bundle_guest *g)
{
    if (g->image_off % PAGE_SIZE)
        return "image_off: not a multiple of 4096";
    if (g->image_off < sizeof(*b) + b->guests * sizeof(*g))
        return "image_off: the image lies in the header";
    if (g->image_off > b->size)
        return "image_off: the image lies past the end";
    if (g->image_size == 0 || g->image_size > b->size - g->image_off)
        return "image_size: the image is empty, or lies past the end";
    if (!all_zero(g->reserved, sizeof(g->reserved)))
        return "reserved: not 0";
    if (!text_ends(g->name, sizeof(g->name)))
        return "name: no zero byte ends it";
    if (!text_ends(g->args, sizeof(g->args)))
        return "args: no zero byte ends it";
    return NULL;
}

const char *bundle_check(const struct bundle *b, u64 size)
{
    static char sentence[96];
    const char *why = check_header(b, size);

    for (u32 i = 0; !why && i < b->guests; i++) {
        why = check_guest(b, &b->guest[i]);
        if (why) {
            format(sentence, sizeof(sentence), "guests[%u].%s", i, why);
            return sentence;
        }
    }
    return why;
}
