/*
 * Fuzz target: a guest that does to its page tables whatever it likes while it runs on a
 * shadow. A processor with a TLB of its own makes the guest's accesses through the shadow's
 * tables: what they forbid exits as a page fault, what they allow is done at once, and what
 * is in the TLB stays there until the VMM flushes. After each step: no write reached a
 * table in step, no fault was the guest's that its tables do not give it, and all that
 * shadow_books.h and shadow_history.h say. It does not model SMEP and SMAP, nor A and D of shadow tables.
 *
 * Input: how it begins, then steps.
 */
#include <string.h>
#include "kernel/console.h"
#include "kernel/frame.h"
#include "vmm/cr.h"
#include "vmm/exit.h"
#include "vmm/tests/fuzz.h"
#include "vmm/tests/host.h"
#include "vmm/tests/rig.h"
#include "vmm/tests/shadow_books.h"
#include "vmm/tests/shadow_history.h"
#include "vmm/tests/shadow_tlb.h"

const char *const fuzz_name = "shadow";

struct start {
    u8 mode, pages, fences, unused;
};

struct step {
    u8 what, where, index, flags;
    u8 frame, and, page, how;
};

/* Pages of the guest's memory: data, code, tables; a second slot behind a hole. */
#define MEMORY    "mem=128K,32K@1M boot=raw mmu=shadow shadowpages="
#define TABLES    16ull /* to 31; the first is the root */
#define HIGH      0x100ull
#define MAX_STEPS 64

static struct vm vm;
static struct vcpu *const v = &vm.vcpu;

/* --- The guest's tables ------------------------------------------------------------------- */

static bool is_legacy(void)
{
    return !(hv_get(v, HV_CR4) & CR4_PAE);
}

static void put(u64 page, u32 index, u64 entry)
{
    u32 n = is_legacy() ? 4 : 8;

    FUZZ_CHECK(guestmem_write(&vm.mem, gpa(page * PAGE_SIZE + index * n), &entry, n) == 0);
}

#define UPPER(page) ((page)*PAGE_SIZE | PTE_P | PTE_W | PTE_U)

/* All memory at 0, large pages behind it, the tables once more, and all that again through
 * upper entries that allow less. */
static void put_tables(enum paging_mode mode)
{
    static const u64 less[] = {0, PTE_W, PTE_U, PTE_W | PTE_U};
    bool wide = mode == PAGING_LONG4, legacy = mode == PAGING_LEGACY32;
    u64 low = TABLES + 3, directory = legacy ? TABLES : TABLES + 2;

    for (u32 i = 0; i < 4 && wide; i++)
        put(TABLES, i, UPPER(TABLES + 1) ^ less[i]);
    for (u32 i = 0; i < 4 && !legacy; i++)
        put(wide ? TABLES + 1 : TABLES, i, wide ? UPPER(directory) : directory * PAGE_SIZE | PTE_P);
    for (u32 i = 0; i <= 256; i += 256) { /* a 32-bit guest has the second at 1 GiB */
        put(directory, i, UPPER(low));
        put(directory, i + 1, PTE_PS | PTE_P | PTE_W | PTE_U);
        put(directory, i + 2, UPPER(low + 1));
        put(directory, i + 3, UPPER(low) ^ PTE_W);
    }
    for (u32 i = 0; i < (legacy ? 1024 : 512); i++)
        put(low, i, i % 512 < 32 ? UPPER(i % 512 ^ i / 512) : i - HIGH < 8 ? UPPER(i) : 0);
    for (u32 i = 0; i < 16; i++)
        put(low + 1, i, UPPER(TABLES + i));
}

/* An entry: mostly a good one. */
static u64 make_entry(const struct step *s)
{
    static const u64 bit[] = {PTE_P, PTE_W, PTE_U, PTE_A, PTE_D, PTE_PS, PTE_NX, 1ull << 50};
    u64 page = s->frame < 128   ? TABLES + s->frame % 16
               : s->frame < 224 ? s->frame % 16
               : s->frame < 250 ? HIGH + s->frame % 8
                                : 0x50 + 0x1000ull * (s->frame % 4);
    u64 entry = page * PAGE_SIZE | PTE_P | PTE_W | PTE_U | PTE_A | PTE_D;

    for (u32 i = 0; i < ARRAY_SIZE(bit); i++)
        entry ^= (s->flags & s->and) >> i & 1 ? bit[i] : 0;
    return entry;
}

/* --- The processor -------------------------------------------------------------------------- */

