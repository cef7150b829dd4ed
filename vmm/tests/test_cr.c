/*
 * cr.c: which writes to CR0, CR3, CR4 and EFER are #GP, what a guest reads
 * back, and the way into long mode and out of it.
 */
#include "vmm/cpubits.h"
#include "vmm/cr.h"
#include "vmm/tests/check.h"
#include "vmm/tests/rig.h"

static struct vm vm;
static struct vcpu *const v = &vm.vcpu;

/* The four registers before, a write, and what is to come of it. */
struct row {
    const char *what;
    u64 cr0, cr4, efer;
    u64 value;
    bool ok;
    u64 after;
};

static void set(const struct row *row)
{
    hv_set(v, HV_CR0, row->cr0);
    hv_set(v, HV_CR4, row->cr4);
    hv_set(v, HV_EFER, row->efer);
    hv_set(v, HV_CR3, 0x1000);
    fake_forget();
}

/* A refused write changes nothing; one that is done flushes. */
static void check_row(const struct row *row, bool (*write)(struct vcpu *, u64), enum hv_reg r)
{
    u64 before[HV_REG_COUNT];

    check_about("%s", row->what);
    set(row);
    for (u32 i = 0; i < HV_REG_COUNT; i++)
        before[i] = hv_get(v, i);
    CHECK_EQ(write(v, row->value), row->ok);
    if (row->ok) {
        CHECK_EQ(hv_get(v, r), row->after);
        CHECK(fake_count(FAKE_FLUSH) > 0);
        return;
    }
    for (u32 i = 0; i < HV_REG_COUNT; i++)
        CHECK_EQ(hv_get(v, i), before[i]);
}

#define PAGED (CR0_PE | CR0_ET | CR0_PG)
#define LONG (EFER_LME | EFER_LMA)

static void test_cr0(void)
{
    static const struct row rows[] = {
        {"ET is always 1", CR0_ET, 0, 0, CR0_PE, true, CR0_PE | CR0_ET},
        {"unknown bits read 0", CR0_ET, 0, 0, CR0_PE | 0x1ffafff0, true, CR0_PE | 0x30},
        {"upper half", CR0_ET, 0, 0, 1ull << 32 | CR0_PE, false, 0},
        {"bit 63", CR0_ET, 0, 0, 1ull << 63, false, 0},
        {"PG without PE", CR0_ET, 0, 0, CR0_PG, false, 0},
        {"NW without CD", CR0_ET, 0, 0, CR0_PE | CR0_NW, false, 0},
        {"NW with CD", CR0_ET, 0, 0, CR0_NW | CR0_CD, true, CR0_NW | CR0_CD | CR0_ET},
        {"CD alone", CR0_ET, 0, 0, CR0_CD, true, CR0_CD | CR0_ET},
        {"PE cleared under PG", PAGED, 0, 0, CR0_PG, false, 0},
        {"paging with 32-bit tables", CR0_ET, 0, 0, CR0_PE | CR0_PG, true, PAGED},
        {"paging with LME but no PAE", CR0_PE | CR0_ET, 0, EFER_LME, PAGED, false, 0},
        {"paging with LME and PAE", CR0_PE | CR0_ET, CR4_PAE, EFER_LME, PAGED, true, PAGED},
    };

    rig_mode(&vm, RIG_FLAT32);
    for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
        check_row(&rows[i], cr_write_0, HV_CR0);
}

static void test_cr3(void)
{
    static const struct row rows[] = {
        {"any root", PAGED, 0, 0, 0xfffff018, true, 0xfffff018},
        {"reserved bits in long mode", PAGED, CR4_PAE, LONG, 1ull << 52 | 0x1000, false, 0},
        {"bit 63 in long mode", PAGED, CR4_PAE, LONG, 1ull << 63, false, 0},
        {"beyond physical addresses", PAGED, CR4_PAE, LONG, 1ull << 40, false, 0},
        {"the last physical page", PAGED, CR4_PAE, LONG, 0xfffffff000, true, 0xfffffff000},
    };

    for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
        check_row(&rows[i], cr_write_3, HV_CR3);
}

