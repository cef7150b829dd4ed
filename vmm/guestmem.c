/*
 * A VM's memory slots, and copies that stay inside them. Neighbouring slots
 * may be far apart in host memory, so every copy goes slot by slot. Nothing
 * is allocated here: whoever adds a slot owns its frames.
 */
#include "kernel/mem.h"
#include "vmm/guestmem.h"

/* The number of slots that lie before address a as a whole. */
static u32 slots_before(const struct guestmem *m, u64 a)
{
    u32 i = 0;

    while (i < m->slots && m->slot[i].gpa.v + (m->slot[i].size - 1) < a)
        i++;
    return i;
}

static bool range_is_valid(u64 at, u64 size)
{
    return size && at % PAGE_SIZE == 0 && size % PAGE_SIZE == 0 && at + (size - 1) >= at;
}

int guestmem_add(struct guestmem *m, gpa_t at, u64 size, hpa_t host)
{
    u32 i;

    if (!range_is_valid(at.v, size) || !range_is_valid(host.v, size))
        return -EINVAL;
    i = slots_before(m, at.v);
    if (i < m->slots && m->slot[i].gpa.v <= at.v + (size - 1))
        return -EINVAL;
    if (m->slots == GUESTMEM_SLOTS)
        return -ENOSPC;
    memmove(&m->slot[i + 1], &m->slot[i], (m->slots - i) * sizeof(m->slot[0]));
    m->slot[i] = (struct slot){.gpa = at, .size = size, .hpa = host};
    m->slots++;
    return 0;
}

void *guestmem_ptr(const struct guestmem *m, gpa_t a, u64 *run)
{
    for (u32 i = 0; i < m->slots; i++) {
        const struct slot *s = &m->slot[i];
        u64 off = a.v - s->gpa.v;
        if (off >= s->size) /* wraps to a large number below the slot */
            continue;
        if (run)
            *run = s->size - off;
        return hpa_ptr(hpa(s->hpa.v + off));
    }
    return NULL;
}

/* Is there memory for all n bytes? */
static bool range_has_memory(const struct guestmem *m, gpa_t a, u64 n)
{
    u64 run;

    while (n) {
        if (!guestmem_ptr(m, a, &run))
            return false;
        if (run >= n)
            return true;
        if (a.v + run < a.v)
            return false; /* past the last address */
        a.v += run;
        n -= run;
    }
    return true;
}

int guestmem_read(const struct guestmem *m, gpa_t a, void *to, u64 n)
{
    u8 *out = to;

    if (!range_has_memory(m, a, n))
        return -EFAULT;
    while (n) {
        u64 run = 0;
        const void *from = guestmem_ptr(m, a, &run);
        run = min_u64(run, n);
        memcpy(out, from, run);
        out += run;
        a.v += run;
        n -= run;
    }
    return 0;
}

int guestmem_write(const struct guestmem *m, gpa_t a, const void *from, u64 n)
{
    const u8 *in = from;

    if (!range_has_memory(m, a, n))
        return -EFAULT;
    while (n) {
        u64 run = 0;
        void *to = guestmem_ptr(m, a, &run);
        run = min_u64(run, n);
        memcpy(to, in, run);
        in += run;
        a.v += run;
        n -= run;
    }
    return 0;
}
