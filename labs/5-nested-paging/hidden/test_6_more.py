"""Lab 5, hidden: long changes, walks of all kinds of guests, and three VMs beside each other."""
from grader.grading import expect, points
from grader.oracle import isolation, nested, regions, walk
from grader.oracle.nested import EXECUTE, KB4, WRITE
from grader.oracle.nestsim import Guest, Nest, expected, walk_problems
from grader.oracle.paging import MODES, U, W

SIM = "nest/nestsim"
ALL = WRITE | EXECUTE
ACCESSES = (0, WRITE, EXECUTE, ALL)
STEPS = 300


@points(6, hint="5.4", needs=("test_unmap", "test_protect", "test_harvest"))
def test_many_changes(lab):
    """Hundreds of changes in a random order, in both formats: the tables hold what came of them."""
    for form in ("npt", "ept"):
        at, nest, wanted = lab.random(form), Nest(lab.program(SIM, "serve")), {}
        nest.begin(form)
        pages = [at.randrange(1 << 27) << 21 | at.randrange(12) << 12 for _ in range(12)]
        pages += [each + KB4 for each in pages] + [each ^ 1 << 30 for each in pages]
        for step in range(STEPS):
            change(nest, at, at.choice(pages), wanted, f"{form}, change {step}")
            if step % 60 == 59:
                found = nested.differences(nest, nest.root, nest.form, wanted)
                expect(not found, f"{form}, after {step + 1} changes: {'; '.join(found)}")
        expect(nest.mapped == len(wanted), f"{form}: {len(wanted)} pages are mapped, `mapped` says "
               f"{nest.mapped}")
        expect(nest.end() == 0, f"{form}: frames of tables were lost")


def change(nest, at, gpa, wanted, about):
    """One change, and what it should have answered."""
    what, there = at.choice(("map", "map", "unmap", "protect", "harvest")), gpa in wanted
    place = (at.randrange(1, 1 << 28) * KB4, at.choice(ACCESSES))
    if what == "map":
        expect(nest.map(gpa, *place) == 0, f"{about}: mapping gPA {gpa:#x} failed")
        wanted[gpa] = place
    elif what == "unmap":
        expect(nest.unmap(gpa) == there, f"{about}: unmapping gPA {gpa:#x} should say {there}")
        wanted.pop(gpa, None)
    elif what == "protect":
        expect(nest.protect(gpa, place[1]) == there,
               f"{about}: protecting gPA {gpa:#x} should say {there}")
        if there:
            wanted[gpa] = (wanted[gpa][0], place[1])
    else:
        used = nest.harvest(gpa)
        expect(used == 0, f"{about}: nobody has used any page, the harvest of {gpa:#x} says {used:#x}")


@points(5, hint="5.9", needs="test_walks_that_fault")
def test_walks_of_other_kinds(lab):
    """PAE and 32-bit guests, large pages in either dimension, no paging at all: as many references."""
    for form in ("npt", "ept"):
        for mode, sizes in (("LONG4", (1, 2, 3)), ("PAE", (1, 2)), ("LEGACY32", (1, 2))):
            nest, at = Nest(lab.program(SIM, "serve")), lab.random(f"{form} {mode}")
            nest.begin(form)
            guest = Guest(nest, at, mode)
            kinds = [(level, behind) for level in sizes for behind in (1, 2, 3)]
            gvas = [mapped(nest, guest, at, number, *kind) for number, kind in enumerate(kinds)]
            judge(nest, guest, at, gvas, f"{form}, a guest of {mode}")


def mapped(nest, guest, at, number, level, behind):
    """A gVA that the guest maps by a page of that level, behind a nested page of another; each in
    a place of its own, far from the guest's tables."""
    page = next(each.page for each in MODES[guest.mode].levels if each.level == level)
    room = 31 if guest.mode == "LONG4" else 26
    gva = (number << room) + (at.randrange(1 << room) & ~(page - 1))
    window = 256 + number if guest.mode != "LEGACY32" else 1 if behind < 3 else 2 + number // 3
    gpa = (window << 30) + (number << 25) + (at.randrange(1 << 25) & ~0xFFF)
    nest.map(gpa, nest.take(), ALL)
    if behind > 1:
        refs = walk.find(nest, gpa, nest.root, 0, 0, nest.form).refs
        to = at.randrange(1 << 39) & ~((1 << 12 + 9 * (behind - 1)) - 1)
        nest.write(refs[4 - behind].address, nest.entry(to, behind, True, at.choice(ACCESSES)))
    guest.map(gva, gpa & ~(page - 1), level, at.choice((W | U, W, U, 0)))
    return gva | gpa & page - 1 & ~0xFFF


def judge(nest, guest, at, gvas, about):
    settings = (walk.Settings(), walk.Settings(wp=False), walk.Settings(nxe=False))
    kinds = set()
    for gva in [*gvas, *(each ^ 1 << 12 for each in gvas), at.randrange(1 << 31)]:
        for access in (0, WRITE, EXECUTE, walk.USER, walk.USER | WRITE):
            rules = at.choice(settings)
            told = nest.walk(gva + 4, access, guest.registers(rules))
            right = expected(nest, guest, gva + 4, access, rules)
            wrong = walk_problems(told, right)
            expect(not wrong, f"{about}, gVA {gva + 4:#x}, access "
                   f"{walk.access_words(access)}: {''.join(wrong[:1])}")
            kinds.add(len(right.refs))
    expect(len(kinds) > 5, f"{about}: the test is too narrow")
    registers = (0, *guest.registers()[1:])
    gpa = guest.tables[0] & 0xFFFFFFFF         # without paging an address has 32 bits
    told, right = nest.walk(gpa, 0, registers), walk.walk_nested(nest, gpa, nest.root, 0,
                                                                 form=nest.form)
    wrong = walk_problems(told, right)
    expect(not wrong, f"{about}, with its paging off: {''.join(wrong[:1])}")


@points(5, hint="5.7", needs=("test_memory_is_as_promised", "test_what_ends_a_guest"))
def test_three_vms(lab):
    """Three VMs with memory of all kinds: no frame of one is reached by another, nor a table."""
    at = lab.random()
    layouts = [regions.Layout.random(at) for _ in range(3)]
    run = lab.run(*(f"regions {each.arguments} -- {each.told} rounds=8 hold=1" for each in layouts),
                  option="slice=700us", time="90ms")
    frames = {}
    for vm, memory in enumerate(layouts, 1):
        checks = run.checks(vm)
        for name in ("ram", "dropped", "hole", "used"):
            expect(name in checks and all(passed for _, _, passed in checks[name]),
                   f"VM {vm}: its self-check '{name}' was not made or failed")
        wrong = regions.problems(run, vm, memory)
        expect(not wrong, f"VM {vm}: {'; '.join(wrong[:2])}")
        root = regions.nested_root(run, vm)
        for page in isolation.Reach(run.memory, root, run.nested).pages:
            expect(page.hpa not in frames, f"the frame at hPA {page.hpa:#x} is reached by VM {vm} "
                   f"and by VM {frames.get(page.hpa)}")
            frames[page.hpa] = vm
    wrong = isolation.check(run.trace, run.memory)
    expect(not wrong, wrong[0] if wrong else "")
