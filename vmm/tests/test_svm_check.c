/*
 * svm_check.c and svm_break.c: each rule that VMRUN checks, broken one at a
 * time in a block that is else good, is explained by field, value, section and
 * in words; values next to a broken one are let pass.
 */
#include <string.h>
#include "vmm/mmu/pt_format.h"
#include "vmm/svm/svm.h"
#include "vmm/tests/check.h"

/* 32-bit protected mode without paging, as a Multiboot guest starts. */
static struct vmcb good(void)
{
    struct vmcb b;

    memset(&b, 0, sizeof(b));
    b.efer = EFER_SVME;
    b.intercepts2 = INTERCEPT_VMRUN;
    b.guest_asid = 1;
    b.np_enable = 1;
    b.n_cr3 = 0x1000;
    b.iopm_base_pa = 0x10000;
    b.msrpm_base_pa = 0x20000;
    b.cr0 = 0x11;
    b.dr6 = 0xffff0ff0;
    b.dr7 = 0x400;
    b.g_pat = 0x0007040600070406ull;
    b.seg[SEG_CS].attrib = 0xc9b;
    return b;
}

static struct vmcb good_long(void)
{
    struct vmcb b = good();

    b.efer |= 0x500;
    b.cr0 = 0x80000011;
    b.cr4 = 0x20;
    b.cr3 = 0x1000;
    b.seg[SEG_CS].attrib = 0xa9b;
    return b;
}

static void test_good(void)
{
    struct vmcb flat = good(), paged = good_long();
    struct exit x = {0};

    check_about("good blocks");
    CHECK(!svm_check(&flat, &x));
    CHECK(!svm_check(&paged, &x));
    CHECK(x.fail.field == NULL);
}

/* break= names, and what is to be said of each. part: a piece of the words. */
static const struct {
    const char *name, *field, *section, *part;
    size_t offset;
    u8 width;
} rules[] = {
    {"asid", "ASID", "15.5.1", "0", offsetof(struct vmcb, guest_asid), 4},
    {"vmrun", "intercept VMRUN", "15.5.1", "VMRUN", offsetof(struct vmcb, intercepts2), 4},
    {"svme", "EFER", "15.5.1", "SVME", offsetof(struct vmcb, efer), 8},
    {"nw", "CR0", "15.5.1", "NW", offsetof(struct vmcb, cr0), 8},
    {"cr0", "CR0", "15.5.1", "63 to 32", offsetof(struct vmcb, cr0), 8},
    {"cr3", "CR3", "15.5.1", "reserved", offsetof(struct vmcb, cr3), 8},
    {"cr4", "CR4", "15.5.1", "reserved", offsetof(struct vmcb, cr4), 8},
    {"dr6", "DR6", "15.5.1", "63 to 32", offsetof(struct vmcb, dr6), 8},
    {"dr7", "DR7", "15.5.1", "63 to 32", offsetof(struct vmcb, dr7), 8},
    {"efer", "EFER", "15.5.1", "reserved", offsetof(struct vmcb, efer), 8},
    {"pae", "CR4", "15.5.1", "PAE", offsetof(struct vmcb, cr4), 8},
    {"pe", "CR0", "15.5.1", "PE", offsetof(struct vmcb, cr0), 8},
    {"cs", "CS.attrib", "15.5.1", "CS.D", offsetof(struct vmcb, seg[SEG_CS].attrib), 2},
    {"iopm", "IOPM_BASE_PA", "15.5.1", "I/O permission", offsetof(struct vmcb, iopm_base_pa), 8},
    {"msrpm", "MSRPM_BASE_PA", "15.5.1", "MSR permission", offsetof(struct vmcb, msrpm_base_pa), 8},
    {"event", "EVENTINJ", "15.20", "injected", offsetof(struct vmcb, eventinj), 8},
};

static u64 field_value(const struct vmcb *b, u32 rule)
{
    u64 value = 0;

    memcpy(&value, (const u8 *)b + rules[rule].offset, rules[rule].width);
    return value;
}

static void test_breaks(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(rules); i++) {
        struct vmcb b = good();
        struct exit x = {0};
        check_about("break=%s", rules[i].name);
        CHECK(svm_break(&b, rules[i].name));
        if (!CHECK(svm_check(&b, &x)))
            continue;
        CHECK_STR(x.fail.field, rules[i].field);
        CHECK_STR(x.fail.section, rules[i].section);
        CHECK_EQ(x.fail.value, field_value(&b, i));
        CHECK(strstr(x.fail.why, rules[i].part) != NULL);
    }
    struct vmcb b = good(), same = b;
    check_about("no such name");
    CHECK(!svm_break(&b, "nothing"));
    CHECK(!svm_break(&b, ""));
    CHECK_MEM(&b, &same, sizeof(b));
}

/* One field at the edge of a rule. field: who is to be blamed, NULL: nobody. */
static void check_edge(const char *what, struct vmcb b, const char *field)
{
    struct exit x = {0};

    check_about("%s", what);
    CHECK_EQ(svm_check(&b, &x), field != NULL);
    CHECK_STR(x.fail.field, field);
}

