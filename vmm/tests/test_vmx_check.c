/*
 * vmx_check.c, vmx_check_guest.c and vmx_break.c: each rule of a VM entry, broken
 * one at a time in a VMCS that is else good, is explained by field, section and
 * in words; values next to a broken one are let pass. Whether the processor
 * refuses the same is test_machine_entry.py's business.
 */
#include <string.h>
#include "vmm/tests/check.h"
#include "vmm/tests/host_vmcs.h"

static void test_good(void)
{
    struct exit x = {0};

    check_about("good VMCS");
    host_vmcs_good();
    CHECK(!vmx_check(&x));
    CHECK_STR(x.fail.why, NULL);
    host_vmcs_long();
    CHECK(!vmx_check(&x));
    CHECK_STR(x.fail.why, NULL);
}

/* break= names, and what is to be said of each: the field, the section, a piece of
 * the words. */
static const struct {
    const char *name;
    u32 field;
    const char *section, *part;
} rules[] = {
    {"pin", VMCS_PIN_CONTROLS, "26.2.1.1", "PINBASED"},
    {"proc", VMCS_PROC_CONTROLS, "26.2.1.1", "PROCBASED_CTLS says"},
    {"proc2", VMCS_PROC_CONTROLS2, "26.2.1.1", "PROCBASED_CTLS2"},
    {"exit", VMCS_EXIT_CONTROLS, "26.2.1.2", "EXIT_CTLS"},
    {"entry", VMCS_ENTRY_CONTROLS, "26.2.1.3", "ENTRY_CTLS"},
    {"targets", VMCS_CR3_TARGETS, "26.2.1.1", "at most 4"},
    {"iopm", VMCS_IO_BITMAP_A, "26.2.1.1", "page of physical memory"},
    {"iopm2", VMCS_IO_BITMAP_B, "26.2.1.1", "page of physical memory"},
    {"msrpm", VMCS_MSR_BITMAP, "26.2.1.1", "page of physical memory"},
    {"nmiwindow", VMCS_PROC_CONTROLS, "26.2.1.1", "needs virtual NMIs"},
    {"vnmi", VMCS_PIN_CONTROLS, "26.2.1.1", "need NMI exiting"},
    {"asid", VMCS_VPID, "26.2.1.1", "the host's"},
    {"unrestricted", VMCS_PROC_CONTROLS2, "26.2.1.1", "needs EPT"},
    {"epttype", VMCS_EPTP, "26.2.1.1", "memory type"},
    {"eptlevels", VMCS_EPTP, "26.2.1.1", "levels"},
    {"eptzero", VMCS_EPTP, "26.2.1.1", "reserved bits"},
    {"eptroot", VMCS_EPTP, "26.2.1.1", "physical memory"},
    {"event", VMCS_ENTRY_EVENT, "26.2.1.3", "type 1 or 7"},
    {"eventnmi", VMCS_ENTRY_EVENT, "26.2.1.3", "vector 2"},
    {"eventvector", VMCS_ENTRY_EVENT, "26.2.1.3", "at most 31"},
    {"eventerror", VMCS_ENTRY_EVENT, "26.2.1.3", "error code"},
    {"eventzero", VMCS_ENTRY_EVENT, "26.2.1.3", "bits 30-12"},
    {"eventlength", VMCS_ENTRY_LENGTH, "26.2.1.3", "1 to 15"},
    {"hostcr0", VMCS_HOST_CR0, "26.2.2", "fixes"},
    {"hostcr3", VMCS_HOST_CR3, "26.2.2", "physical memory"},
    {"hostcr4", VMCS_HOST_CR4, "26.2.2", "fixes"},
    {"hostpat", VMCS_HOST_PAT, "26.2.2", "memory type"},
    {"hostefer", VMCS_HOST_EFER, "26.2.2", "reserved bits"},
    {"hostlma", VMCS_HOST_EFER, "26.2.2", "LMA and LME"},
    {"hostpae", VMCS_HOST_CR4, "26.2.4", "CR4.PAE"},
    {"hostrip", VMCS_HOST_RIP, "26.2.4", "canonical"},
    {"hostrpl", VMCS_HOST_DS, "26.2.3", "RPL"},
    {"hostcs", VMCS_HOST_CS, "26.2.3", "null"},
    {"hosttr", VMCS_HOST_TR, "26.2.3", "null"},
    {"hostfs", VMCS_HOST_FS_BASE, "26.2.3", "canonical"},
    {"hosttrbase", VMCS_HOST_TR_BASE, "26.2.3", "canonical"},
    {"hostsysenter", VMCS_HOST_SYSENTER_EIP, "26.2.3", "canonical"},
    {"cr0", VMCS_GUEST_CR0, "26.3.1.1", "fixes"},
    {"pe", VMCS_GUEST_CR0, "26.3.1.1", "PG without PE"},
    {"cr4", VMCS_GUEST_CR4, "26.3.1.1", "fixes"},
    {"lma", VMCS_GUEST_CR0, "26.3.1.1", "needs paging"},
    {"pcide", VMCS_GUEST_CR4, "26.3.1.1", "PCID"},
    {"cr3", VMCS_GUEST_CR3, "26.3.1.1", "physical memory"},
    {"debugctl", VMCS_GUEST_DEBUGCTL, "26.3.1.1", "reserved bits"},
    {"dr7", VMCS_GUEST_DR7, "26.3.1.1", "63-32"},
    {"sysenteresp", VMCS_GUEST_SYSENTER_ESP, "26.3.1.1", "canonical"},
    {"sysentereip", VMCS_GUEST_SYSENTER_EIP, "26.3.1.1", "canonical"},
    {"pat", VMCS_GUEST_PAT, "26.3.1.1", "memory type"},
    {"efer", VMCS_GUEST_EFER, "26.3.1.1", "reserved bits"},
    {"eferlma", VMCS_GUEST_EFER, "26.3.1.1", "IA-32e mode guest"},
    {"cs", VMCS_GUEST_CS_RIGHTS, "26.3.1.2", "accessed"},
    {"csdata", VMCS_GUEST_CS_RIGHTS, "26.3.1.2", "DPL 0"},
    {"csdpl", VMCS_GUEST_CS_RIGHTS, "26.3.1.2", "non-conforming"},
    {"csconforming", VMCS_GUEST_CS_RIGHTS, "26.3.1.2", "conforming code has at most"},
    {"csbase", VMCS_GUEST_CS_BASE, "26.3.1.2", "63-32"},
    {"css", VMCS_GUEST_CS_RIGHTS, "26.3.1.2", "S must be 1"},
    {"csp", VMCS_GUEST_CS_RIGHTS, "26.3.1.2", "present"},
    {"cszero", VMCS_GUEST_CS_RIGHTS, "26.3.1.2", "reserved bits"},
    {"csg", VMCS_GUEST_CS_RIGHTS, "26.3.1.2", "G does not fit"},
    {"ss", VMCS_GUEST_SS_RIGHTS, "26.3.1.2", "writable"},
    {"ds", VMCS_GUEST_DS_RIGHTS, "26.3.1.2", "accessed"},
    {"dsbase", VMCS_GUEST_DS_BASE, "26.3.1.2", "out of range"},
    {"fsbase", VMCS_GUEST_FS_BASE, "26.3.1.2", "out of range"},
    {"tr", VMCS_GUEST_TR, "26.3.1.2", "TI"},
    {"trusable", VMCS_GUEST_TR_RIGHTS, "26.3.1.2", "usable"},
    {"trtype", VMCS_GUEST_TR_RIGHTS, "26.3.1.2", "busy"},
    {"trbase", VMCS_GUEST_TR_BASE, "26.3.1.2", "canonical"},
    {"ldtr", VMCS_GUEST_LDTR, "26.3.1.2", "TI"},
    {"ldtrtype", VMCS_GUEST_LDTR_RIGHTS, "26.3.1.2", "must be 2"},
    {"ldtrbase", VMCS_GUEST_LDTR_BASE, "26.3.1.2", "canonical"},
    {"gdtr", VMCS_GUEST_GDTR_BASE, "26.3.1.3", "canonical"},
    {"idtr", VMCS_GUEST_IDTR_LIMIT, "26.3.1.3", "31-16"},
    {"rip", VMCS_GUEST_RIP, "26.3.1.4", "63-32"},
    {"rflags", VMCS_GUEST_RFLAGS, "26.3.1.4", "reserved bits"},
    {"eventif", VMCS_GUEST_RFLAGS, "26.3.1.4", "only with IF"},
    {"activity", VMCS_GUEST_ACTIVITY, "26.3.1.5", "0 to 3"},
    {"blocking", VMCS_GUEST_BLOCKING, "26.3.1.5", "reserved bits"},
    {"both", VMCS_GUEST_BLOCKING, "26.3.1.5", "do not both"},
    {"sti", VMCS_GUEST_BLOCKING, "26.3.1.5", "only with IF"},
    {"debug", VMCS_GUEST_DEBUG, "26.3.1.5", "reserved bits"},
    {"link", VMCS_LINK_POINTER, "26.3.1.5", "all bits"},
};

