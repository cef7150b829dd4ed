/*
 * What the parts of pager share. The pool is a piece of the guest's memory whose
 * frames serve as page tables, as data, and as both; the mirror beside it holds
 * what each byte of the pool should be, written by other instructions at other
 * addresses. All expectations are made of the mirror: where a gVA leads, which
 * fault it gives, which A and D bits the processor sets.
 */
#ifndef GUESTS_PAGER_PAGER_H
#define GUESTS_PAGER_PAGER_H

#include "guests/lib/guest.h"
#include "guests/lib/table.h"
#include "guests/pager/probe.h"

#define POOL        (4 * MIB)
#define POOL_SIZE   (4 * MIB)
#define POOL_END    (POOL + POOL_SIZE)
#define POOL_FRAMES (POOL_SIZE / PAGE_SIZE)
#define MIRROR      POOL_END
#define MEMORY      (MIRROR + POOL_SIZE) /* what is mapped to itself, and must be there */
#define MAX_SPACES  128
#define FIRST_DATA  640 /* frames from here on are data at first, those before it tables */

#define PTE_G   (1ull << 8)
#define CR4_PSE (1ul << 4)
#define CR4_PGE (1ul << 7)

/* --- Formats: one file each (format_*.c) ----------------------------------------- */

#define FEW 8

struct level {
    u8 shift, bits;
    bool maps;           /* an entry with PS maps a page (level 1: always) */
    bool rights;         /* has W, U, NX and A; PAE's directory pointers have none */
    u64 zero, zero_page; /* reserved; reserved in an entry that maps a page */
    u16 few[FEW];        /* the indices that this guest uses of it */
};

/* Bits low to high. */
#define BITS(low, high) ((2ull << (high)) - (1ull << (low)))

struct format {
    int levels, width; /* bytes of an entry */
    bool nx, needs_pse, pae;
    u32 root_step;         /* roots lie this far apart in their frames */
    u32 kernel_bytes;      /* of a root: entries that must not be written */
    bool pointers;         /* the top level is loaded by MOV CR3, not walked */
    struct level level[5]; /* from 1 to levels */
};
extern const struct format format;

/* --- State (main.c) ----------------------------------------------------------------- */

struct pager {
    struct rng rng;
    u32 spaces, current;
    bool wp, nxe, pse, pge;
    bool pages_1g;
    u64 address_bits; /* the reserved ones of a physical address */
    u64 op;           /* number of the operation under way */
    const char *doing;
    u64 verbose; /* print from this operation on */
    u64 done_ok, done_fault, skipped, stale;
};
extern struct pager pager;

static inline u32 below(u32 n)
{
    return rng_below(&pager.rng, n);
}
static inline bool permille(u32 p)
{
    return rng_permille(&pager.rng, p);
}

/* --- The model (model.c) --------------------------------------------------------------- */

enum { READ = 0, WRITE = 1, USER = 2, EXECUTE = 4 };

struct step {
    u64 at, entry; /* gPA of the entry, and its value */
    int level;
};

struct route {
    bool ok, outside; /* outside: it leads out of the pool, nothing is expected */
    bool found;       /* gpa holds, whether or not the access is allowed */
    u32 error;        /* of the fault, if not ok */
    u64 gpa;
    int steps;
    struct step step[4];
};

