/*
 * A small tool around the decoder for grader/tests/test_insn_oracle.py: reads
 * lines "MODE HEXBYTES" (MODE 2, 4 or 8) and prints one line of KEY=VALUE words
 * for each, or "error=NAME".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "vmm/insn.h"

static const char *const places[] = {"none", "reg", "mem", "imm"};

static u32 parse_hex(const char *text, u8 *out, u32 max)
{
    u32 n = 0;
    unsigned byte;

    while (n < max && sscanf(text + 2 * n, "%2x", &byte) == 1)
        out[n++] = (u8)byte;
    return n;
}

static void print_insn(const struct insn *in)
{
    char name[32];

    snprintf(name, sizeof(name), "%s", insn_name(in->op));
    for (char *c = name; *c; c++)
        if (*c == ' ')
            *c = '_';
    printf("op=%s len=%u opsize=%u srcsize=%u addrsize=%u rep=%u lock=%u high=%u dst=%s src=%s "
           "rm_dst=%u reg=%u rm_reg=%u sysreg=%u seg=%u base=%u index=%u scale=%u disp=%lld "
           "imm=%llu\n",
           name, in->len, in->opsize, in->srcsize, in->addrsize, in->rep, in->lock,
           in->high_byte_legacy, places[in->dst], places[in->src], in->rm_dst, in->reg, in->rm_reg,
           in->sysreg, in->seg, in->base, in->index, in->scale, (long long)in->disp,
           (unsigned long long)in->imm);
}

int main(void)
{
    char line[256], hex[200];
    unsigned mode;

    while (fgets(line, sizeof(line), stdin)) {
        u8 code[32];
        struct insn in;
        if (sscanf(line, "%u %199s", &mode, hex) != 2)
            return 2;
        int err = insn_decode(code, parse_hex(hex, code, sizeof(code)), (u8)mode, &in);
        if (err)
            printf("error=%s\n", err == -ERANGE ? "ERANGE" : "EINVAL");
        else
            print_insn(&in);
    }
    return 0;
}