static bool allows(u64 leaf, u8 access)
{
    return leaf & PTE_P && !(access & ACCESS_USER && !(leaf & PTE_U)) &&
           !(access & ACCESS_WRITE && !(leaf & PTE_W)) && !(access & ACCESS_EXEC && leaf & PTE_NX);
}

/* A fault went to the guest: so its own tables say, with this code. */
static void check_reflected(u64 at, u8 access)
{
    static struct walk w;
    struct guest_paging paging = vcpu_paging(v);
    const struct event *e = &v->inject;

    if (e->vector != VECTOR_PF || hv_get(v, HV_CR2) != at)
        return; /* what carries out the instruction has met another */
    FUZZ_CHECK(e->type == EV_EXCEPTION && e->has_error);
    FUZZ_CHECK(shadow_walk_guest(v, &paging, gva(at), access, false, &w));
    FUZZ_CHECK(w.fault != FAULT_NO_MEMORY && w.error == e->error);
}

#define TRIES 8 /* after so many exits for one access nothing will ever come of it */

/* True: the processor may access that byte. False: it need not, or the guest has a fault. */
static bool reach(u64 gva, u8 access)
{
    u64 rip = v->rip, leaf = 0;

    for (u32 i = 0; i < TRIES; i++) {
        leaf = tlb_find(gva) ? tlb_find(gva) : books_leaf(v, gva);
        if (allows(leaf, access)) {
            tlb_fill(gva, leaf);
            return true;
        }
        tlb_drop(gva);
        rig_fault(&vm, gva,
                  (u32)((leaf & PTE_P ? PF_P : 0) | (access & ACCESS_WRITE ? PF_W : 0) |
                        (access & ACCESS_USER ? PF_U : 0) | (access & ACCESS_EXEC ? PF_I : 0)));
        tlb_flushes();
        if (vm.alive && v->inject.valid)
            check_reflected(gva, access);
        if (!vm.alive || v->inject.valid || v->rip != rip)
            return false;
    }
    FUZZ_CHECK(!"the same fault again and again");
    return false;
}

static bool reach_both(u64 first, u64 last, u8 access)
{
    for (u32 i = 0; i < TRIES; i++) {
        if (!reach(first, access) || !reach(last, access))
            return false;
        if (allows(tlb_find(first), access))
            return true; /* the way to the last has left it there */
    }
    FUZZ_CHECK(!"one page or the other, again and again");
    return false;
}

/* --- Steps ------------------------------------------------------------------------------------ */

/* Where one of sixteen paths begins; there may be three more at level 4. */
static u64 path_base(u32 path, u32 top)
{
    u64 region = is_legacy() ? 1ull << 22 : 1ull << 21;
    u64 base = (path & 3) * region + ((path >> 2 & 1ull) << 30);

    return vcpu_mode(v) == 8 && path >> 3 ? base + ((top & 3ull) << 39) : base;
}

/* An address: which path, which page, where in it. */
static u64 address(const struct step *s, u64 page, u64 offset)
{
    if (is_legacy())
        page += s->index & 0x80 ? 512 : 0;
    return path_base(s->where >> 4, s->where) + page * PAGE_SIZE + offset;
}

/* All is flushed. The pages that are changed most are looked at, on each path. */
static void flushed_all(void)
{
    static const u16 pages[] = {0, 1, 3, TABLES + 3};
    u64 gva[HISTORY_MAX];

    for (u32 i = 0; i < HISTORY_MAX; i++)
        gva[i] = path_base(i / 4, i / 4) + pages[i % 4] * PAGE_SIZE;
    history_begin(gva, HISTORY_MAX);
}

/* MOV to (RDI), of 1 to 8 bytes; CMPXCHG8B or 16B, which nobody carries out; MOV from there. */
#define LOAD 5
static const u8 code[2][LOAD + 1][4] = {{{0x88, 0x07},
                                         {0x66, 0x89, 0x07},
                                         {0x89, 0x07},
                                         {0x0f, 0xc7, 0x0f},
                                         {0x0f, 0xc7, 0x0f},
                                         {0x8a, 0x07}},
                                        {{0x88, 0x07},
                                         {0x66, 0x89, 0x07},
                                         {0x89, 0x07},
                                         {0x48, 0x89, 0x07},
                                         {0x48, 0x0f, 0xc7, 0x0f},
                                         {0x8a, 0x07}}};

static void put_code(void)
{
    FUZZ_CHECK(guestmem_write(&vm.mem, gpa(RIG_CODE), code, sizeof(code)) == 0);
}

