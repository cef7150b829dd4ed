/*
 * The emulator's view of a guest: linear addresses through the guest's page
 * tables, memory where there are slots, nothing where there are none (reads
 * all ones, writes vanish: what a PC does where no device answers). Writes to
 * read-only memory vanish, too: so does a ROM.
 */
#include "vmm/fetch.h"
#include "kernel/cpu.h"
#include "kernel/mem.h"
#include "vmm/vm.h"

enum walk_fault fetch_walk(struct vcpu *v, gva_t a, u8 access, bool set_ad, struct walk *w)
{
    struct guest_paging paging = vcpu_paging(v);

    if (v->vm->shadow.active)
        return shadow_walk_guest(v, &paging, a, access, set_ad, w);
    return walk_guest(&v->vm->mem, &paging, a, access, set_ad, w);
}

/* Linear to physical for one access within a page. Not FAULT_NONE: *fault is due. */
static enum walk_fault translate(struct vcpu *v, u64 linear, u8 access, gpa_t *out,
                                 struct emu_fault *fault)
{
    struct walk w;

    if (vcpu_cpl(v) == 3)
        access |= ACCESS_USER;
    if (v->vm->shadow.active && shadow_translate(&v->vm->shadow, linear, access, out))
        return FAULT_NONE;
    enum walk_fault f = fetch_walk(v, gva(linear), access, true, &w);
    if (f == FAULT_NONE)
        *out = w.gpa;
    else if (f == FAULT_NON_CANONICAL)
        *fault = (struct emu_fault){.vector = 13, .has_error = true};
    else
        *fault =
            (struct emu_fault){.vector = 14, .has_error = true, .error = w.error, .cr2 = linear};
    return f;
}

/* The same for the guest's own accesses: tables that are not there end it, as
 * they do when the processor looks for them. */
static int reach(struct vcpu *v, u64 linear, u8 access, gpa_t *out, struct emu_fault *fault)
{
    enum walk_fault f = translate(v, linear, access, out, fault);

    if (f == FAULT_NO_MEMORY)
        vm_end(v->vm, END_UNSUPPORTED, 0, "a page table for gVA %#lx lies outside its memory",
               linear);
    return f ? -EFAULT : 0;
}

/* One access within a page, to memory or to where there is none for it. */
static void access_page(struct vcpu *v, gpa_t at, void *data, u32 n, bool write)
{
    u64 value = write ? 0 : ~0ull;
    int gone =
        write ? guestmem_write(&v->vm->mem, at, data, n) : guestmem_read(&v->vm->mem, at, data, n);

    if (write)
        memcpy(&value, data, min_u64(n, 8));
    if (!gone && write && v->vm->shadow.active)
        shadow_wrote(v, at, value, n);
    if (!gone)
        return;
    if (!write)
        memset(data, 0xff, n);
    TRACE(mmio, v->vm->id, v->id, .gpa = at.v, .write = write, .size = n, .value = value);
}

static int access_linear(struct vcpu *v, u64 linear, void *data, u32 n, u8 access,
                         struct emu_fault *fault)
{
    gpa_t at;
    int err = reach(v, linear, access, &at, fault);
    if (!err)
        access_page(v, at, data, n, access & ACCESS_WRITE);
    return err;
}

static int emu_check(void *opaque, u64 linear, u32 n, u8 access, struct emu_fault *fault)
{
    gpa_t at;

    (void)n;
    return reach(opaque, linear, access, &at, fault);
}

static int emu_read(void *opaque, u64 linear, void *to, u32 n, struct emu_fault *fault)
{
    return access_linear(opaque, linear, to, n, 0, fault);
}

static int emu_write(void *opaque, u64 linear, const void *from, u32 n, struct emu_fault *fault)
{
    return access_linear(opaque, linear, (void *)from, n, ACCESS_WRITE, fault);
}

static void emu_seg(void *opaque, enum hv_seg s, struct seg *out)
{
    hv_get_seg(opaque, s, out);
}

static u32 emu_port_in(void *opaque, u16 port, u8 size)
{
    struct vcpu *v = opaque;
    u32 value = bus_in(&v->vm->bus, port, size);

    TRACE(io, v->vm->id, v->id, .port = port, .write = false, .size = size, .value = value);
    return value;
}