static void test_rules(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(rules); i++) {
        struct exit x = {0};
        check_about("break=%s", rules[i].name);
        host_vmcs_good();
        CHECK(vmx_break(rules[i].name));
        if (!CHECK(vmx_check(&x)))
            continue;
        CHECK_STR(x.fail.field, vmcs_words(rules[i].field));
        CHECK_EQ(x.fail.value, vmcs_read(rules[i].field));
        CHECK_STR(x.fail.section, rules[i].section);
        if (!strstr(x.fail.why, rules[i].part))
            CHECK_STR(x.fail.why, rules[i].part);
    }
    check_about("a name that is none");
    CHECK(!vmx_break("nothing"));
}

/* One field of a good VMCS set to a value: is it refused, and what is said? */
static const struct {
    bool wide;
    u32 field;
    u64 value;
    const char *part; /* NULL: let pass */
} values[] = {
    {true, VMCS_GUEST_RIP, 0x00007fffffffffff, NULL},
    {true, VMCS_GUEST_RIP, 0x0000800000000000, "canonical"},
    {true, VMCS_GUEST_RIP, 0xffff800000000000, NULL},
    {true, VMCS_GUEST_CR4, 0x2000, "CR4.PAE"},
    {true, VMCS_GUEST_CR4, 0x22020, NULL}, /* PCIDE */
    {true, VMCS_GUEST_EFER, 0x400, "LMA and LME"},
    {true, VMCS_GUEST_RFLAGS, 0x20002, "8086"},
    {true, VMCS_GUEST_CS_RIGHTS, 0xe09b, "L and D"},
    {true, VMCS_GUEST_TR_RIGHTS, 0x83, "busy"},
    {true, VMCS_GUEST_SS_RIGHTS, RIGHTS_UNUSABLE, NULL},
    {false, VMCS_GUEST_TR_RIGHTS, 0x83, NULL}, /* of the 80286 */
    {false, VMCS_GUEST_RIP, 0xffffffff, NULL},
    {false, VMCS_GUEST_DS_RIGHTS, RIGHTS_UNUSABLE, NULL},
    {false, VMCS_GUEST_DS_RIGHTS, 0xc099, "readable"}, /* execute-only code */
    {false, VMCS_GUEST_DS_RIGHTS, 0xc09b, NULL},
    {false, VMCS_GUEST_DS_RIGHTS, 0x4093, "G does not fit"},
    {false, VMCS_GUEST_LDTR_RIGHTS, RIGHTS_UNUSABLE, NULL},
    {false, VMCS_GUEST_LDTR_RIGHTS, 0x92, "S must be 0"},
    {false, VMCS_GUEST_SS_RIGHTS, 0xc097, NULL}, /* expand-down */
    {false, VMCS_GUEST_CR0, 0x30, NULL},         /* real mode */
    {false, VMCS_GUEST_BLOCKING, 2, NULL},
    {false, VMCS_GUEST_BLOCKING, 4, NULL},
    {false, VMCS_GUEST_RFLAGS, 0x20002, "8086 mode"},
    {false, VMCS_EPTP, 0x100018, NULL}, /* uncached tables, no A and D */
    {false, VMCS_ENTRY_EVENT, EVENT_VALID | EVENT_NMI << 8 | 2, NULL},
    {false, VMCS_ENTRY_EVENT, EVENT_VALID | EVENT_FAULT << 8 | 13, "error code"},
    {false, VMCS_ENTRY_EVENT, EVENT_VALID | EVENT_ERROR_VALID | EVENT_FAULT << 8 | 13, NULL},
    {false, VMCS_ENTRY_EVENT, 0x7fffffff, NULL}, /* not valid: anything */
    {false, VMCS_HOST_GS_BASE, 0xffff800000000000, NULL},
};

