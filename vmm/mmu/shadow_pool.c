/*
 * The pool of shadow pages: a fixed number of them, so that no guest can make the host
 * run out of memory by having many tables. When all are in use, the one that was looked
 * for longest ago is emptied and used again: a shadow can always be made anew. So what nobody
 * uses and is written to again and again is given up, too.
 *
 * Each page of the pool has a table (what the processor walks), a frame of links (who
 * else maps what it maps) and a struct. Source: none; the idea is that of any cache.
 */
#include "kernel/frame.h"
#include "kernel/mem.h"
#include "vmm/mmu/shadow.h"
#include "vmm/vm.h"

/* --- The pool as a whole ------------------------------------------------------------------- */

static owner_t owner(const struct shadow *s)
{
    return (owner_t)(OWNER_VM_TABLE + s->vm);
}

static u64 frames_for(u64 bytes)
{
    return (bytes + PAGE_SIZE - 1) / PAGE_SIZE;
}

static void *take(const struct shadow *s, u64 bytes, bool zeroed)
{
    hpa_t at = frames_alloc(frames_for(bytes), PAGE_SIZE, owner(s));

    if (at.v && zeroed)
        memset(hpa_ptr(at), 0, bytes);
    return hpa_ptr(at);
}

static void give(const struct shadow *s, void *at, u64 bytes)
{
    if (at)
        frames_free(ptr_hpa(at), frames_for(bytes), owner(s));
}

/* Frames are numbered from 1 on, slot after slot. */
static void number_frames(struct shadow *s)
{
    s->frames = 1;
    for (u32 i = 0; i < s->mem->slots; i++) {
        s->first[i] = s->frames;
        s->frames += (u32)(s->mem->slot[i].size >> PAGE_SHIFT);
    }
}

/* Bytes of the four parts. Page and frame 0 stand for none. */
#define TABLE_BYTES(s) ((s)->pages * PAGE_SIZE)
#define LINK_BYTES(s)  (((s)->pages + 1) * (SHADOW_ENTRIES * sizeof(struct shadow_link)))
#define PAGE_BYTES(s)  (((s)->pages + 1) * sizeof(struct shadow_page))
#define FRAME_BYTES(s) ((s)->frames * sizeof(struct shadow_frame))

int shadow_init(struct vm *vm)
{
    struct shadow *s = &vm->shadow;

    *s = (struct shadow){.vm = vm->id,
                         .mem = &vm->mem,
                         .on = vm->args.mmu != MMU_NESTED,
                         .software = vm->args.mmu == MMU_VTLB};
    if (!s->on)
        return 0;
    s->pages = (u32)vm->args.shadowpages;
    number_frames(s);
    s->base = ptr_hpa(take(s, TABLE_BYTES(s), false)).v - PAGE_SIZE;
    s->link = take(s, LINK_BYTES(s), false);
    s->page = take(s, PAGE_BYTES(s), true);
    s->frame = take(s, FRAME_BYTES(s), true);
    if (s->base + PAGE_SIZE == 0 || !s->link || !s->page || !s->frame)
        return -ENOMEM;
    return 0;
}

void shadow_fini(struct vm *vm)
{
    struct shadow *s = &vm->shadow;

    if (!s->on)
        return;
    if (!s->fence.root.v) /* else the guest may have written there: shadow_fence.c */
        shadow_drop_all(s, ZAP_END);
    nested_fini(&s->fence);
    give(s, hpa_ptr(hpa(s->base + PAGE_SIZE)), TABLE_BYTES(s));
    give(s, s->link, LINK_BYTES(s));
    give(s, s->page, PAGE_BYTES(s));
    give(s, s->frame, FRAME_BYTES(s));
    s->on = false;
}

/* --- The order of use ---------------------------------------------------------------- */

static void order_remove(struct shadow *s, struct shadow_page *p)
{
    *(p->older ? &s->page[p->older].newer : &s->oldest) = p->newer;
    *(p->newer ? &s->page[p->newer].older : &s->newest) = p->older;
}

static void order_add(struct shadow *s, struct shadow_page *p)
{
    u16 n = (u16)p->number;

    p->older = s->newest;
    p->newer = 0;
    *(s->newest ? &s->page[s->newest].newer : &s->oldest) = n;
    s->newest = n;
}

void shadow_use(struct shadow *s, struct shadow_page *p)
{
    order_remove(s, p);
    order_add(s, p);
}

/* --- Which pages belong to a frame --------------------------------------------------- */

static u16 *list_of(struct shadow *s, u32 frame, u32 role)
{
    if (!frame)
        return &s->elsewhere;
    return role & (ROLE_DIRECT | ROLE_POINTERS) ? &s->frame[frame].others : &s->frame[frame].tables;
}

static void list_remove(struct shadow *s, struct shadow_page *p)
{
    u16 *at = list_of(s, p->frame, p->role);

    while (*at != p->number)
        at = &s->page[*at].same;
    *at = p->same;
}

