/*
 * The keyboard controller: commands to the controller (port 0x64) and to the
 * keyboard (port 0x60), and their answers. There is no mouse, and an answer
 * raises no interrupt: guests that only look for a key poll.
 * Source: Intel UPI-42 (8042) as in the IBM PC AT.
 */
#include "vmm/dev/kbd.h"

#include "kernel/panic.h"

#define DATA_PORT   0x60
#define STATUS_PORT 0x64

#define STATUS_FULL     0x01
#define STATUS_TESTED   0x04 /* the self test passed, as after a BIOS */
#define STATUS_UNLOCKED 0x10

enum {
    READ_MODE = 0x20,
    WRITE_MODE = 0x60,
    SELF_TEST = 0xaa,
    TEST_KEYBOARD = 0xab,
    READ_OUTPUT = 0xd0,
    WRITE_OUTPUT = 0xd1,
    PULSE = 0xf0,
};
#define SELF_TEST_PASSED 0x55
#define OUTPUT_NO_RESET  0x01
#define OUTPUT_A20       0x02
#define MODE_AT_START    0x45 /* translate, tested, interrupt */

enum {
    KEYBOARD_LEDS = 0xed,
    KEYBOARD_ECHO = 0xee,
    KEYBOARD_SCANCODES = 0xf0,
    KEYBOARD_IDENTIFY = 0xf2,
    KEYBOARD_RATE = 0xf3,
    KEYBOARD_RESET = 0xff,
};
#define KEYBOARD_ACK    0xfa
#define KEYBOARD_PASSED 0xaa

static void answer(struct kbd *k, u8 value)
{
    if (k->count < KBD_QUEUE)
        k->queue[k->count++] = value;
}

static u8 next_answer(struct kbd *k)
{
    u8 value = k->queue[0];

    if (!k->count)
        return 0; /* nothing there */
    k->count--;
    for (u32 i = 0; i < k->count; i++)
        k->queue[i] = k->queue[i + 1];
    return value;
}

static void set_output(struct kbd *k, u8 value)
{
    k->output = value | OUTPUT_NO_RESET | OUTPUT_A20;
    if (!(value & OUTPUT_NO_RESET))
        k->reset(k->opaque);
}

static void controller_command(struct kbd *k, u8 command)
{
    k->command = command == WRITE_MODE || command == WRITE_OUTPUT ? command : 0;
    if (command == READ_MODE)
        answer(k, k->mode);
    else if (command == SELF_TEST)
        answer(k, SELF_TEST_PASSED);
    else if (command == TEST_KEYBOARD)
        answer(k, 0);
    else if (command == READ_OUTPUT)
        answer(k, k->output);
    else if (command >= PULSE && !(command & OUTPUT_NO_RESET))
        k->reset(k->opaque); /* a 0 bit pulses that output low */
}

static void keyboard_command(struct kbd *k, u8 command)
{
    if (command == KEYBOARD_ECHO) {
        answer(k, KEYBOARD_ECHO);
        return;
    }
    answer(k, KEYBOARD_ACK);
    if (command == KEYBOARD_LEDS || command == KEYBOARD_RATE || command == KEYBOARD_SCANCODES)
        k->argument_of = command;
    else if (command == KEYBOARD_RESET)
        answer(k, KEYBOARD_PASSED);
    else if (command == KEYBOARD_IDENTIFY) {
        answer(k, 0xab); /* an MF2 keyboard */
        answer(k, 0x83);
    }
}

/* A byte to port 0x60 belongs to the controller's command before it, or to the
 * keyboard's. */
static void write_data(struct kbd *k, u8 value)
{
    u8 command = k->command;

    k->command = 0;
    if (command == WRITE_MODE) {
        k->mode = value;
    } else if (command == WRITE_OUTPUT) {
        set_output(k, value);
    } else if (k->argument_of) {
        k->argument_of = 0;
        answer(k, KEYBOARD_ACK);
    } else {
        keyboard_command(k, value);
    }
}

static u32 kbd_in(void *device, u16 port, u8 size)
{
    struct kbd *k = device;
    (void)size;

    if (port == DATA_PORT)
        return next_answer(k);
    return STATUS_UNLOCKED | STATUS_TESTED | (k->count ? STATUS_FULL : 0u);
}

static void kbd_out(void *device, u16 port, u8 size, u32 value)
{
    (void)size;

    if (port == DATA_PORT)
        write_data(device, (u8)value);
    else
        controller_command(device, (u8)value);
}

void kbd_init(struct kbd *k, void (*reset)(void *), void *opaque)
{
    *k = (struct kbd){.mode = MODE_AT_START,
                      .output = OUTPUT_NO_RESET | OUTPUT_A20,
                      .reset = reset,
                      .opaque = opaque};
}

void kbd_attach(struct kbd *k, struct bus *bus)
{
    const struct bus_device data = {"kbd", DATA_PORT, DATA_PORT, 1, kbd_in, kbd_out, k};
    const struct bus_device status = {"kbd", STATUS_PORT, STATUS_PORT, 1, kbd_in, kbd_out, k};

    ASSERT(bus_add(bus, &data) == 0);
    ASSERT(bus_add(bus, &status) == 0);
}