static void emu_port_out(void *opaque, u16 port, u8 size, u32 value)
{
    struct vcpu *v = opaque;

    if (!v->vm->alive)
        return; /* an iteration before this one ended it */
    TRACE(io, v->vm->id, v->id, .port = port, .write = true, .size = size, .value = value);
    bus_out(&v->vm->bus, port, size, value);
}

/* --- The instruction at RIP --------------------------------------------------------- */

static u64 linear_rip(struct vcpu *v, u8 mode)
{
    struct seg cs;

    if (mode == 8)
        return v->rip;
    hv_get_seg(v, SEG_CS, &cs);
    return (cs.base + v->rip) & 0xffffffff;
}

u64 fetch_linear(struct vcpu *v)
{
    return linear_rip(v, vcpu_mode(v));
}

/* The bytes from there on, as many of the 15 as can be reached. */
static u32 fetch_bytes(struct vcpu *v, u64 linear, u8 code[INSN_MAX])
{
    struct emu_fault fault;
    u32 got = 0;

    while (got < INSN_MAX) {
        u32 n = (u32)min_u64(INSN_MAX - got, PAGE_SIZE - ((linear + got) & PAGE_MASK));
        gpa_t at;
        if (translate(v, linear + got, 0, &at, &fault) != FAULT_NONE ||
            guestmem_read(&v->vm->mem, at, code + got, n) != 0)
            break;
        got += n;
    }
    return got;
}

/* Decoded not long ago. The same bytes in the same mode are the same instruction, whoever
 * executes them, so nothing ever makes one of these wrong. */
#define DECODED 32 /* a power of two */
union code {
    u8 byte[16]; /* what lies behind the n bytes is 0 */
    u64 word[2];
};
static struct {
    union code code;
    u32 n;
    struct insn insn; /* its mode: 0, there is none */
} decoded[DECODED];

static int decode(const union code *code, u32 n, u8 mode, u64 rip, struct insn *insn)
{
    u32 i = rip % DECODED;

    if (decoded[i].insn.mode != mode || decoded[i].n != n ||
        decoded[i].code.word[0] != code->word[0] || decoded[i].code.word[1] != code->word[1]) {
        int err = insn_decode(code->byte, n, mode, insn);
        if (err)
            return err == -ERANGE ? -EFAULT : err;
        decoded[i].code = *code;
        decoded[i].n = n;
        decoded[i].insn = *insn;
    }
    *insn = decoded[i].insn;
    return 0;
}

/* All 15 bytes at once, where the shadow knows the page: they were just executed. */
static bool quick_bytes(struct vcpu *v, u64 linear, union code *code)
{
    const void *there;

    if (!v->vm->shadow.active || (linear & PAGE_MASK) > PAGE_SIZE - sizeof(*code))
        return false;
    there = shadow_code(&v->vm->shadow, linear);
    if (!there)
        return false;
    __builtin_memcpy(code, there, sizeof(*code)); /* at any address, in two loads */
    code->byte[INSN_MAX] = 0;
    return true;
}

int fetch_insn(struct vcpu *v, struct insn *insn)
{
    union code code = {.word = {0, 0}};
    u8 mode = vcpu_mode(v);
    u64 linear = linear_rip(v, mode);
    u32 n = quick_bytes(v, linear, &code) ? INSN_MAX : fetch_bytes(v, linear, code.byte);

    return n ? decode(&code, n, mode, v->rip, insn) : -EFAULT;
}

bool fetch_needed(struct vcpu *v, struct insn *insn)
{
    int err = fetch_insn(v, insn);

    if (err == -EINVAL)
        vcpu_raise_ud(v);
    else if (err)
        vm_end(v->vm, END_UNSUPPORTED, 0, "cannot read the instruction at rip %#lx", v->rip);
    return !err;
}

static void raise(struct vcpu *v, const struct emu_fault *f)
{
    if (f->vector == 14)
        vcpu_raise_pf(v, f->cr2, f->error);
    else
        vcpu_raise(v, f->vector, f->has_error, f->error);
}

