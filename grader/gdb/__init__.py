"""make gdb and make monitor: a machine of ours under GDB, with commands that know VMs.

Files that import `gdb` run inside GDB only (start, kernel, state, commands, symbols); the
others decode bytes and records and run anywhere.  session.py, monitor.py start the machine.
"""