static inline bool in_pool(u64 gpa, u64 n)
{
    return gpa >= POOL && gpa + n <= POOL_END;
}
static inline void *mirror_of(u64 gpa)
{
    return (void *)(uintptr_t)(gpa - POOL + MIRROR);
}
static inline void *real_of(u64 gpa)
{
    return (void *)(uintptr_t)gpa;
}
#ifdef __x86_64__
#define REP_MOVS "rep movsq"
#define REP_STOS "rep stosq"
#else
#define REP_MOVS "rep movsl"
#define REP_STOS "rep stosl"
#endif
static inline void pool_copy(void *to, const void *from, size_t n)
{
    n /= sizeof(long);
    __asm__ volatile(REP_MOVS : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}
static inline void pool_zero(void *to, size_t n)
{
    n /= sizeof(long);
    __asm__ volatile(REP_STOS : "+D"(to), "+c"(n) : "a"(0) : "memory");
}
u64 entry_read(const void *at);
void entry_write(void *at, u64 e);
static inline u64 entry_index(u64 gva, int level)
{
    return gva >> format.level[level].shift & ((1u << format.level[level].bits) - 1);
}
/* Does an entry of that level map a page, now? Whether it is present or right is not asked. */
bool maps_page(int level, u64 e);
/* Where an access leads in the space of that root, by the mirror. */
void route(struct route *r, u64 root, u64 gva, u32 access);
/* What the processor sets in the mirror's entries when the access succeeds. */
void route_used(const struct route *r, u32 access);
/* A and D bits that may or may not be set now: the mirror takes what memory has. */
void route_forgive(const struct route *r, int steps, u64 bits);
/* It takes a directory pointer for an entry of another level, too: the processor would set A there,
 * where it is reserved, and the space could not be used any more. */
bool route_spoils(const struct route *r);
/* The entries of a route are in memory as the mirror has them. */
void route_check(const struct route *r, u64 gva);
/* All of the pool against all of the mirror. */
void pool_check(void);

/* --- Spaces and tables (spaces.c) -------------------------------------------------------- */

void spaces_init(void);
u64 root_of(u32 space);
static inline u64 current_root(void)
{
    return root_of(pager.current);
}
/* Does a write there hit what maps this program in some space? */
bool is_vital(u64 gpa, u64 n);
/* Is that entry one of PAE's directory pointers, of any space? */
bool is_pointer(u64 at);
/* A seeded gVA, where the tables are few. */
u64 random_gva(void);
u64 random_frame(void);     /* data mostly, a table now and then */
u64 take_table(void);       /* a frame in turn, whatever it was, zeroed */
u64 random_leaf(int level); /* an entry that maps a page of that level */
/* Words of 8 bytes, until n bytes are full: so many of 1000 are entries that map a page. */
void random_words(u8 *to, u32 n, u32 leaves);
u64 table_entry_to(u64 table, int level); /* one that leads to a table; level: where it stands */
/* gPA of the entry of that level on the way to gva: 0 if a table is missing, else made
 * if make is set. */
u64 entry_at(u32 space, u64 gva, int level, bool make);

/* --- What the processor may have cached (cached.c) ------------------------------------------ */

/* That much of a table is about to be written. */
void cached_before_write(u64 gpa, u64 n);
/* The processor walks these tables now. */
void cached_walked(const struct route *r);
bool cached_is_table(u64 gpa, u64 n);
/* Before an access that must see the tables as they are. */
void cached_settle(u64 gva);
/* May gva be translated as it was before? */
bool cached_is_stale(void);
void cached_flush(void);     /* forget everything, one way or another */
void cached_load(u32 space); /* MOV CR3 */
void cached_modes(void);     /* CR0, CR4 and EFER as pager.wp and so on say */
void cached_paging_off_and_on(void (*between)(void)); /* 32-bit code only, else nothing */

/* --- Accesses with expectations (access.c, effect.c) --------------------------------- */

struct access {
    enum probe_kind kind;
    bool user;
    u64 gva;
    u32 n;         /* bytes */
    u8 value[64];  /* operand */
    u8 compare[8]; /* of CMPXCHG8 */
};

extern const u8 probe_bytes[PROBE_KINDS]; /* 0: as many as n says */
bool is_write(enum probe_kind kind);
bool is_modify(enum probe_kind kind); /* reads, then writes */
/* Registers for it. */
void effect_load(const struct access *a, struct probe *p);
/* What it leaves in memory where old was; returns false if it reads only. */
bool effect_new(const struct access *a, const u8 *old, u8 *new_bytes);
/* Are the registers as they should be after it, when memory held old? */
bool effect_right(const struct access *a, const struct probe *p, const u8 *old);

void random_access(struct access *a, u64 gva);
/* Do it, and hold everything against the model. False: it was left out. */
bool access_do(struct access *a);
/* Some access there, or near by. */
void access_somehow(u64 gva);
/* The same between a change and its flush: before says how it was. */
void access_stale(struct access *a, const struct route *before);
u32 access_bits(const struct access *a);

/* --- Writing to the pool at its own address (poke.c) --------------------------------- */

/* n bytes (at most 64), by seeded instructions; false: it is vital and was left. */
bool poke(u64 gpa, const void *bytes, u32 n);
bool poke_entry(u64 at, u64 e);
/* A whole frame; false: the other one holds what maps this program. */
bool poke_copy(u64 to, u64 from);
void poke_zero(u64 frame);

/* --- Operations (ops*.c) ------------------------------------------------------------- */

void op_access(void);
void op_map(void);
void op_unmap(void);
void op_remap(void);
void op_protect(void);
void op_age(void);
void op_switch(void);
void op_fork(void);
void op_cow(void);
void op_large(void);
void op_split(void);
void op_self(void);
void op_share(void);
void op_raw(void);
void op_mode(void);
void op_flush(void);
void op_stale(void);
void op_fresh(void);
void op_data(void);
void op_pair(void);

#endif