static void test_values(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(values); i++) {
        struct exit x = {0};
        check_about("%s = %#llx", vmcs_words(values[i].field),
                    (unsigned long long)values[i].value);
        if (values[i].wide)
            host_vmcs_long();
        else
            host_vmcs_good();
        vmcs_write(values[i].field, values[i].value);
        CHECK_EQ(vmx_check(&x), values[i].part != NULL);
        if (values[i].part && x.fail.why && !strstr(x.fail.why, values[i].part))
            CHECK_STR(x.fail.why, values[i].part);
    }
}

static void test_single_step(void)
{
    struct exit x = {0};

    check_about("BS and TF");
    host_vmcs_good();
    vmcs_write(VMCS_GUEST_BLOCKING, 2);
    vmcs_write(VMCS_GUEST_RFLAGS, 0x102);
    CHECK(vmx_check(&x));
    CHECK_STR(x.fail.field, "guest pending debug exceptions");
    vmcs_write(VMCS_GUEST_DEBUG, 1u << 14);
    CHECK(!vmx_check(&x));
}

static void test_pdptes(void)
{
    struct exit x = {0};

    check_about("PAE's directory pointers");
    host_vmcs_good();
    vmcs_write(VMCS_GUEST_CR0, 0x80000031);
    vmcs_write(VMCS_GUEST_CR4, 0x2020);
    vmcs_write(VMCS_GUEST_PDPTE2, 0x5001);
    vmcs_write(VMCS_GUEST_PDPTE3, 0x5002); /* not present */
    CHECK(!vmx_check(&x));
    vmcs_write(VMCS_GUEST_PDPTE2, 0x5021);
    CHECK(vmx_check(&x));
    CHECK_STR(x.fail.field, "guest PDPTE2");
}

int main(void)
{
    test_good();
    test_rules();
    test_values();
    test_single_step();
    test_pdptes();
    return check_done("vmx_check");
}