static void test_cr4(void)
{
    static const struct row rows[] = {
        {"what CPUID offers", CR0_ET, 0, 0, 0x7ff, true, 0x7ff},
        {"UMIP", CR0_ET, 0, 0, 1 << 11, false, 0},
        {"LA57", CR0_ET, 0, 0, 1 << 12, false, 0},
        {"FSGSBASE", CR0_ET, 0, 0, 1 << 16, false, 0},
        {"PCIDE", CR0_ET, 0, 0, 1 << 17, false, 0},
        {"OSXSAVE", CR0_ET, 0, 0, 1 << 18, false, 0},
        {"SMEP", CR0_ET, 0, 0, 1 << 20, false, 0},
        {"SMAP", CR0_ET, 0, 0, 1 << 21, false, 0},
        {"upper half", CR0_ET, 0, 0, 1ull << 40, false, 0},
        {"PAE cleared in long mode", PAGED, CR4_PAE, LONG, 0, false, 0},
        {"PAE kept in long mode", PAGED, CR4_PAE, LONG, CR4_PAE | 1, true, CR4_PAE | 1},
        {"PAE cleared in PAE paging", PAGED, CR4_PAE, 0, 0, true, 0},
    };

    for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
        check_row(&rows[i], cr_write_4, HV_CR4);
}

static void test_efer(void)
{
    static const struct row rows[] = {
        {"SCE and NXE", CR0_ET, 0, 0, 0x801, true, 0x801},
        {"LME without paging", CR0_ET, 0, 0, EFER_LME, true, EFER_LME},
        {"LME set under paging", PAGED, CR4_PAE, 0, EFER_LME, false, 0},
        {"LME cleared under paging", PAGED, CR4_PAE, LONG, EFER_LMA, false, 0},
        {"LMA cannot be set", CR0_ET, 0, 0, LONG, true, EFER_LME},
        {"LMA cannot be cleared", PAGED, CR4_PAE, LONG, EFER_LME | 1, true, LONG | 1},
        {"SVME", CR0_ET, 0, 0, 1 << 12, false, 0},
        {"LMSLE", CR0_ET, 0, 0, 1 << 13, false, 0},
        {"FFXSR", CR0_ET, 0, 0, 1 << 14, false, 0},
        {"bit 1", CR0_ET, 0, 0, 2, false, 0},
        {"upper half", CR0_ET, 0, 0, 1ull << 50, false, 0},
    };

    for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
        check_row(&rows[i], cr_write_efer, HV_EFER);
}

/* As 64-bit guests do it: PAE, LME, PG; then a far jump sets CS.L. */
static void test_long_mode(void)
{
    struct seg code64 = {8, 0xa9b, 0xffffffff, 0}, code32 = {16, 0xc9b, 0xffffffff, 0};

    check_about("into long mode and out of it");
    rig_mode(&vm, RIG_FLAT32);
    CHECK(cr_write_4(v, CR4_PAE));
    CHECK(cr_write_3(v, RIG_ROOT));
    CHECK(cr_write_efer(v, EFER_LME));
    CHECK_EQ(hv_get(v, HV_EFER), EFER_LME);
    CHECK(cr_write_0(v, CR0_PE | CR0_PG));
    CHECK_EQ(hv_get(v, HV_EFER), LONG);
    CHECK_EQ(vcpu_mode(v), 4);
    hv_set_seg(v, SEG_CS, &code64);
    CHECK_EQ(vcpu_mode(v), 8);
    CHECK(!cr_write_0(v, CR0_PE)); /* only from compatibility mode */
    CHECK_EQ(hv_get(v, HV_EFER), LONG);
    hv_set_seg(v, SEG_CS, &code32);
    CHECK(cr_write_0(v, CR0_PE));
    CHECK_EQ(hv_get(v, HV_EFER), EFER_LME);
    CHECK(cr_write_efer(v, 0));
    CHECK(cr_write_0(v, CR0_PE | CR0_PG));
    CHECK_EQ(hv_get(v, HV_EFER), 0);
}

/* CS.L means nothing before long mode: with it, entering would run into a
 * mode that nobody chose (and with CS.D into a refused entry). */
static void test_code_segment(void)
{
    struct seg code = {8, 0xe9b, 0xffffffff, 0};

    check_about("long mode with CS.L set");
    rig_mode(&vm, RIG_FLAT32);
    hv_set(v, HV_CR4, CR4_PAE);
    hv_set(v, HV_EFER, EFER_LME);
    hv_set_seg(v, SEG_CS, &code);
    CHECK(!cr_write_0(v, CR0_PE | CR0_PG));
    CHECK_EQ(hv_get(v, HV_EFER), EFER_LME);
}

int main(void)
{
    rig_begin(&vm, "");
    test_cr0();
    test_cr3();
    test_cr4();
    test_efer();
    test_long_mode();
    test_code_segment();
    rig_end(&vm);
    return check_done("cr");
}
