/*
 * Shadow paging: tables that lead from a guest's virtual addresses straight to host
 * frames, kept in step with the guest's own. What each file does:
 *   shadow_role.c   what a shadow depends on besides its guest table
 *   shadow_pool.c   where shadow pages come from, and go when there are no more
 *   shadow_entry.c  entries, and who maps a frame: the only writer of shadow tables
 *   shadow_fill.c   entries made of the guest's
 *   shadow_fault.c  page faults: the guest's, the host's, or hidden
 *   shadow_quick.c  the same without a walk, where that is enough
 *   shadow_emulate.c what is carried out in the guest's place
 *   shadow_write.c  what a write to a guest table makes void
 *   shadow_sync.c   guest tables that may be written without an exit, and INVLPG
 *   shadow_root.c   MOV CR3, and what else changes the root
 *   shadow_fence.c  task switches by hardware, which load CR3 too
 *   shadow_walk.c   walks of both dimensions
 *   vtlb.c          the same tables filled by the guest: its own TLB, in software
 *
 * The processor's TLB is what it imitates: between a change of the guest's tables and
 * the flush that the architecture asks for, old or new may be seen, nothing else.
 * Source: AMD64 Manual vol. 2, 5.3 to 5.5, 15.16; Intel SDM vol. 3A, 4.10.
 */
#ifndef VMM_MMU_SHADOW_H
#define VMM_MMU_SHADOW_H

#include "kernel/trace.h"
#include "vmm/guestmem.h"
#include "vmm/mmu/nested.h"
#include "vmm/mmu/walk.h"

#define SHADOW_ENTRIES       512u
#define SHADOW_MIN_PAGES     32u /* an event's delivery meets ten pages: three each, and the root */
#define SHADOW_MAX_PAGES     8192u
#define SHADOW_DEFAULT_PAGES 1024u

/* --- Roles -------------------------------------------------------------------------- */

/* Two shadows of the same guest table with different roles are two pages. */
#define ROLE_LEVEL(r)                      ((r)&7) /* of the shadow, 4 to 1 */
#define ROLE_DIRECT                        (1u << 3) /* a piece of a large page: there is no guest table */
#define ROLE_QUADRANT(r)                   ((r) >> 4 & 3) /* which part of a 32-bit guest's table */
#define ROLE_ACCESS(r)                     ((r) >> 6 & 7) /* ACCESS_ bits that all entries above allow */
#define ROLE_POINTERS                      (1u << 9) /* four directory pointers: nobody's table */
#define ROLE_MODE(r)                       ((r) >> 10 & 7) /* enum paging_mode: how entries are read */
#define ROLE_NXE                           (1u << 13)
#define ROLE_WP                            (1u << 14)
#define ROLE_PSE                           (1u << 15)
#define ROLE_SMEP                          (1u << 16)
#define ROLE_SMAP                          (1u << 17)
#define ROLE_DIRTY                         (1u << 18) /* of a piece: the large page has D */
#define ROLE_SOFTWARE                      (1u << 19) /* of vtlb.c: no table is read */
#define ROLE_MAKE(level, quadrant, access) ((level) | (quadrant) << 4 | (u32)(access) << 6)
#define ROLE_STRICT (ROLE_SMEP | ROLE_SMAP | ROLE_SOFTWARE)

#define SHADOW_ALL 7u /* ACCESS_ bits: write, user, execute */

/* The part of a role that the control registers decide. */
u32 role_of(const struct guest_paging *);
/* What a role means for an entry of level 1: PTE_W and PTE_U if they may be set, PTE_NX if it
 * must be; and the bits that are reserved. */
u64 role_rights(u32 role);
u64 role_malformed(u32 role);

/* --- Data ---------------------------------------------------------------------------- */

/* An entry is named by a number: its page's times 512 and its index; 0 is none. */
typedef u32 shadow_ref;

/* Entries that lead to the same frame, or to the same shadow page, form a chain.
 * prev of the first one says whose chain it is. */
struct shadow_link {
    shadow_ref next, prev;
};
#define LINK_FRAME 0x80000000u /* | a frame's number */
#define LINK_PAGE  0xc0000000u /* | a shadow page's */

