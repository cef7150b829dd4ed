/*
 * A page of code is written for each instruction: save the host's registers,
 * load those of the test, the instruction, store them, restore the host's.
 * State and code lie below 2 GiB, so that they can be addressed without any
 * register.
 */
#include <string.h>
#include <sys/mman.h>
#include "vmm/tests/native.h"

static struct native_state *state;
static u8 *code_page, *at;
static u64 insn_address;

#ifdef __x86_64__
void *native_alloc(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE | PROT_EXEC,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}
#else
void *native_alloc(size_t n)
{
    (void)n;
    return NULL;
}
#endif

static void emit(const void *bytes, size_t n)
{
    memcpy(at, bytes, n);
    at += n;
}

/* An instruction whose operand is a field of *state, at its absolute address. */
static void emit_absolute(u8 rex, u8 opcode, u8 reg, const void *field)
{
    u32 address = (u32)(uintptr_t)field;
    u8 bytes[4] = {(u8)(rex | (reg & 8 ? 4 : 0)), opcode, (u8)((reg & 7) << 3 | 4), 0x25};

    emit(bytes, 4);
    emit(&address, 4);
}

#define EMIT(...) emit((const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))
enum { OP_LOAD = 0x8b, OP_STORE = 0x89, OP_PUSH = 0xff, OP_POP = 0x8f };

static void emit_before(void)
{
    EMIT(0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57); /* rbx rbp r12-r15 */
    emit_absolute(0x48, OP_STORE, 4, &state->host_rsp);
    emit_absolute(0x48, OP_PUSH, 6, &state->rflags);
    EMIT(0x9d); /* popfq */
    for (u8 r = 0; r < 16; r++)
        emit_absolute(0x48, OP_LOAD, r, &state->gpr[r]);
}

static void emit_after(void)
{
    for (u8 r = 0; r < 16; r++)
        emit_absolute(0x48, OP_STORE, r, &state->gpr[r]);
    emit_absolute(0x48, OP_LOAD, 4, &state->host_rsp);
    EMIT(0x9c); /* pushfq */
    emit_absolute(0x48, OP_POP, 0, &state->rflags);
    EMIT(0xfc); /* cld */
    EMIT(0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3);
}

const char *native_init(void)
{
    state = native_alloc(PAGE_SIZE);
    code_page = native_alloc(PAGE_SIZE);
    if (!state || !code_page)
        return "no executable memory below 2 GiB, or the host is no x86-64";
    at = code_page;
    emit_before();
    insn_address = (uintptr_t)at;
    return NULL;
}

u64 native_code_address(void)
{
    return insn_address;
}

void native_run(const u8 *code, u32 n, struct native_state *s)
{
    *state = *s;
    at = (u8 *)insn_address;
    emit(code, n);
    emit_after();
    ((void (*)(void))(uintptr_t)code_page)();
    *s = *state;
}