static struct emu_ctx context(struct vcpu *v)
{
    return (struct emu_ctx){.opaque = v,
                            .gpr = v->gpr,
                            .rflags = &v->rflags,
                            .rip = v->rip,
                            .mode = vcpu_mode(v),
                            .protected_mode = vcpu_protected(v),
                            .seg = emu_seg,
                            .check = emu_check,
                            .read = emu_read,
                            .write = emu_write,
                            .port_in = emu_port_in,
                            .port_out = emu_port_out};
}

static void not_emulated(struct vcpu *v, const struct insn *insn)
{
    vm_end(v->vm, END_UNSUPPORTED, 0,
           "%s at rip %#lx touches memory that is not there or read-only, and is not emulated",
           insn_name(insn->op), v->rip);
}

int fetch_execute(struct vcpu *v, const struct insn *insn)
{
    struct emu_ctx ctx = context(v);
    struct emu_fault fault = {0};
    int err = emulate_insn(&ctx, insn, &fault);

    if (err == 0)
        vcpu_advance(v, insn->len);
    else if (err == -EFAULT)
        raise(v, &fault);
    return err; /* -EBUSY: a part of a REP is done; it goes on at the next entry */
}

void fetch_emulate(struct vcpu *v, const struct insn *insn)
{
    if (fetch_execute(v, insn) == -ENOTSUP)
        not_emulated(v, insn);
}

/* --- An operand's address -------------------------------------------------------- */

/* What an instruction would read, noted and not read. */
struct noted {
    struct vcpu *v;
    u64 linear;
};

static int note_read(void *opaque, u64 linear, void *to, u32 n, struct emu_fault *fault)
{
    (void)fault;
    memset(to, 0, n);
    ((struct noted *)opaque)->linear = linear;
    return 0;
}

static void noted_seg(void *opaque, enum hv_seg s, struct seg *out)
{
    hv_get_seg(((struct noted *)opaque)->v, s, out);
}

/* One byte, read by a MOV into a register of no guest. */
bool fetch_address(struct vcpu *v, const struct insn *insn, u64 *linear)
{
    struct noted noted = {.v = v};
    struct emu_ctx ctx = context(v);
    struct emu_fault fault;
    struct insn load = *insn;
    u64 gpr[GPR_COUNT];

    memcpy(gpr, v->gpr, sizeof(gpr));
    ctx.gpr = gpr;
    ctx.opaque = &noted;
    ctx.read = note_read;
    ctx.seg = noted_seg;
    load.op = INSN_MOV;
    load.opsize = load.srcsize = 1;
    load.dst = PLACE_REG;
    load.src = PLACE_MEM;
    load.reg = GPR_RAX;
    load.rm_dst = false;
    bool there = emulate_insn(&ctx, &load, &fault) == 0;
    *linear = noted.linear;
    return there;
}

/* Read like the operand of a MOV, into a register of no guest. */
bool fetch_word(struct vcpu *v, const struct insn *insn, u16 *word)
{
    struct emu_ctx ctx = context(v);
    struct emu_fault fault = {0};
    struct insn load = *insn;
    u64 gpr[GPR_COUNT];

    *word = (u16)v->gpr[insn->rm_reg & 15];
    if (insn->src == PLACE_REG || insn->dst == PLACE_REG)
        return true;
    memcpy(gpr, v->gpr, sizeof(gpr));
    ctx.gpr = gpr;
    load.op = INSN_MOV;
    load.opsize = 2;
    load.dst = PLACE_REG;
    load.src = PLACE_MEM;
    load.reg = GPR_RAX;
    int err = emulate_insn(&ctx, &load, &fault);
    if (err == -EFAULT)
        raise(v, &fault);
    else if (err)
        not_emulated(v, insn);
    *word = (u16)gpr[GPR_RAX];
    return !err;
}

bool fetch_system(struct vcpu *v, u64 linear, void *data, u32 n, bool write)
{
    u32 first = (u32)min_u64(n, PAGE_SIZE - (linear & PAGE_MASK));
    u8 access = write ? ACCESS_WRITE : 0;
    struct emu_fault fault;

    if (access_linear(v, linear, data, first, access, &fault) == 0 &&
        (first == n ||
         access_linear(v, linear + first, (u8 *)data + first, n - first, access, &fault) == 0))
        return true;
    if (v->vm->alive)
        raise(v, &fault);
    return false;
}
