/*
 * lines: what the interrupt controller promises a guest, tried with two lines
 * that it can raise itself: the timer's (0, a one-shot) and the serial port's
 * (4, more than which the timer is urgent). Each promise is a check of its own.
 * No wait is without end, so that a line that is dead is a failed check.
 * Under tick policy discard a tick that was held back is gone: use another.
 * Arguments: rounds, timer (0: only what needs no timer), tschz.
 */
#include "guests/lib/guest.h"

#define SERIAL_LINE 4
#define IER         0x3f9
#define IIR         0x3fa
#define MCR         0x3fc
#define IER_THRE    0x02
#define MCR_OUT2    0x08

#define COMMAND       0x20
#define READ_IRR      0x0a
#define READ_ISR      0x0b
#define END           0x20
#define END_OF_SERIAL (0x60 | SERIAL_LINE)

#define SHOT    120 /* clocks of the timer: about 100 us */
#define SHOT_US 100

static u64 per_us;                    /* ticks of the TSC */
static volatile u32 seen[2];          /* interrupts of the timer, of the serial port */
static volatile u32 order;            /* 1 + the line of each, four bits for one */
static volatile bool keep;            /* the next handler leaves out its end of interrupt */
static void (*volatile inside)(void); /* done by the next handler before its end */

static void wait_us(u64 us)
{
    u64 until = rdtsc() + us * per_us;
    while (rdtsc() < until)
        cpu_spin(200);
}

static u8 read_register(u8 which)
{
    outb(COMMAND, which);
    return inb(COMMAND);
}

static void raise_serial(void)
{
    outb(MCR, MCR_OUT2);
    outb(IER, IER_THRE);
}

static void lower_serial(void)
{
    inb(IIR);
    outb(IER, 0);
}

static void handle(u8 line)
{
    void (*act)(void) = inside;
    inside = NULL;
    seen[line == SERIAL_LINE] = seen[line == SERIAL_LINE] + 1;
    order = order << 4 | (line + 1u);
    if (line == SERIAL_LINE)
        lower_serial();
    if (act)
        act();
    if (!keep)
        outb(COMMAND, END);
    keep = false;
}

static void on_timer(struct trap_frame *frame)
{
    (void)frame;
    handle(PIT_LINE);
}

static void on_serial(struct trap_frame *frame)
{
    (void)frame;
    handle(SERIAL_LINE);
}

static void shoot(void)
{
    pit_program(PIT_ONE_SHOT, SHOT);
}

/* Nothing pending, nothing in service, both lines open, interrupts on. */
static void begin(void)
{
    interrupts_off();
    lower_serial();
    while (read_register(READ_ISR))
        outb(COMMAND, END);
    seen[0] = seen[1] = order = 0;
    pic_unmask(PIT_LINE);
    pic_unmask(SERIAL_LINE);
    interrupts_on();
}

/* --- A line that is masked, a processor that does not listen -------------------- */

static void try_mask(u32 pause)
{
    begin();
    pic_mask(SERIAL_LINE);
    raise_serial();
    wait_us(pause);
    check("masked", seen[1], 0);
    check("irr", read_register(READ_IRR) & 1u << SERIAL_LINE, 1u << SERIAL_LINE);
    pic_unmask(SERIAL_LINE);
    wait_us(10);
    check("unmasked", seen[1], 1);
}

static void try_flag(u32 pause)
{
    begin();
    interrupts_off();
    raise_serial();
    wait_us(pause);
    check("ifoff", seen[1], 0);
    interrupts_on();
    wait_us(10);
    check("ifon", seen[1], 1);
}

static void try_timer_mask(u32 pause)
{
    begin();
    pic_mask(PIT_LINE);
    shoot();
    wait_us(SHOT_US + pause);
    check("tickmask", seen[0], 0);
    pic_unmask(PIT_LINE);
    wait_us(30);
    check("tickopen", seen[0], 1);
}

/* Both wait while interrupts are off: the more urgent one comes first. */
static void try_order(u32 pause)
{
    begin();
    interrupts_off();
    raise_serial();
    shoot();
    wait_us(SHOT_US + pause);
    interrupts_on();
    wait_us(30);
    check("order", order, (PIT_LINE + 1) << 4 | (SERIAL_LINE + 1));
}

/* --- In service ------------------------------------------------------------------ */

static u32 pause_inside, isr_nested, isr_after, held;
static u8 end_command;

/* In the timer's handler, which came into the serial port's. */
static void look_and_end(void)
{
    isr_nested = read_register(READ_ISR);
    outb(COMMAND, end_command);
    isr_after = read_register(READ_ISR);
}

static void let_timer_in(void)
{
    inside = look_and_end;
    keep = false;
    shoot();
    interrupts_on();
    wait_us(SHOT_US + pause_inside);
    interrupts_off();
}

/* The timer comes into the serial port's handler; what an end of interrupt ends. */
static u32 nested(u8 command)
{
    begin();
    end_command = command;
    isr_nested = isr_after = 0;
    inside = let_timer_in;
    raise_serial();
    wait_us(2 * SHOT_US + pause_inside);
    return isr_after;
}

static void try_end(void)
{
    u32 both = 1u << PIT_LINE | 1u << SERIAL_LINE;
    u32 left = nested(END);
    check("nested", isr_nested, both);
    check("end", left, 1u << SERIAL_LINE);
    left = nested(END_OF_SERIAL);
    check("endnamed", left, 1u << PIT_LINE);
}

/* In the timer's handler: the serial port is less urgent, and has to wait. */
static void raise_inside(void)
{
    raise_serial();
    interrupts_on();
    wait_us(pause_inside);
    interrupts_off();
    held = seen[1];
}

static void try_service(u32 pause)
{
    begin();
    inside = raise_inside;
    shoot();
    wait_us(2 * SHOT_US + pause);
    check("held", held, 0);
    check("freed", seen[1], 1);
    begin();
    keep = true;
    shoot();
    wait_us(SHOT_US + pause);
    shoot();
    wait_us(SHOT_US + pause);
    check("noend", seen[0], 1);
    outb(COMMAND, END);
    wait_us(30);
    check("ended", seen[0], 2);
}

void guest_main(const struct multiboot_info *info)
{
    (void)info;
    args_allow("rounds timer tschz");
    u32 rounds = (u32)args_number("rounds", 3, 1, 1000);
    per_us = args_number("tschz", 1000000000, 1000000, 4000000000u) / 1000000;
    bool timer = args_number("timer", 1, 0, 1);
    struct rng rng = {guest_seed()};
    trap_set(TRAP_IRQ_BASE + PIT_LINE, on_timer);
    trap_set(TRAP_IRQ_BASE + SERIAL_LINE, on_serial);
    for (u32 n = 0; n < rounds; n++) {
        u32 pause = 20 + rng_below(&rng, 100);
        pause_inside = 20 + rng_below(&rng, 100);
        try_mask(pause);
        try_flag(pause);
        if (!timer)
            continue;
        try_timer_mask(pause);
        try_order(pause);
        try_end();
        try_service(pause);
    }
    interrupts_off();
    checkpoint("rounds", rounds);
}
