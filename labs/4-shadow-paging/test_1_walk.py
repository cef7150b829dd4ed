"""Lab 4, handout 4.1, 4.2 and 4.6: the guest's own tables, and leaves, asked on the host."""
from dataclasses import replace
from itertools import product

from grader.grading import expect, points
from grader.oracle import walk, walksim
from grader.oracle.paging import A, D, NX, P, U, W

PROGRAM = "walk/walksim"
MODES = ("LONG4", "PAE", "LEGACY32")


def tables_of(lab, mode):
    """A guest's empty tables of that format, in the memory of a program that is asked."""
    sim = walksim.Sim(lab.program(PROGRAM, "serve"), lab.random(mode), wide=mode == "LONG4")
    return walksim.Tables(sim, mode)


def same(tables, gva, access, settings=walk.Settings()):
    """The program's walk is the processor's."""
    wrong = tables.problems(gva, access, settings)
    expect(not wrong, f"{walksim.describe(tables.mode, gva, access, settings)}: {''.join(wrong)}")


def highest_is_named(tables, gva):
    """Two levels forbid a write: the walk ended at the one that the processor saw first."""
    (high, first), (low, last) = [each for each in tables.path(gva) if tables.mode != "PAE" or each[0] < 3][-2:]
    for where in (first, last):
        tables.write(where, tables.read(where) & ~W)
    told = tables.sim.walked(gva, walk.WRITE, tables.registers())
    expect(told.level == high, f"{tables.mode}: W is clear at levels {high} and {low}; level {high} is the "
           f"highest that forbids a write, the walk names level {told.level}")


def pointers_are_held(tables):
    """PAE's pointers, where the processor holds them, are no references, whether they are there or not."""
    gva = tables.gva()
    for refs in (0, 2):
        told = tables.sim.walked(gva, 0, tables.registers(), walksim.HELD)
        expect(told.count == refs, f"PAE, the pointers held by the processor (forget_held), {refs} tables "
               f"below: the walk made {told.count} references, should be {refs}")
        tables.map(gva)


@points(4, hint="4.1")
def test_walk_finds_pages(lab):
    """Pages of every size, in tables of two, three and four levels: each reference, and where it ends."""
    for mode in MODES:
        tables = tables_of(lab, mode)
        at = tables.sim.at
        for level in (1, 1, 1, *(each.level for each in tables.form.levels if each.maps)):
            gva = tables.gva()
            tables.map(gva, level)
            for access in (0, walk.WRITE | walk.USER, walk.EXECUTE):
                same(tables, gva & -4096 | at.randrange(4096), access)
    same(tables, tables.gva(), 0)


@points(4, hint="4.1", needs="test_walk_finds_pages")
def test_walk_refuses(lab):
    """P, W, U and NX of each level, under each setting of WP, NXE, SMEP and SMAP: who may, and the code."""
    for mode in MODES:
        tables = tables_of(lab, mode)
        gva = tables.gva()
        tables.map(gva)
        for level, where in tables.path(gva):
            entry = tables.read(where)
            for changed in (entry & ~P, entry & ~W, entry & ~U, entry & ~U & ~W, entry | NX):
                if mode == "PAE" and level == 3 and changed & P or changed >> 32 and mode == "LEGACY32":
                    continue
                tables.write(where, changed)
                for access in walksim.ACCESSES:
                    for settings in walksim.SETTINGS:
                        same(tables, gva, access, settings)
            tables.write(where, entry)
        highest_is_named(tables, gva)
    pointers_are_held(tables_of(lab, "PAE"))


@points(3, hint="4.1", needs="test_walk_finds_pages")
def test_walk_knows_reserved_bits(lab):
    """Bits that must be zero, in entries of both kinds; NX without NXE is one. CR3's are no address."""
    for mode in MODES[:2]:
        tables = tables_of(lab, mode)
        gva, registers = tables.gva(), list(tables.registers())
        tables.map(gva)
        registers[1] |= walksim.CACHED
        told = tables.sim.walked(gva, 0, tuple(registers))
        expect(told.fault == "NONE", f"{mode}: CR3's bits 3 and 4, PWT and PCD, are no part of the root's "
               f"address; with them set a walk ended with {told.fault} at level {told.level}")
        for level in (1, 2):
            gva = tables.gva()
            tables.map(gva, level)
            for _, where in tables.path(gva):
                entry = tables.read(where)
                for bit in (3, 7, 8, 12, 13, 20, 29, 40, 45, 51, 52, 58, 62, 63):
                    tables.write(where, entry | 1 << bit)
                    for settings in (walk.Settings(), replace(walk.Settings(), nxe=False)):
                        same(tables, gva, walk.WRITE | walk.USER, settings)
                        same(tables, gva, 0, settings)
                tables.write(where, entry)


