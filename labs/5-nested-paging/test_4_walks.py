"""Lab 5, handout 5.8 and 5.9: walks, compared reference by reference with the oracle's."""
from grader.grading import expect, points
from grader.oracle import walk
from grader.oracle.nested import EXECUTE, KB4, WRITE
from grader.oracle.nestsim import Guest, Nest, expected, walk_problems
from grader.oracle.paging import NX, P, U, W

SIM = "nest/nestsim"
ALL = WRITE | EXECUTE
USER = walk.USER


def same(nest, guest, gva, access, about):
    """The program's walk is the processor's; that."""
    told, right = nest.walk(gva, access, guest.registers()), expected(nest, guest, gva, access)
    wrong = walk_problems(told, right)
    expect(not wrong, f"{about}, gVA {gva:#x}, access {walk.access_words(access)}: "
           f"{''.join(wrong[:1])}")
    return right


def guest_of(lab, form):
    nest, at = Nest(lab.program(SIM, "serve")), lab.random(form)
    nest.begin(form)
    return nest, Guest(nest, at), at


def some_gva(at):
    low = at.randrange(1 << 35) * KB4
    return low | 0xFFFF800000000000 if at.random() < 0.5 else low


@points(5, hint="5.8", needs="test_map")
def test_nested_walk(lab):
    """gPA to hPA: the four references, what is allowed, and every way to fail."""
    for form in ("npt", "ept"):
        at, nest = lab.random(form), Nest(lab.program(SIM, "serve"))
        nest.begin(form)
        pages = [at.randrange(1 << 36) * KB4 for _ in range(12)]
        for gpa in pages:
            nest.map(gpa, nest.take(), at.choice((0, WRITE, EXECUTE, ALL)))
        absent = [at.randrange(1 << 36) * KB4, 1 << 48, pages[0] | 1 << 47]
        for gpa in [*pages, *absent]:
            for access in (0, WRITE, EXECUTE, WRITE | USER):
                for serves in (0, 3):
                    asked = gpa + at.randrange(KB4)
                    right = walk.find(nest, asked, nest.root, access, serves, nest.form)
                    wrong = walk_problems(nest.nested(asked, access, serves), right, whole=False)
                    expect(not wrong, f"{form}, gPA {asked:#x}, access {walk.access_words(access)}, "
                           f"{'for a table' if serves else 'at the end'}: {''.join(wrong[:1])}")


@points(8, hint="5.9", needs="test_nested_walk")
def test_a_walk_makes_24_references(lab):
    """4 KiB on 4 KiB: 24 references, each the processor's, the gPA known after 20."""
    for form in ("npt", "ept"):
        nest, guest, at = guest_of(lab, form)
        for _ in range(6):
            gva = some_gva(at)
            guest.map(gva, guest.page())
            for access in (0, WRITE, EXECUTE, USER):
                right = same(nest, guest, gva + at.randrange(KB4), access, form)
                expect((len(right.refs), right.gpa_refs) == (24, 20), "the oracle counts otherwise")
        told = nest.walk(gva, 0, guest.registers())
        lab.measure("refs", told.count)
        lab.measure("gpa_refs", told.gpa_refs)


@points(6, hint="5.9", needs="test_a_walk_makes_24_references")
def test_walks_that_fault(lab):
    """A fault is one of the guest's tables, of finding them, or of the end; each says where it was,
    and nothing of a page."""
    for form in ("npt", "ept"):
        nest, guest, at = guest_of(lab, form)
        gva = some_gva(at) & ~0xFFF
        data = guest.page()
        guest.map(gva, data)
        for level in (4, 3, 2, 1):
            table, place = guest.entry_place(gva, level)
            entry = nest.read_u64(place)
            for wrong in (0, entry & ~U, entry & ~W, entry | NX, entry | 1 << 45,
                          entry & 0xFFF | P | 0x3FFFFFF << 12):
                nest.write(place, wrong)
                for access in (0, WRITE, EXECUTE, USER):
                    same(nest, guest, gva, access, f"{form}, the guest's entry of level {level} is "
                         f"{wrong:#x}")
            nest.write(place, entry)
            for access in (0, EXECUTE):
                nest.protect(table, access)
                same(nest, guest, gva, 0, f"{form}, the guest's table of level {level} is behind a "
                     "read-only mapping")
            nest.unmap(table)
            same(nest, guest, gva, 0, f"{form}, the guest's table of level {level} is not mapped")
            nest.map(table, guest.host[table], ALL)
        for allowed in (0, WRITE, EXECUTE):
            nest.protect(data, allowed)
            for access in (0, WRITE, EXECUTE):
                same(nest, guest, gva + 5, access, f"{form}, the page itself")
        nest.unmap(data)
        same(nest, guest, gva, WRITE, f"{form}, the page itself is not mapped")
        same(nest, guest, 1 << 47, 0, f"{form}, not canonical")
