/*
 * Memory operands: segmentation, and accesses that cross a page. What a linear
 * address means is the caller's business (struct emu_ctx).
 * Source: AMD64 Manual vol. 2 (24593), 4.5, 4.7 and 4.12.
 */
#include "vmm/emulate_parts.h"

#define VECTOR_SS 12
#define VECTOR_GP 13

/* Bits of a segment's type. */
enum { TYPE_WRITABLE = 2, TYPE_READABLE = 2, TYPE_DOWN = 4, TYPE_CODE = 8 };

/* #SS(0) for the stack segment, #GP(0) for the others. */
static int segment_fault(struct emu *e, enum hv_seg seg)
{
    *e->fault =
        (struct emu_fault){.vector = seg == SEG_SS ? VECTOR_SS : VECTOR_GP, .has_error = true};
    return -EFAULT;
}

/* --- Segmentation ------------------------------------------------------------- */

static bool is_canonical(u64 linear)
{
    return (u64)((s64)(linear << 16) >> 16) == linear;
}

static bool type_allows(const struct seg *s, u8 access)
{
    if (!(s->attr & SEG_ATTR_P) || !(s->attr & SEG_ATTR_S))
        return false; /* a null selector */
    if (s->attr & TYPE_CODE)
        return !(access & ACCESS_WRITE) && s->attr & TYPE_READABLE;
    return !(access & ACCESS_WRITE) || s->attr & TYPE_WRITABLE;
}

/* Offsets of an expand-down segment lie above its limit. */
static bool limit_allows(const struct seg *s, u64 first, u64 last, bool typed)
{
    bool down = typed && (s->attr & (TYPE_CODE | TYPE_DOWN)) == TYPE_DOWN;

    if (!down)
        return last <= s->limit;
    return first > s->limit && last <= (s->attr & SEG_ATTR_DB ? 0xffffffff : 0xffff);
}

static int linear_64(struct emu *e, struct place p, u64 *linear)
{
    struct seg s = {0};

    if (p.seg == SEG_FS || p.seg == SEG_GS)
        e->ctx->seg(e->ctx->opaque, p.seg, &s);
    *linear = s.base + p.offset;
    if (!is_canonical(*linear) || !is_canonical(*linear + p.size - 1))
        return segment_fault(e, p.seg);
    return 0;
}

static int linear_address(struct emu *e, struct place p, u8 access, u64 *linear)
{
    bool typed = e->ctx->protected_mode;
    struct seg s;

    if (e->ctx->mode == 8)
        return linear_64(e, p, linear);
    e->ctx->seg(e->ctx->opaque, p.seg, &s);
    if (typed && !type_allows(&s, access))
        return segment_fault(e, p.seg);
    if (!limit_allows(&s, p.offset, p.offset + p.size - 1, typed))
        return segment_fault(e, p.seg);
    *linear = (s.base + p.offset) & 0xffffffff;
    return 0;
}

/* --- Accesses ----------------------------------------------------------------- */

/* An access in at most two parts, each within a page. */
struct span {
    u64 at[2];
    u32 n[2];
};

static int span_make(struct emu *e, struct place p, u8 access, struct span *s)
{
    u64 linear;

    if (linear_address(e, p, access, &linear) != 0)
        return -EFAULT;
    s->at[0] = linear;
    s->n[0] = (u32)min_u64(p.size, PAGE_SIZE - (linear & PAGE_MASK));
    s->at[1] = linear + s->n[0];
    if (e->ctx->mode != 8)
        s->at[1] &= 0xffffffff;
    s->n[1] = p.size - s->n[0];
    return 0;
}

static int span_check(struct emu *e, const struct span *s, u8 access)
{
    for (u32 i = 0; i < 2 && s->n[i]; i++)
        if (e->ctx->check(e->ctx->opaque, s->at[i], s->n[i], access, e->fault) != 0)
            return -EFAULT;
    return 0;
}

int emu_load(struct emu *e, struct place p, u8 access, u64 *value)
{
    struct span s;
    u8 bytes[8] = {0};
    u32 done = 0;

    if (span_make(e, p, access, &s) != 0)
        return -EFAULT;
    if ((access & ACCESS_WRITE || s.n[1]) && span_check(e, &s, access) != 0)
        return -EFAULT;
    for (u32 i = 0; i < 2 && s.n[i]; i++) {
        if (e->ctx->read(e->ctx->opaque, s.at[i], bytes + done, s.n[i], e->fault) != 0)
            return -EFAULT;
        done += s.n[i];
    }
    *value = 0;
    for (u32 i = 0; i < p.size; i++)
        *value |= (u64)bytes[i] << (8 * i);
    return 0;
}

int emu_store(struct emu *e, struct place p, u64 value)
{
    struct span s;
    u8 bytes[8];
    u32 done = 0;

    if (span_make(e, p, ACCESS_WRITE, &s) != 0)
        return -EFAULT;
    if (s.n[1] && span_check(e, &s, ACCESS_WRITE) != 0)
        return -EFAULT; /* before the first part is written */
    for (u32 i = 0; i < p.size; i++)
        bytes[i] = (u8)(value >> (8 * i));
    for (u32 i = 0; i < 2 && s.n[i]; i++) {
        if (e->ctx->write(e->ctx->opaque, s.at[i], bytes + done, s.n[i], e->fault) != 0)
            return -EFAULT;
        done += s.n[i];
    }
    return 0;
}

int emu_check_store(struct emu *e, struct place p)
{
    struct span s;

    if (span_make(e, p, ACCESS_WRITE, &s) != 0)
        return -EFAULT;
    return span_check(e, &s, ACCESS_WRITE);
}
