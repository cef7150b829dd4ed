"""Lab 4, hidden: garbage in tables, the other formats at length, little memory, neighbours."""
from grader.grading import expect, points
from grader.oracle import walk, walksim
from grader.oracle.mmu import judge, pager


def tortured(lab, *operations, name="pager", args="mmu=shadow", ops=(400, 600), spaces=100, always=True):
    """These kinds of operations, or all at once: nothing is wrong."""
    run = lab.run(pager.guest(lab.random(), *operations, name=name, args=args, ops=ops,
                              spaces=spaces),
                  option="trace=memory", time="120ms")
    wrong = pager.problems(run, always=always)
    expect(not wrong, "; ".join(wrong[:2]))
    return run


@points(4, hint="4.1", needs="test_walk_finds_pages")
def test_walk_through_garbage(lab):
    """Entries of random bits, in every format: where they lead, or the fault."""
    for mode in ("LONG4", "PAE", "LEGACY32"):
        sim = walksim.Sim(lab.program("walk/walksim", "serve"), lab.random(mode), wide=mode == "LONG4")
        tables, at = walksim.Tables(sim, mode), sim.at
        gvas = [tables.gva() for _ in range(6)]
        for gva in gvas:
            tables.map(gva)
        for _ in range(250):
            gva = at.choice(gvas)
            level, where = at.choice(tables.path(gva))
            entry = tables.read(where)
            for _ in range(at.randrange(1, 3)):
                changed = entry ^ 1 << at.randrange(8 * tables.form.width)
                if not (mode == "PAE" and level == 3 and (changed ^ entry) & 1 << 5):
                    tables.write(where, changed)
            access, settings = at.choice(walksim.ACCESSES), at.choice(walksim.SETTINGS)
            wrong = tables.problems(gva, access, settings)
            expect(not wrong, f"{walksim.describe(mode, gva, access, settings)}, the entry of level "
                   f"{level} is {tables.read(where):#x}: {''.join(wrong)}")
            tables.write(where, entry)


@points(4, hint="4.5", needs="test_a_guest_boots")
def test_three_levels(lab):
    """A PAE guest: spaces made and emptied, and four directory pointers that only MOV CR3 loads."""
    tortured(lab, "unmap", "remap", "protect", "age", "switch", "fork", "large", "split", "self", "mode",
             "fresh", name="pager-pae", ops=(1000, 1200), spaces=6, always=False)


@points(4, hint="4.5", needs="test_a_guest_boots")
def test_two_levels(lab):
    """A 32-bit guest: tables of 1,024 entries of four bytes, and paging turned off and on."""
    tortured(lab, name="pager32", always=False)


@points(4, hint="4.5", needs="test_a_guest_boots")
def test_little_memory(lab):
    """Thirty-two shadow pages for a hundred spaces: they are used again and again, and nothing is wrong."""
    run = tortured(lab, args="mmu=shadow shadowpages=32")
    used = set(run.trace.select("shadow_page")["shadow"].tolist())
    expect(len(used) <= 32, f"the VM was given 32 shadow pages, and used {len(used)}")


@points(4, hint="4.10", needs="test_a_guest_boots")
def test_all_at_once(lab):
    """All kinds of operations in a hundred spaces of four levels."""
    tortured(lab)


@points(4, hint="4.10", needs="test_a_guest_boots")
def test_neighbours(lab):
    """A shadow beside another and beside a nested table: no page of one is reached by another."""
    at = lab.random()
    run = lab.run(pager.guest(at, ops=(200, 300)), pager.guest(at, name="pager-pae", ops=(200, 300)),
                  f"keeper mem=4M mmu=nested -- pages=64 hz={at.randrange(300, 600)}",
                  option="trace=memory,exits slice=700us", time="140ms")
    for vm in (1, 2, 3):
        wrong = pager.failed_checks(run, vm)
        expect(not wrong, f"VM {vm}: {''.join(wrong[:1])}")
    wrong = judge.check(run.trace, run.memory)
    expect(not wrong, "; ".join(wrong[:2]))


@points(2, hint="4.9", needs="test_its_own_tlb")
def test_its_own_tlb_in_other_formats(lab):
    """32-bit guests that fill their TLB, with CR4.PAE and without; and one that is given thirty-two tables."""
    at = lab.random()
    args = [f"ops={at.randrange(250, 350)} hold=1" for _ in range(3)]
    run = lab.run(f"vtlb32 mem=15M mmu=vtlb -- {args[0]}", f"vtlb32 mem=15M mmu=vtlb -- pae=0 {args[1]}",
                  f"vtlb mem=15M mmu=vtlb shadowpages=32 -- {args[2]}", option="trace=memory slice=1ms",
                  time="80ms")
    for vm in (1, 2, 3):
        wrong = pager.failed_checks(run, vm)
        expect(not wrong, f"VM {vm}: {''.join(wrong[:1])}")
        expect("vanished" in dict(run.checkpoints(vm)), f"VM {vm} has not done its operations")
    wrong = judge.check(run.trace, run.memory)
    expect(not wrong, "; ".join(wrong[:2]))
