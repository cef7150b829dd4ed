/*
 * Unit test of a VM's clock: wall and apparent, at every point of a VM's
 * life, and the TSC offset that shows the guest the same.
 */
#include "vmm/tests/check.h"
#include "vmm/tests/host.h"
#include "vmm/time/vclock.h"

static struct vclock clock;

static void check_ns(u64 host_now, u64 wall, u64 apparent)
{
    CHECK_EQ(vclock_ns(&clock, CLOCK_WALL, host_now), wall);
    CHECK_EQ(vclock_ns(&clock, CLOCK_APPARENT, host_now), apparent);
}

static void test_life(void)
{
    vclock_init(&clock, 1000);
    check_about("waits for its first turn");
    vclock_ready(&clock, 1000);
    check_ns(1000, 0, 0);
    check_ns(1500, 500, 0);
    check_about("runs");
    vclock_unready(&clock, 1500);
    check_ns(1500, 500, 0);
    check_ns(1700, 700, 200);
    check_about("waits again, counted once");
    vclock_ready(&clock, 1700);
    vclock_ready(&clock, 1800);
    check_ns(2700, 1700, 200);
    vclock_unready(&clock, 2700);
    vclock_unready(&clock, 9999);
    CHECK_EQ(clock.stolen, 1500);
    check_about("sleeps in HLT: that time is its own");
    check_ns(5000, 4000, 2500);
}

/* vclock_host_ns() is the inverse of vclock_ns() for a VM that runs. */
static void test_inverse(void)
{
    check_about("inverse");
    for (u64 host = 2700; host < 10000; host += 137)
        for (int view = CLOCK_WALL; view <= CLOCK_APPARENT; view++)
            CHECK_EQ(vclock_host_ns(&clock, view, vclock_ns(&clock, view, host)), host);
    CHECK_EQ(vclock_host_ns(&clock, CLOCK_WALL, ~0ull), ~0ull);
    CHECK_EQ(vclock_host_ns(&clock, CLOCK_APPARENT, ~0ull - 10), ~0ull);
}

static u64 guest_tsc(enum clock_view view, u64 host_tsc)
{
    return host_tsc + vclock_tsc_offset(&clock, view);
}

static void test_tsc(void)
{
    check_about("TSC at 1 GHz");
    clock_hz = NS_PER_SEC;
    clock_base = 777;
    CHECK_EQ(guest_tsc(CLOCK_WALL, 777 + 1000), 0);
    CHECK_EQ(guest_tsc(CLOCK_APPARENT, 777 + 5000), 2500);
    check_about("TSC at 4 MHz");
    clock_hz = 4000000;
    vclock_init(&clock, 1000000);
    CHECK_EQ(guest_tsc(CLOCK_APPARENT, 777 + 4000), 0);
    vclock_ready(&clock, 2000000);
    vclock_unready(&clock, 5000000);
    CHECK_EQ(guest_tsc(CLOCK_APPARENT, 777 + 20000), 4000);
    CHECK_EQ(guest_tsc(CLOCK_WALL, 777 + 20000), 16000);
    clock_hz = NS_PER_SEC;
    clock_base = 0;
}

/* Random lives: apparent time is the sum of the spans in which it did not
 * wait, and neither clock runs back. */
static void test_random(void)
{
    u64 rng = 99, host = 50, own = 0, last = 0;
    bool waits = false;

    vclock_init(&clock, host);
    for (u32 i = 0; i < 5000; i++) {
        rng = rng * 6364136223846793005ull + 1442695040888963407ull;
        u64 span = rng >> 44;
        check_about("random step %u", i);
        host += span;
        own += waits ? 0 : span;
        check_ns(host, host - 50, own);
        CHECK(own >= last);
        if (!waits)
            CHECK_EQ(guest_tsc(CLOCK_APPARENT, host), own);
        last = own;
        waits = rng >> 40 & 1;
        if (waits)
            vclock_ready(&clock, host);
        else
            vclock_unready(&clock, host);
    }
}

int main(void)
{
    test_life();
    test_inverse();
    test_tsc();
    test_random();
    return check_done("vclock");
}