static void set_registers(u64 gva, u64 value, u32 which, u8 access)
{
    struct seg ss;

    hv_get_seg(v, SEG_SS, &ss);
    ss.attr = (u16)((ss.attr & ~(3u << 5)) | (access & ACCESS_USER ? 3u << 5 : 0));
    hv_set_seg(v, SEG_SS, &ss);
    v->rip = RIG_CODE + (u64)(code[vcpu_mode(v) == 8][which] - code[0][0]);
    v->gpr[GPR_RDI] = gva;
    v->gpr[GPR_RAX] = value;
}

/* Bytes of one page, through what the TLB holds. */
static void store(u64 gva, const u8 *bytes, u32 n)
{
    u64 leaf = tlb_find(gva);
    const struct shadow_frame *f = &vm.shadow.frame[books_frame(&vm.shadow, leaf)];

    FUZZ_CHECK(!shadow_is_protected(f));
    if (f->tables)
        history_note(v);
    memcpy((u8 *)hpa_ptr(hpa(leaf & PTE_ADDR)) + (gva & PAGE_MASK), bytes, n);
}

static void write(u64 gva, u64 value, u32 size, u8 access)
{
    u64 bytes[2] = {value, value};
    u32 n = 1u << size, here = (u32)min_u64(n, PAGE_SIZE - (gva & PAGE_MASK));

    set_registers(gva, value, size, access);
    if (!vm.shadow.active) {
        guestmem_write(&vm.mem, gpa(gva), bytes, n);
        return;
    }
    if (!reach_both(gva, gva + n - 1, access))
        return;
    store(gva, (u8 *)bytes, here);
    if (here < n)
        store(gva + here, (u8 *)bytes + here, n - here);
}

/* The table and the entry that were written last: what comes next often concerns them. */
static u64 last_table, last_index;

static void write_table(const struct step *s)
{
    u32 size = is_legacy() ? 2 : 3;
    u64 page = s->page < 96    ? TABLES + 3 + s->page % 2
               : s->page < 192 ? TABLES + s->page % 16
                               : last_table;

    if (s->how >= 192) /* not a whole entry, or two */
        size = s->how % 5;
    last_table = page;
    last_index = s->index < 224 ? s->index % 4 : s->index;
    u64 offset = (last_index << (is_legacy() ? 2 : 3)) + (s->how >= 240 ? s->how % 8 : 0);
    write(address(s, page, offset), make_entry(s), size, ACCESS_WRITE);
}

static u64 some_page(const struct step *s)
{
    static const u16 offsets[] = {0, 8, 0x123, 0xff8, 0xffc, 0xfff};
    u64 page = s->and % 2      ? last_index
               : s->page < 96  ? s->page % 4
               : s->page < 192 ? s->page % 32
                               : HIGH + s->page % 8;

    return address(s, page, offsets[s->index % ARRAY_SIZE(offsets)]);
}

static void access_page(const struct step *s)
{
    u8 access = s->how & 7;

    if (access == (ACCESS_WRITE | (access & ACCESS_USER))) {
        write(some_page(s), make_entry(s), s->flags % 5, access);
    } else if (vm.shadow.active) {
        set_registers(some_page(s), 0, LOAD, access);
        reach(some_page(s), access & ~ACCESS_WRITE);
    }
}

static void flush_page(const struct step *s)
{
    if (!vm.shadow.active)
        return;
    u64 high = s->flags >= 240 && vm.shadow.mode == PAGING_LONG4 ? 1ull << 50 : 0; /* no address */
    shadow_flush_address(v, some_page(s) ^ high);
    if (high)
        return;
    history_flush(some_page(s));
    books_check_leaf(v, some_page(s));
}

static void set_root(const struct step *s)
{
    u64 page = s->how == 255 ? 0x1000 : s->how >= 240 ? HIGH + s->page % 8 : TABLES + s->page % 16;
    u64 low = s->how & 0x20 && vm.shadow.mode == PAGING_PAE ? (s->index & 0x7full) << 5 : 0;

    if (!cr_write_3(v, page * PAGE_SIZE + low) || !vm.alive)
        return;
    FUZZ_CHECK(!vm.shadow.unsynced);
    flushed_all();
}

static bool change_rule(u8 how)
{
    u64 cr0 = hv_get(v, HV_CR0), cr4 = hv_get(v, HV_CR4), efer = hv_get(v, HV_EFER);

    if (how >= 224 && !(efer & EFER_LMA))
        return cr_write_4(v, cr4 ^ CR4_PAE);
    if (how >= 192)
        return cr_write_0(v, cr0 ^ CR0_TS);
    if (how % 4 == 0)
        return cr_write_0(v, cr0 ^ CR0_WP);
    if (how % 4 == 3)
        return cr_write_efer(v, (efer & ~EFER_LMA) ^ EFER_NXE);
    return cr_write_4(v, cr4 ^ (how % 4 == 1 ? CR4_PSE : CR4_PGE));
}