#define WITH(base, field, value)                                                                   \
    ({                                                                                             \
        struct vmcb b_ = base();                                                                   \
        b_.field = (value);                                                                        \
        b_;                                                                                        \
    })

static void test_edges(void)
{
    check_edge("CR3 in long mode, last page", WITH(good_long, cr3, 0xfffffff000), NULL);
    check_edge("CR3 in long mode, 40 bits", WITH(good_long, cr3, 1ull << 40), "CR3");
    check_edge("CR3 without paging", WITH(good, cr3, 1ull << 60), NULL);
    check_edge("NW with CD", WITH(good, cr0, 0x60000011), NULL);
    check_edge("NW without CD", WITH(good, cr0, 0x20000011), "CR0");
    check_edge("CR0 bit 31 without LME", WITH(good, cr0, 0x80000011), NULL);
    check_edge("CR0 bit 32", WITH(good, cr0, 0x100000011), "CR0");
    check_edge("LME without paging or PAE", WITH(good, efer, 0x1100), NULL);
    check_edge("L and D in long mode", WITH(good_long, seg[SEG_CS].attrib, 0xe9b), "CS.attrib");
    check_edge("L and D without long mode", WITH(good, seg[SEG_CS].attrib, 0xe9b), NULL);
    check_edge("I/O map up to the end", WITH(good, iopm_base_pa, (1ull << 40) - 0x3000), NULL);
    check_edge("I/O map past the end", WITH(good, iopm_base_pa, (1ull << 40) - 0x2000),
               "IOPM_BASE_PA");
    check_edge("I/O map at the top of all", WITH(good, iopm_base_pa, ~0xfffull), "IOPM_BASE_PA");
    check_edge("MSR map up to the end", WITH(good, msrpm_base_pa, (1ull << 40) - 0x2000), NULL);
    check_edge("MSR map past the end", WITH(good, msrpm_base_pa, (1ull << 40) - 0x1000),
               "MSRPM_BASE_PA");
    check_edge("MSR map at the top of all", WITH(good, msrpm_base_pa, ~0xfffull), "MSRPM_BASE_PA");
    check_edge("nested root, last page", WITH(good, n_cr3, 0xfffffff000), NULL);
    check_edge("nested root, 40 bits", WITH(good, n_cr3, 1ull << 40), "N_CR3");
    check_edge("PAT, all types", WITH(good, g_pat, 0x0107060504010100), NULL);
    check_edge("PAT, type 2", WITH(good, g_pat, 0x0200000000000000), "G_PAT");
    check_edge("PAT, type 3", WITH(good, g_pat, 3), "G_PAT");
    check_edge("PAT, a reserved bit", WITH(good, g_pat, 0x800), "G_PAT");
}

/* The same edges on a processor with 36 physical address bits, as CPUID may say. */
static void test_width(void)
{
    u8 bits = pt_phys_bits;

    pt_phys_bits = 36;
    check_edge("CR3, last page of 36 bits", WITH(good_long, cr3, 0xffffff000), NULL);
    check_edge("CR3, 36 bits", WITH(good_long, cr3, 1ull << 36), "CR3");
    check_edge("nested root, 36 bits", WITH(good, n_cr3, 1ull << 36), "N_CR3");
    check_edge("I/O map past 36 bits", WITH(good, iopm_base_pa, (1ull << 36) - 0x2000),
               "IOPM_BASE_PA");
    check_edge("MSR map past 36 bits", WITH(good, msrpm_base_pa, (1ull << 36) - 0x1000),
               "MSRPM_BASE_PA");
    pt_phys_bits = bits;
}

/* 15.20: which types and vectors can be injected. */
static void test_events(void)
{
    static const bool type_ok[8] = {true, false, true, true, true, false, false, false};

    for (u64 type = 0; type < 8; type++) {
        check_about("event type %llu", (unsigned long long)type);
        u64 vector = type == EV_NMI ? 2 : 13;
        struct vmcb b = WITH(good, eventinj, EVENT_VALID | type << 8 | vector);
        struct exit x = {0};
        CHECK_EQ(svm_check(&b, &x), !type_ok[type]);
        b.eventinj &= ~EVENT_VALID;
        CHECK(!svm_check(&b, &x));
    }
    for (u64 vector = 0; vector < 256; vector++) {
        struct vmcb b = WITH(good, eventinj, EVENT_VALID | EV_EXCEPTION << 8 | vector);
        struct exit x = {0};
        check_about("exception %llu", (unsigned long long)vector);
        CHECK_EQ(svm_check(&b, &x), vector == 2 || vector > 31);
    }
    check_edge("any interrupt vector", WITH(good, eventinj, EVENT_VALID | 0xff), NULL);
}

int main(void)
{
    test_good();
    test_breaks();
    test_edges();
    test_width();
    test_events();
    return check_done("svm_check");
}