struct shadow_page {
    u64 *entry;    /* the table that the processor walks */
    void *guest;   /* the guest's table; NULL if there is none */
    gpa_t table;   /* of the guest's table, or what the first entry of a piece maps */
    u64 rights;    /* PTE_W, PTE_U and PTE_NX as all entries above say */
    u64 malformed; /* bits that no entry of the guest's table may have */
    u32 role;
    u32 number;                       /* its own */
    u32 frame;                        /* of that table; 0: none */
    shadow_ref parents;               /* the entries that lead here */
    u16 same;                         /* the next one of this frame */
    u16 older, newer;                 /* in the order of their last use */
    u16 count;                        /* present entries */
    u64 made_for[4];                  /* the guest's directory pointers, of a list of them */
    u64 present[SHADOW_ENTRIES / 64]; /* which */
};

#define SHADOW_FOUND 8u /* a power of two */

/* A frame of guest memory, by a number from 1 on: the slots one after another. */
struct shadow_frame {
    shadow_ref maps;   /* the leaf entries that map it */
    u16 tables;        /* its shadow pages, if the guest uses it as a table */
    u16 others;        /* pieces of large pages and pointer lists that begin here */
    u32 next_unsynced; /* frame */
    bool unsynced;
    bool upper; /* then: it is not only a table of the lowest level */
    u8 writes;  /* to its tables that exited since one of them was looked for */
};

struct vcpu;
struct exit;
struct shadow {
    bool on;       /* mmu=shadow or mmu=vtlb */
    bool software; /* mmu=vtlb */
    bool active;   /* the guest runs on it now */
    bool narrowed; /* since the last flush */
    u16 vm;
    const struct guestmem *mem;
    u32 first[GUESTMEM_SLOTS]; /* the number of a slot's first frame */
    u32 frames;                /* and how many there are in all */
    struct shadow_frame *frame;

    u32 pages, fresh; /* how many, how many were never used */
    u64 base;         /* page n's table is at base + n * 4096 */
    struct shadow_page *page;
    struct shadow_link *link;
    u16 free;           /* a list by `same` */
    u16 oldest, newest; /* those in use */
    u32 unsynced;       /* frame; the list of those */
    u32 uppers;         /* how many of them are upper tables */
    bool strict;        /* no path of the shadow says what tables of the guest's say: uppers,
                         * SMEP or SMAP, or there are none */
    u16 elsewhere;      /* pieces that begin where there is no memory, by `same` */

    u16 root; /* the page of the active root */
    struct {
        u64 region; /* of 2 MiB: its number, and the root's above */
        struct shadow_page *page;
    } found[SHADOW_FOUND]; /* lately by shadow_descend(); none, once upper entries change */
    u32 role;              /* role_of() for it */
    enum paging_mode mode;
    u64 pointer[4]; /* PAE's directory pointers, as the guest's processor holds them */
    struct nested fence; /* root 0: there was no need so far */
};

/* --- Finding one's way ------------------------------------------------------------------ */

static inline struct shadow_page *shadow_page_at(const struct shadow *s, u64 entry)
{
    return &s->page[((entry & PTE_ADDR) - s->base) >> PAGE_SHIFT];
}
static inline u32 shadow_index(u32 level, u64 gva)
{
    return (u32)(gva >> (3 + 9 * level)) & (SHADOW_ENTRIES - 1);
}
static inline hpa_t shadow_table(const struct shadow_page *p)
{
    return ptr_hpa(p->entry);
}

/* The number of the frame at a gPA, and where the host has it; 0: no memory. */
static inline u32 shadow_frame_at(const struct shadow *s, gpa_t a, hpa_t *host)
{
    for (u32 i = 0; i < s->mem->slots; i++) {
        const struct slot *slot = &s->mem->slot[i];
        u64 off = a.v - slot->gpa.v;
        if (off < slot->size) {
            *host = hpa(slot->hpa.v + (off & ~PAGE_MASK));
            return s->first[i] + (u32)(off >> PAGE_SHIFT);
        }
    }
    return 0;
}

/* The gPA of what the host has there; only for what guestmem_ptr() gave. */
static inline gpa_t shadow_gpa_of(const struct shadow *s, hpa_t a)
{
    const struct slot *slot = s->mem->slot;

    while (a.v - slot->hpa.v >= slot->size)
        slot++;
    return gpa(slot->gpa.v + (a.v - slot->hpa.v));
}

static inline u64 shadow_region(const struct shadow *s, u64 gva)
{
    return gva >> 21 | (u64)s->root << 48;
}
static inline u32 shadow_slot(const struct shadow *s, u64 gva)
{
    return (u32)(gva >> 21 ^ s->root) % SHADOW_FOUND;
}