static void change_rules(const struct step *s)
{
    if (change_rule(s->how))
        flushed_all();
}

/* Paging off; on again, in that mode, with good tables or what there is. */
static void change_mode(enum paging_mode mode, bool fresh)
{
    static const struct seg flat = {8, 0xc9b, 0xffffffff, 0}, wide = {8, 0xa9b, 0xffffffff, 0};

    hv_set_seg(v, SEG_CS, &flat);
    FUZZ_CHECK(cr_write_0(v, CR0_PE) && !vm.shadow.active);
    if (mode == PAGING_OFF)
        return;
    FUZZ_CHECK(cr_write_4(v, (mode == PAGING_LEGACY32 ? 0 : CR4_PAE) | CR4_PSE));
    FUZZ_CHECK(cr_write_efer(v, EFER_NXE | (mode == PAGING_LONG4 ? EFER_LME : 0)));
    FUZZ_CHECK(cr_write_3(v, TABLES * PAGE_SIZE));
    if (fresh)
        put_tables(mode);
    bool on = cr_write_0(v, CR0_PE | CR0_PG | CR0_WP);
    FUZZ_CHECK(on == vm.shadow.active && (on || !fresh)); /* a pointer of PAE may be malformed */
    if (on && mode == PAGING_LONG4)
        hv_set_seg(v, SEG_CS, &wide);
    flushed_all();
}

static const enum paging_mode modes[] = {PAGING_LONG4, PAGING_PAE, PAGING_LEGACY32, PAGING_OFF};

static void take_step(const struct step *s)
{
    switch (s->what % 16) {
    case 0 ... 5:
        write_table(s);
        break;
    case 6 ... 11:
        access_page(s);
        break;
    case 12:
        flush_page(s);
        break;
    case 13:
        set_root(s);
        break;
    case 14:
        change_rules(s);
        break;
    default:
        if (s->how < 32)
            change_mode(modes[s->how % 4], s->how < 24);
        else
            flush_page(s);
    }
}

/* --- One input ---------------------------------------------------------------------------- */

static struct {
    struct start start;
    struct step step[MAX_STEPS];
    u32 steps;
} input;

static void run(void *unused)
{
    (void)unused;
    last_table = TABLES;
    last_index = 0;
    shadow_fences = input.start.fences & 1;
    change_mode(modes[input.start.mode % 3], true);
    put_code();
    for (u32 i = 0; i < input.steps && vm.alive; i++) {
        take_step(&input.step[i]);
        v->inject.valid = false;
        tlb_flushes();
        if (!vm.alive)
            break;
        tlb_check(v);
        history_note(v);
        history_check(v);
        books_check(&vm.shadow);
        books_check_leaves(v);
    }
}

static void read_input(const u8 *data, size_t size)
{
    size_t head = min_u64(size, sizeof(input.start));
    size_t rest = min_u64(size - head, sizeof(input.step));

    memset(&input, 0, sizeof(input));
    memcpy(&input.start, data, head);
    memcpy(input.step, data + head, rest);
    input.steps = (u32)(rest / sizeof(struct step));
}

int fuzz_one(const u8 *data, size_t size)
{
    static const char *const args[] = {MEMORY "32", MEMORY "33", MEMORY "40", MEMORY "56"};
    u64 frames = host_frames_free();
    char why[200];

    read_input(data, size);
    host_trace_start();
    host_console_clear();
    fake_forget();
    tlb_empty();
    FUZZ_CHECK(rig_create(&vm, 1, args[input.start.pages % 4], why, sizeof(why)) == 0);
    vm.quiet = true;
    rig_mode(&vm, RIG_FLAT32);
    v->state = VCPU_RUNNING;
    v->loaded = true;
    if (host_panics(run, NULL))
        fuzz_fail(__FILE__, __LINE__, host_panic_text());
    v->loaded = false;
    vm_destroy(&vm);
    FUZZ_CHECK(host_frames_free() == frames);
    return 0;
}

/* Steps of any kind in each mode; what follows is the number's own. */
size_t fuzz_seed(u32 i, u8 *to)
{
    u64 random = (i + 1) * 0x9e3779b97f4a7c15ull;
    size_t n = sizeof(struct start) + MAX_STEPS * sizeof(struct step);

    if (i >= 600)
        return 0;
    for (size_t at = 0; at < n; at++) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        to[at] = (u8)(random >> 33);
    }
    to[0] = (u8)i;
    return n;
}