@points(4, hint="4.1", needs="test_walk_finds_pages")
def test_walk_sets_a_and_d(lab):
    """A in all entries that are used, D in the last one if it is a write, nothing if it faults late."""
    for mode in MODES:
        tables = tables_of(lab, mode)
        for access in (0, walk.WRITE, walk.WRITE | walk.USER, walk.EXECUTE):
            gva = tables.gva()
            tables.map(gva, tables.sim.at.choice((1, 2)))
            want = tables.used(gva, access)
            tables.sim.walked(gva, access, tables.registers(), walksim.SET_AD)
            for where, entry in want.items():
                expect(tables.read(where) == entry, f"{mode}, access {access:#x}: the entry at gPA "
                       f"{where:#x} should be {entry:#x} after the walk, it is {tables.read(where):#x}")
        gva = tables.gva()
        tables.map(gva, flags=U)
        *_, (_, where) = tables.path(gva)
        entry = tables.read(where)
        tables.sim.walked(gva, walk.WRITE | walk.USER, tables.registers(), walksim.SET_AD)
        expect(tables.read(where) == entry, f"{mode}: a write that is refused must leave the last entry "
               f"as it is, {entry:#x}; it is {tables.read(where):#x}")


@points(3, hint="4.2")
def test_roles(lab):
    """Registers that change what entries mean change the role, and others do not."""
    sim = walksim.Sim(lab.program(PROGRAM, "serve"), lab.random())
    base = (1 << 31 | 1, 1 << 5, 1 << 10)
    role = sim.role(*base)
    for name, which, bit, counts in (
            ("CR0.WP", 0, 16, True), ("CR0.TS", 0, 3, False), ("CR0.MP", 0, 1, False),
            ("CR4.PSE", 1, 4, True), ("CR4.SMEP", 1, 20, True), ("CR4.SMAP", 1, 21, True),
            ("CR4.PGE", 1, 7, False), ("CR4.OSFXSR", 1, 9, False), ("EFER.NXE", 2, 11, True),
            ("EFER.SCE", 2, 0, False)):
        other = list(base)
        other[which] |= 1 << bit
        changed = sim.role(*other) != role
        expect(changed == counts, f"role_of: {name} {'decides' if counts else 'does not decide'} what "
               f"an entry allows; changing it {'changed' if changed else 'did not change'} the role")
    modes = {sim.role(base[0], *rest) for rest in ((0, 0), (1 << 5, 0), (1 << 5, 1 << 10))}
    expect(len(modes) == 3, "role_of: tables of two, of three and of four levels are read "
           f"differently; they have only {len(modes)} roles")


@points(2, hint="4.6")
def test_leaves(lab):
    """A leaf allows what the guest's entry and all above it allow, and what CR0.WP clear adds."""
    sim = walksim.Sim(lab.program(PROGRAM, "serve"), lab.random())
    for above, role, access in product(range(8), walksim.LEAF_ROLES, walksim.ACCESSES):
        role |= walksim.ROLE_LEAF | above << walksim.ROLE_ACCESS_SHIFT
        for bits in product((0, W), (0, U), (0, D), (0, NX)):
            entry = P | A | sum(bits)
            leaf, right = sim.leaf(role, entry, access), walksim.leaf_rights(role, entry, access)
            expect(leaf & (P | A) == P | A and leaf & (W | U | NX) == right,
                   f"shadow_leaf, for {walksim.describe_leaf(role, entry, access)}: the leaf is {leaf:#x}, "
                   f"of W, U and NX it should have {right:#x}")
            expect(leaf & W == 0 or leaf & D, f"shadow_leaf: a leaf with W needs D, {leaf:#x} has not")
            leaf = sim.leaf(role, entry, access, is_table=True)
            expect(not leaf & W, f"shadow_leaf: a table in step is not writable; the leaf is {leaf:#x}")
