/*
 * The fields of the VMCS in words, from the one list, and all of them on the
 * console: for an entry that was refused and that no rule explains.
 * Source: Intel SDM vol. 3D, appendix B.
 */
#include "kernel/console.h"
#include "vmm/vmx/vmx.h"

static const struct {
    u32 field;
    const char *words;
} fields[] = {
#define VMCS(name, encoding, words) {encoding, words},
#include "vmm/vmx/vmcs.def"
#undef VMCS
};

const char *vmcs_words(u32 field)
{
    for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
        if (fields[i].field == field)
            return fields[i].words;
    return "a field of no name";
}

void vmx_dump(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
        console_print("%04x %s: %#lx\n", fields[i].field, fields[i].words,
                      vmcs_read(fields[i].field));
}