static struct shadow_page *find(struct shadow *s, gpa_t table, u32 frame, u32 role)
{
    for (u16 n = *list_of(s, frame, role); n; n = s->page[n].same)
        if (s->page[n].role == role && s->page[n].table.v == table.v)
            return &s->page[n];
    return NULL;
}

/* --- Giving up pages ----------------------------------------------------------------- */

u32 shadow_empty(struct shadow *s, struct shadow_page *p)
{
    u32 n = p->count;

    for (u32 w = 0; w < ARRAY_SIZE(p->present); w++)
        while (p->present[w])
            shadow_clear(s, p, 64 * w + (u32)__builtin_ctzll(p->present[w]));
    return n;
}

static void cut_from_parents(struct shadow *s, struct shadow_page *p)
{
    while (p->parents) {
        shadow_ref r = p->parents;
        shadow_clear(s, &s->page[r / SHADOW_ENTRIES], r % SHADOW_ENTRIES);
    }
}

void shadow_drop(struct shadow *s, struct shadow_page *p, enum shadow_why why)
{
    cut_from_parents(s, p);
    u32 n = shadow_empty(s, p);
    order_remove(s, p);
    list_remove(s, p);
    if (p->frame && s->frame[p->frame].unsynced && !s->frame[p->frame].tables)
        shadow_forget_unsynced(s, p->frame);
    TRACE(shadow_zap, s->vm, 0, .table = p->table.v, .level = ROLE_LEVEL(p->role), .entries = n,
          .why = why);
    p->same = s->free;
    s->free = (u16)p->number;
}

#define FLOOD 3 /* so many writes in a row are no change of a table, but another use of its frame */

/* Does the active root lead there? A parent is one level higher. There may be many, and ways
 * through them more than anybody wants to try: then it counts as used. */
static bool in_use(const struct shadow *s, const struct shadow_page *p, u32 *tries)
{
    if (p->number == s->root || !*tries)
        return true;
    --*tries;
    for (shadow_ref r = p->parents; r; r = s->link[r].next)
        if (in_use(s, &s->page[r / SHADOW_ENTRIES], tries))
            return true;
    return false;
}

void shadow_count_write(struct shadow *s, u32 frame)
{
    struct shadow_frame *f = &s->frame[frame];
    u32 tries = 64;

    if (++f->writes < FLOOD)
        return;
    f->writes = 0;
    for (u16 n = f->tables; n; n = s->page[n].same)
        if (in_use(s, &s->page[n], &tries))
            return;
    while (f->tables)
        shadow_drop(s, &s->page[f->tables], ZAP_WRITE);
}

void shadow_drop_all(struct shadow *s, enum shadow_why why)
{
    while (s->oldest)
        shadow_drop(s, &s->page[s->oldest], why);
    s->root = 0;
}

/* --- Taking one ---------------------------------------------------------------------- */

/* The oldest but the root, on which the processor runs. */
static void recycle(struct shadow *s)
{
    u16 n = s->oldest == s->root ? s->page[s->oldest].newer : s->oldest;

    shadow_drop(s, &s->page[n], ZAP_RECYCLE);
}

/* A table of zeros: pages are given up empty, and never used ones are wiped here. */
static struct shadow_page *unused(struct shadow *s)
{
    if (!s->free && s->fresh < s->pages) {
        struct shadow_page *p = &s->page[++s->fresh];
        p->number = s->fresh;
        p->entry = hpa_ptr(hpa(s->base + s->fresh * PAGE_SIZE));
        memset(p->entry, 0, PAGE_SIZE);
        return p;
    }
    if (!s->free)
        recycle(s);
    struct shadow_page *p = &s->page[s->free];
    s->free = p->same;
    return p;
}

static struct shadow_page *create(struct shadow *s, gpa_t table, u32 frame, u32 role)
{
    struct shadow_page *p = unused(s);
    u16 *list = list_of(s, frame, role);

    p->table = table;
    p->frame = frame;
    p->role = role;
    p->rights = role_rights(role);
    p->malformed = role_malformed(role);
    p->guest = frame && !(role & ROLE_DIRECT) ? guestmem_ptr(s->mem, table, NULL) : NULL;
    p->same = *list;
    *list = (u16)p->number;
    TRACE(shadow_page, s->vm, 0, .table = table.v, .level = ROLE_LEVEL(role), .role = role,
          .shadow = shadow_table(p).v);
    return p;
}

struct shadow_page *shadow_get(struct shadow *s, gpa_t table, u32 frame, u32 role)
{
    struct shadow_page *p = find(s, table, frame, role);

    if (p) {
        order_remove(s, p);
        s->frame[frame].writes = 0;
    } else {
        p = create(s, table, frame, role);
        if (frame && !(role & (ROLE_DIRECT | ROLE_POINTERS))) {
            if (s->frame[frame].unsynced)
                shadow_sync(s, frame);
            shadow_protect(s, frame);
        }
    }
    order_add(s, p);
    return p;
}
