/*
 * A VM's memory slots, and copies that stay inside them. Neighbouring slots
 * may be far apart in host memory, so every copy goes slot by slot. Nothing
 * is allocated here: whoever adds a slot owns its frames.
 */
#include "vmm/guestmem.h"
#include "kernel/mem.h"
#include "vmm/hv.h"

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

int guestmem_add_as(struct guestmem *m, gpa_t at, u64 size, hpa_t host, u8 access)
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
    m->slot[i] = (struct slot){.gpa = at, .size = size, .hpa = host, .access = access};
    m->slots++;
    return 0;
}

int guestmem_add(struct guestmem *m, gpa_t at, u64 size, hpa_t host)
{
    return guestmem_add_as(m, at, size, host, ACCESS_WRITE | ACCESS_EXEC);
}

const struct slot *guestmem_slot(const struct guestmem *m, gpa_t a)
{
    for (const struct slot *s = m->slot; s < m->slot + m->slots; s++)
        if (a.v - s->gpa.v < s->size) /* wraps to a large number below the slot */
            return s;
    return NULL;
}

bool guestmem_writable(const struct guestmem *m, gpa_t a)
{
    const struct slot *s = guestmem_slot(m, a);

    return s && s->access & ACCESS_WRITE;
}

void *guestmem_ptr(const struct guestmem *m, gpa_t a, u64 *run)
{
    const struct slot *s = guestmem_slot(m, a);

    if (!s)
        return NULL;
    u64 off = a.v - s->gpa.v;
    if (run)
        *run = s->size - off;
    return hpa_ptr(hpa(s->hpa.v + off));
}

/* Is there memory for all n bytes that may be used so? */
static bool range_allows(const struct guestmem *m, gpa_t a, u64 n, u8 access)
{
    while (n) {
        const struct slot *s = guestmem_slot(m, a);
        if (!s || (s->access & access) != access)
            return false;
        u64 run = s->size - (a.v - s->gpa.v);
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

    if (!range_allows(m, a, n, 0))
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

    if (!range_allows(m, a, n, ACCESS_WRITE))
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