/* The shadow page of level 1 for an address, if the path to it is there. */
struct shadow_page *shadow_descend(struct shadow *, u64 gva);
static inline struct shadow_page *shadow_find(struct shadow *s, u64 gva)
{
    u32 n = shadow_slot(s, gva);

    if (s->found[n].page && s->found[n].region == shadow_region(s, gva))
        return s->found[n].page;
    return shadow_descend(s, gva);
}
void shadow_forget_found(struct shadow *);

/* The guest's entry behind entry i of a page of level 1 that has a guest table. */
static inline void *shadow_guest_place(const struct shadow_page *p, u32 i)
{
    if (ROLE_MODE(p->role) != PAGING_LEGACY32)
        return (u64 *)p->guest + i;
    return (u32 *)p->guest + ROLE_QUADRANT(p->role) * SHADOW_ENTRIES + i;
}
static inline u64 shadow_guest_entry(const struct shadow_page *p, u32 i)
{
    const void *place = shadow_guest_place(p, i);

    return ROLE_MODE(p->role) == PAGING_LEGACY32 ? *(const u32 *)place : *(const u64 *)place;
}

/* --- Inside (vmm/mmu/shadow*.c) ------------------------------------------------------------ */

/* shadow_pool.c. A page for a table (frame > 0) or a piece: the one that there is, or a
 * new one. It is the newest then: the next few calls do not recycle it. */
struct shadow_page *shadow_get(struct shadow *, gpa_t table, u32 frame, u32 role);
/* Drop all entries of a page; then the page itself. */
u32 shadow_empty(struct shadow *, struct shadow_page *);
/* It is the newest from here on. */
void shadow_use(struct shadow *, struct shadow_page *);
void shadow_drop(struct shadow *, struct shadow_page *, enum shadow_why);
void shadow_drop_all(struct shadow *, enum shadow_why);

/* shadow_entry.c. */
void shadow_map(struct shadow *, struct shadow_page *, u32 i, u64 entry, u32 frame);
void shadow_link(struct shadow *, struct shadow_page *, u32 i, const struct shadow_page *child);
bool shadow_clear(struct shadow *, struct shadow_page *, u32 i); /* was it present? */
/* Nobody writes to that frame without an exit. */
void shadow_protect(struct shadow *, u32 frame);
static inline void shadow_trace_fill(const struct shadow *s, const struct shadow_page *p, u32 i,
                                     u64 gva, u64 gpte, u64 before)
{
    TRACE(shadow_fill, s->vm, 0, .gva = gva, .level = ROLE_LEVEL(p->role), .gpte = gpte,
          .before = before, .after = p->entry[i], .where = ptr_hpa(&p->entry[i]).v);
}
static inline bool shadow_is_protected(const struct shadow_frame *f)
{
    return f->tables && !f->unsynced;
}

/* shadow_fill.c. The page of level 1 for a walk that succeeded, made if need be. */
struct shadow_page *shadow_reach(struct shadow *, const struct walk *);
/* The leaf that a guest's entry asks for, which leads to that frame; access is what is to be
 * done with it, or 0. */
u64 shadow_leaf(const struct shadow *, const struct shadow_page *, u64 gpte, u8 access, u32 frame,
                hpa_t host);
/* What stands in the place of a guest's entry where there is none: in a piece of a large page. */
static inline u64 shadow_piece_entry(const struct shadow_page *p, u32 i)
{
    return (p->table.v + i * PAGE_SIZE) | p->rights | PTE_P | PTE_A | PTE_D;
}
/* Make it, where frame and host are known; and what the trace is told. */
void shadow_fill(struct shadow *, struct shadow_page *, u64 gva, u64 gpte, u8 access, u32 frame,
                 hpa_t host);

/* shadow_fault.c. The guest's own fault; one that the guest's entry allows: fill, or what comes
 * in its place. */
void shadow_reflect(struct vcpu *, u64 gva, u64 error);
void shadow_resolve(struct vcpu *, const struct exit *, struct shadow_page *, u64 gpte, u8 access);
/* shadow_quick.c. The same without a walk; false: it takes one. */
bool shadow_resolve_quickly(struct vcpu *, const struct exit *, u8 access);

/* shadow_emulate.c. What cannot be filled: an access to where there is no memory; a write to an
 * upper table (false: the guest has to do it itself). */
void shadow_outside(struct vcpu *, const struct exit *, u8 access, gpa_t);
bool shadow_write_table(struct vcpu *, const struct exit *, u32 frame, hpa_t host);
/* Flush what has become less. */
void shadow_flush_narrowed(struct vcpu *);
#define shadow_flush(v)                                                                            \
    do {                                                                                           \
        if (__builtin_expect((v)->vm->shadow.narrowed, 0))                                         \
            shadow_flush_narrowed(v);                                                              \
    } while (0)

