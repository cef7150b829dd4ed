/*
 * Breaking one entry check on purpose: `break=NAME` among a VM's arguments
 * shows a student what each refused entry looks like, and lets the tests see
 * that every one is explained. Names that AMD has too mean the same here.
 * Source: Intel SDM vol. 3C, 26.2, 26.3.1.
 */
#include "kernel/mem.h"
#include "vmm/vmx/vmx.h"

/* Field := field with some bits cleared and others set. */
static const struct {
    const char *name;
    u32 field;
    u64 clear, set;
} breaks[] = {
    /* controls, 26.2.1 */
    {"pin", VMCS_PIN_CONTROLS, 0x16, 0},
    {"proc", VMCS_PROC_CONTROLS, 1u << 13, 0},
    {"proc2", VMCS_PROC_CONTROLS2, 0, 1u << 31},
    {"exit", VMCS_EXIT_CONTROLS, 1u << 0, 0},
    {"entry", VMCS_ENTRY_CONTROLS, 1u << 0, 0},
    {"targets", VMCS_CR3_TARGETS, 0, 5},
    {"iopm", VMCS_IO_BITMAP_A, 0, 1},
    {"iopm2", VMCS_IO_BITMAP_B, 0, 1ull << 52},
    {"msrpm", VMCS_MSR_BITMAP, 0, 1},
    {"nmiwindow", VMCS_PROC_CONTROLS, 0, 1u << 22},
    {"vnmi", VMCS_PIN_CONTROLS, PIN_NMI, 1u << 5},
    {"asid", VMCS_VPID, 0xffff, 0},
    {"unrestricted", VMCS_PROC_CONTROLS2, PROC2_EPT, 0},
    {"epttype", VMCS_EPTP, 7, 5},
    {"eptlevels", VMCS_EPTP, EPTP_LEVELS, 1u << 3},
    {"eptzero", VMCS_EPTP, 0, 1u << 8},
    {"eptroot", VMCS_EPTP, 0, 1ull << 52},
    {"event", VMCS_ENTRY_EVENT, 0x7ff, EVENT_VALID | 1u << 8},
    {"eventnmi", VMCS_ENTRY_EVENT, 0x7ff, EVENT_VALID | EVENT_NMI << 8 | 3},
    {"eventvector", VMCS_ENTRY_EVENT, 0x7ff, EVENT_VALID | EVENT_FAULT << 8 | 32},
    {"eventerror", VMCS_ENTRY_EVENT, 0xfff, EVENT_VALID | EVENT_ERROR_VALID | EVENT_FAULT << 8 | 6},
    {"eventzero", VMCS_ENTRY_EVENT, 0xfff, EVENT_VALID | EVENT_FAULT << 8 | 6 | 1u << 20},
    {"eventlength", VMCS_ENTRY_EVENT, 0xfff, EVENT_VALID | EVENT_INT << 8 | 0x80},
    /* the host, 26.2.2 to 26.2.4 */
    {"hostcr0", VMCS_HOST_CR0, 1u << 5, 0},
    {"hostcr3", VMCS_HOST_CR3, 0, 1ull << 52},
    {"hostcr4", VMCS_HOST_CR4, 1u << 13, 0},
    {"hostpat", VMCS_HOST_PAT, 0xff, 2},
    {"hostefer", VMCS_HOST_EFER, 0, 1u << 1},
    {"hostlma", VMCS_HOST_EFER, 1u << 10, 0},
    {"host64", VMCS_EXIT_CONTROLS, EXIT_HOST_64, 0},
    {"hostpae", VMCS_HOST_CR4, 1u << 5, 0},
    {"hostrip", VMCS_HOST_RIP, 0, 1ull << 50},
    {"hostrpl", VMCS_HOST_DS, 0, 3},
    {"hostcs", VMCS_HOST_CS, 0xffff, 0},
    {"hosttr", VMCS_HOST_TR, 0xffff, 0},
    {"hostfs", VMCS_HOST_FS_BASE, 0, 1ull << 50},
    {"hosttrbase", VMCS_HOST_TR_BASE, 0, 1ull << 50},
    {"hostsysenter", VMCS_HOST_SYSENTER_EIP, 0, 1ull << 50},
    /* the guest, 26.3.1 */
    {"cr0", VMCS_GUEST_CR0, 1u << 5, 0},
    {"pe", VMCS_GUEST_CR0, 1u << 0, 1u << 31},
    {"cr4", VMCS_GUEST_CR4, 1u << 13, 0},
    {"lma", VMCS_ENTRY_CONTROLS, 0, ENTRY_IA32E},
    {"pcide", VMCS_GUEST_CR4, 0, 1u << 17},
    {"cr3", VMCS_GUEST_CR3, 0, 1ull << 52},
    {"debugctl", VMCS_GUEST_DEBUGCTL, 0, 1u << 4},
    {"dr7", VMCS_GUEST_DR7, 0, 1ull << 32},
    {"sysenteresp", VMCS_GUEST_SYSENTER_ESP, 0, 1ull << 50},
    {"sysentereip", VMCS_GUEST_SYSENTER_EIP, 0, 1ull << 50},
    {"pat", VMCS_GUEST_PAT, 0xff, 2},
    {"efer", VMCS_GUEST_EFER, 0, 1u << 1},
    {"eferlma", VMCS_GUEST_EFER, 0, 1u << 10},
    {"cs", VMCS_GUEST_CS_RIGHTS, 15, 0},
    {"csdata", VMCS_GUEST_CS_RIGHTS, 0x6f, 0x63},
    {"csdpl", VMCS_GUEST_CS_RIGHTS, 0, 0x20},
    {"csconforming", VMCS_GUEST_CS_RIGHTS, 15, 0x2f},
    {"csbase", VMCS_GUEST_CS_BASE, 0, 1ull << 40},
    {"css", VMCS_GUEST_CS_RIGHTS, 1u << 4, 0},
    {"csp", VMCS_GUEST_CS_RIGHTS, 1u << 7, 0},
    {"cszero", VMCS_GUEST_CS_RIGHTS, 0, 1u << 8},
    {"csg", VMCS_GUEST_CS_LIMIT, 0xfff, 0x1},
    {"ss", VMCS_GUEST_SS_RIGHTS, 15, 1},
    {"ds", VMCS_GUEST_DS_RIGHTS, 15, 2},
    {"dsbase", VMCS_GUEST_DS_BASE, 0, 1ull << 40},
    {"fsbase", VMCS_GUEST_FS_BASE, 0, 1ull << 50},
    {"tr", VMCS_GUEST_TR, 0, 4},
    {"trusable", VMCS_GUEST_TR_RIGHTS, 0, RIGHTS_UNUSABLE},
    {"trtype", VMCS_GUEST_TR_RIGHTS, 15, 9},
    {"trbase", VMCS_GUEST_TR_BASE, 0, 1ull << 50},
    {"ldtr", VMCS_GUEST_LDTR, 0, 4},
    {"ldtrtype", VMCS_GUEST_LDTR_RIGHTS, 15, 3},
    {"ldtrbase", VMCS_GUEST_LDTR_BASE, 0, 1ull << 50},
    {"gdtr", VMCS_GUEST_GDTR_BASE, 0, 1ull << 50},
    {"idtr", VMCS_GUEST_IDTR_LIMIT, 0, 1u << 16},
    {"rip", VMCS_GUEST_RIP, 0, 1ull << 32},
    {"rflags", VMCS_GUEST_RFLAGS, 0, 1u << 3},
    {"vm", VMCS_GUEST_RFLAGS, 0, 1u << 17},
    {"eventif", VMCS_ENTRY_EVENT, 0xfff, EVENT_VALID | 0x20},
    {"activity", VMCS_GUEST_ACTIVITY, 0, 7},
    {"blocking", VMCS_GUEST_BLOCKING, 0, 1u << 8},
    {"both", VMCS_GUEST_BLOCKING, 0, 3},
    {"sti", VMCS_GUEST_BLOCKING, 0, 1},
    {"debug", VMCS_GUEST_DEBUG, 0, 1u << 5},
    {"link", VMCS_LINK_POINTER, 1, 0},
};

bool vmx_break(const char *name)
{
    for (u32 i = 0; i < ARRAY_SIZE(breaks); i++)
        if (strcmp(name, breaks[i].name) == 0) {
            u32 field = breaks[i].field;
            vmcs_write(field, (vmcs_read(field) & ~breaks[i].clear) | breaks[i].set);
            return true;
        }
    return false;
}
