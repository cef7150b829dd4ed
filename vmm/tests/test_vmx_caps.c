/*
 * vmx_caps.c: control words rounded to what a capability MSR allows, and every
 * case of IA32_FEATURE_CONTROL. Intel SDM vol. 3C, 31.5.1; vol. 3D, A.3.
 */
#include "vmm/tests/check.h"
#include "vmm/tests/host_vmcs.h"

static u64 msr(u32 must, u32 may)
{
    return must | (u64)may << 32;
}

static void test_rounding(void)
{
    u32 word = 0;

    check_about("rounding");
    CHECK_EQ(vmx_round(msr(0x16, 0x7f), 0x01, 0, &word), 0);
    CHECK_EQ(word, 0x17); /* what must be 1, too */
    CHECK_EQ(vmx_round(msr(0, 0xffffffff), 0x80000000, 0, &word), 0);
    CHECK_EQ(word, 0x80000000);
    CHECK_EQ(vmx_round(msr(0x16, 0x3f), 0x40, 0, &word), (u64)-ENOTSUP); /* may not be 1 */
    CHECK_EQ(vmx_round(msr(0x16, 0x7f), 0x41, 0x02, &word), (u64)-ENOTSUP); /* must not */
    CHECK_EQ(vmx_round(msr(0x16, 0x7f), 0x41, 0x08, &word), 0);
    CHECK_EQ(word, 0x57);
}

/* Bit 0 lock, 1 VMX in SMX, 2 VMX outside it. */
static void test_feature_control(void)
{
    static const struct {
        u64 now, then;
        bool allowed;
    } cases[] = {
        {0, 5, true},    /* nobody has decided: allow and lock */
        {2, 7, true},    /* what was allowed stays so */
        {4, 5, true},    /* allowed, not locked */
        {5, 5, true},    /* locked by the firmware: not to be written */
        {7, 7, true},    /* so are all bits */
        {1, 1, false},   /* locked without: no way but the firmware's set-up */
        {3, 3, false},   /* in SMX alone */
        {0xff05, 0xff05, true}, /* SENTER's bits are not ours */
        {0xff00, 0xff05, true},
    };

    for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
        u64 then = 0;
        check_about("IA32_FEATURE_CONTROL %#llx", (unsigned long long)cases[i].now);
        CHECK_EQ(vmx_lock(cases[i].now, &then), cases[i].allowed ? 0 : (u64)-ENOTSUP);
        CHECK_EQ(then, cases[i].then);
    }
}

int main(void)
{
    test_rounding();
    test_feature_control();
    return check_done("vmx_caps");
}