/* shadow_pool.c. A table was written to once more: one that nobody uses loses its shadows if
 * that goes on, and its frame may be written without an exit. */
void shadow_count_write(struct shadow *, u32 frame);
/* shadow_write.c. n bytes of guest memory have changed: drop what was made of them. */
u32 shadow_write(struct shadow *, u32 frame, u32 offset, u32 n);

/* shadow_sync.c. */
bool shadow_may_unsync(const struct shadow *, u32 frame);
void shadow_unsync(struct shadow *, u32 frame);
void shadow_sync(struct shadow *, u32 frame);
void shadow_sync_all(struct shadow *);
void shadow_sync_below(struct shadow *, const struct shadow_page *); /* before it is linked */
void shadow_forget_unsynced(struct shadow *, u32 frame); /* it has no shadow any more */
bool shadow_invlpg(struct shadow *, u64 gva);            /* was an entry changed? */

/* vtlb.c. A guest that fills its TLB itself: what control registers mean to it, and the root
 * that CR3 names. */
u32 vtlb_role(const struct guest_paging *);
struct shadow_page *vtlb_root(struct shadow *, u64 cr3);
/* Addresses that are translated without being asked for: gVA = gPA, for the kernel alone. */
#define VTLB_SEGMENT (1ull << 30)
static inline bool vtlb_in_segment(u64 gva)
{
    return gva < VTLB_SEGMENT;
}
/* What has memory there is filled; false: nothing has. */
bool vtlb_fill_segment(struct shadow *, u64 gva);
/* A page of its own, 4 KiB or 2 MiB: formats.md, section 12. */
enum vtlb_result { VTLB_DONE, VTLB_MALFORMED, VTLB_NO_MEMORY };
enum vtlb_result vtlb_write(struct shadow *, u64 gva, gpa_t, u64 how);
bool vtlb_flush(struct shadow *, u64 gva); /* was there an entry? */

/* --- For the VMM ------------------------------------------------------------------------- */

struct vm;
int shadow_init(struct vm *); /* 0 or -ENOMEM */
void shadow_fini(struct vm *);

/* The guest's CR3, CR0, CR4 or EFER have changed: choose the root anew, forget what the
 * architecture says is flushed (shadow_root.c). */
void shadow_reload(struct vcpu *);

/* Does the processor make no exit of a task switch by hardware? Known from the start on. */
extern bool shadow_fences;
/* *root: what the shadow is to be fenced with as the guest runs now, or 0. 0 or -ENOMEM. */
int shadow_fence(struct vcpu *, hpa_t *root);
/* As the guest runs now, could it switch tasks and nobody would see it? */
bool shadow_hides_switches(struct vcpu *);
/* MOV CR3 to it, of a guest that runs on a shadow. */
void shadow_switch(struct vcpu *, u64 cr3);
/* PAE: read the four directory pointers that a change to these registers would load.
 * False: one of them is malformed, #GP. */
bool shadow_load_pointers(struct vcpu *, const struct guest_paging *);
/* A page fault of the guest exited (shadow_fault.c). */
void shadow_fault(struct vcpu *, const struct exit *);
/* The VMM wrote into guest memory in the guest's place. */
void shadow_wrote(struct vcpu *, gpa_t, u64 value, u32 n);
/* VMMCALL or VMCALL of a guest that fills its TLB itself: the answer (vtlb.c). */
u64 vtlb_call(struct vcpu *);
/* INVLPG. */
void shadow_flush_address(struct vcpu *, u64 gva);
/* The guest's walk as its processor makes it: PAE's pointers are those held. A and D are
 * set on request. */
enum walk_fault shadow_walk_guest(struct vcpu *, const struct guest_paging *, gva_t, u8 access,
                                  bool set_ad, struct walk *);
/* That walk, then the shadow's references, for the trace (shadow_walk.c). */
enum walk_fault walk_shadow(struct vcpu *, const struct guest_paging *, gva_t, u8 access,
                            struct walk *);
/* A translation that the shadow knows and the guest's entry still allows, A and D set: what a
 * walk would find, for less. */
const void *shadow_code(struct shadow *, u64 gva); /* where the host has what is executed there */
bool shadow_translate(struct shadow *, u64 gva, u8 access, gpa_t *);

#endif
