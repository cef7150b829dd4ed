"""Where the oracles look in a VMCB that lies in the RAM file.

AMD64 manual, volume 2, appendix B; the state save area begins at 400h. Offsets only: a
control block is read as any other memory. (A VMCS has no form in memory that is told.)
"""
from __future__ import annotations

EXCEPTIONS = 0x08           # u32: the vectors that exit
NP_CONTROL, NP_ENABLE = 0x90, 1
N_CR3 = 0xB0                # the root of the nested tables
HOST_USE = 0x3E0            # 32 bytes that the processor leaves alone
EFER, EFER_LMA = 0x4D0, 1 << 10
CR3 = 0x550                 # while nested paging is off, the root of a shadow
