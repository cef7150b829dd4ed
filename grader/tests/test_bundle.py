"""The bundle: what is written is read back, and every wrong field is refused by name."""
from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader import bundle
from grader.bundle import Bundle, BundleError, Image

U64 = st.integers(0, 2**64 - 1)


def text(size: int) -> st.SearchStrategy:
    """Strings that just fit a field of `size` bytes, and shorter ones."""
    return st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=size - 1)


IMAGES = st.builds(Image, text(40), text(512), st.binary(min_size=1, max_size=9000))
BUNDLES = st.builds(Bundle, U64, U64, U64, text(24), text(512), text(40),
                    st.lists(IMAGES, max_size=15).map(tuple))


@given(BUNDLES)
def test_what_is_written_is_read_back(wanted):
    raw = bundle.build(wanted)
    assert bundle.parse(raw) == wanted
    assert len(raw) % 4096 == 0


def test_the_crc_is_that_of_zlib_with_its_field_as_0():
    raw = bytearray(bundle.build(example()))
    found = int.from_bytes(raw[16:20], "little")
    raw[16:20] = bytes(4)
    assert found == zlib.crc32(raw)


def example() -> Bundle:
    return Bundle(1, 2, 3, "qemu-svm", "sched=rr", "abcdef",
                  (Image("one", "-- x", b"a" * 5000), Image("two", "", b"b" * 10)))


def patched(offset: int, data: bytes, keep_crc: bool = False) -> bytes:
    """The example with `data` at `offset`, and a CRC that fits unless told otherwise."""
    raw = bytearray(bundle.build(example()))
    raw[offset:offset + len(data)] = data
    if not keep_crc:
        bundle.seal(raw)
    return bytes(raw)


def word(value: int, size: int = 4) -> bytes:
    return value.to_bytes(size, "little")


SIZE = len(bundle.build(example()))
SECOND = 624 + 576


WRONG = [
    ("size", b""),
    ("size", bundle.build(example())[:623]),
    ("size", bundle.build(example())[:-1]),
    ("size", bundle.build(example()) + b"\0"),
    ("magic", patched(0, b"NESTTRC1")),
    ("version", patched(8, word(2))),
    ("size", patched(12, word(SIZE + 1))),
    ("crc", patched(16, word(12345), keep_crc=True)),
    ("crc", patched(SIZE - 1, b"!", keep_crc=True)),
    ("crc", patched(24, word(9, 8), keep_crc=True)),
    ("guests", patched(20, word(16))),
    ("guests", patched(20, word(0xffffffff))),
    ("platform", patched(48, b"p" * 24)),
    ("cmdline", patched(72, b"c" * 512)),
    ("build_id", patched(584, b"0" * 40)),
    ("guests[0].image_off", patched(624, word(4097))),
    ("guests[0].image_off", patched(624, word(4104))),
    ("guests[0].image_off", patched(624, word(0))),
    ("guests[1].image_off", patched(SECOND, word(1 << 30))),
    ("guests[1].image_off", patched(SECOND, word(0xfffff000))),
    ("guests[0].image_size", patched(628, word(0))),
    ("guests[1].image_size", patched(SECOND + 4, word(SIZE))),
    ("guests[1].image_size", patched(SECOND + 4, word(0xffffffff))),
    ("guests[0].name", patched(632, b"n" * 40)),
    ("guests[1].reserved", patched(SECOND + 48 + 15, b"\1")),
    ("guests[1].args", patched(SECOND + 64, b"a" * 512)),
]
WRONG_IDS = [f"{number}-{field}" for number, (field, _) in enumerate(WRONG)]


@pytest.mark.parametrize("field, raw", WRONG, ids=WRONG_IDS)
def test_each_wrong_field_is_refused_by_name(field, raw):
    with pytest.raises(BundleError) as caught:
        bundle.parse(raw)
    assert caught.value.field == field
    assert str(caught.value).startswith(field + ": ")


def test_an_entry_table_that_covers_the_images_is_refused():
    raw = patched(20, word(15))
    with pytest.raises(BundleError) as caught:
        bundle.parse(raw)
    assert caught.value.field == "guests[0].image_off"


def test_more_than_64_mib_are_refused():
    big = Image("big", "", bytes(32 << 20))
    with pytest.raises(BundleError, match="^size: "):
        bundle.build(Bundle(0, 0, 0, "", "", "", (big, big)))


@pytest.mark.parametrize("field, changed", [
    ("nonce", {"nonce": 1 << 64}),
    ("seed", {"seed": -1}),
    ("cmdline", {"cmdline": "x" * 512}),
    ("platform", {"platform": "a\0b"}),
    ("build_id", {"build_id": "0" * 40}),
    ("guests", {"guests": (Image("g", "", b"x"),) * 16}),
    ("guests[0].name", {"guests": (Image("n" * 40, "", b"x"),)}),
    ("guests[0].args", {"guests": (Image("n", "ü" * 256, b"x"),)}),
    ("guests[0].image_size", {"guests": (Image("n", "", b""),)}),
])
def test_what_does_not_fit_is_not_written(field, changed):
    with pytest.raises(BundleError) as caught:
        bundle.build(Bundle(**{**example().__dict__, **changed}))
    assert caught.value.field == field


@given(st.binary(max_size=3000), st.integers(0, SIZE - 1))
def test_any_damage_is_a_bundle_error_or_none(noise, place):
    raw = bytearray(bundle.build(example()))
    raw[place:place + len(noise)] = noise
    try:
        bundle.parse(bytes(raw))
    except BundleError as error:
        assert error.field
