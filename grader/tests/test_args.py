"""The argument grammar: what is taken, and that each error names its word."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader import args
from grader.args import ArgError, parse_guest, parse_options


def test_a_guest_without_arguments_has_the_defaults():
    guest = parse_guest("hello")
    assert (guest.name, guest.args) == ("hello", "")
    assert guest.values == {"mem": ((0, 16 << 20),), "rom": (), "noexec": (), "mmu": "nested",
                            "shadowpages": 1024, "boot": "auto",
                            "tsc": "wall", "pit": "wall", "ticks": "delay", "restart": 0,
                            "checks": "count", "break": "",
                            "watchdog": 0, "exits": "none", "weight": 256, "cap": 0,
                            "slice": 5 * 10**6, "period": 10**8, "extraweight": 0, "mcu_adv": 10,
                            "warp": 0, "warpl": 2 * 10**9, "warpu": 10**9, "extratime": "on", "change": ""}


def test_the_two_command_lines_are_told_apart():
    guest = parse_guest(" ticker  mem=8M ticks=slew -- hz=100  mem=1 -- x ")
    assert guest.args == "mem=8M ticks=slew -- hz=100  mem=1 -- x"
    assert guest.values["mem"] == ((0, 8 << 20),)
    assert parse_guest("ticker --").args == "--"
    assert parse_guest("ticker -- --x").args == "-- --x"
    assert parse_guest("./my-kernel weight=1").name == "./my-kernel"


@pytest.mark.parametrize("text, value", [
    ("mem=64K", ((0, 65536),)),
    ("mem=0x10000", ((0, 65536),)),
    ("mem=1M@16M", ((16 << 20, 1 << 20),)),
    ("mem=1M,4K@0x100000", ((0, 1 << 20), (1 << 20, 4096))),
    ("mem=4K@4G", ((4 << 30, 4096),)),
    ("mem=4096@0x1000,4K", None),
    ("mem=", None), ("mem=0", None), ("mem=1", None), ("mem=4097", None), ("mem=16m", None),
    ("mem=-1M", None), ("mem=1M@1", None), ("mem=1M,1M", None), ("mem=1M,4K@0", None),
    ("mem=1M@", None), ("mem=4K@0xffffffffff000000", None), ("mem=1M,", None),
    ("mem=1M@2M,2M@1M", None),
    ("mem=" + ",".join(f"4K@{4096 * i}" for i in range(8)),
     tuple((4096 * i, 4096) for i in range(8))),
    ("mem=" + ",".join(f"4K@{4096 * i}" for i in range(9)), None),
])
def test_memory_slots(text, value):
    if value is not None:
        assert parse_guest(f"g {text}").values["mem"] == value
        return
    with pytest.raises(ArgError, match=text.split(",")[0]):
        parse_guest(f"g {text}")


@pytest.mark.parametrize("text, words", [
    ("rom=4K", "needs an @GPA"), ("rom=4K@1", "multiple of 4K"), ("noexec=4K@1G,", "needs an @GPA"),
    ("rom=4K@16M mmu=shadow", "for mmu=nested"), ("mmu=shadow noexec=4K@16M", "for mmu=nested"),
    ("rom=4K@8M", "^'16M' overlaps a slot before it"),
    ("mem=2M noexec=8K@0x1ff000", "'noexec=.*: '8K@0x1ff000' overlaps a slot before it"),
    ("rom=4K@1G noexec=4K@0x40000000", "'noexec=.*overlaps a slot before it"),
    ("rom=4K@1G,4K@2G,4K@3G,4K@4G noexec=4K@5G,4K@6G,4K@7G,4K@8G", "more than 8 slots"),
])
def test_regions_that_are_refused(text, words):
    with pytest.raises(ArgError, match=words):
        parse_guest(f"g {text}")


def test_regions():
    values = parse_guest("g rom=4K@4G,64K@0xf0000000 noexec=4K@16M").values
    assert (values["rom"], values["noexec"]) == (((4 << 30, 4096), (0xf0000000, 65536)),
                                                 ((16 << 20, 4096),))


@pytest.mark.parametrize("text", [
    "mmu=both", "mmu=", "mmu", "boot=linux", "tsc=Wall", "pit=real", "ticks=drop",
    "restart=-1", "restart=1000001", "restart=x", "checks=no", "weight=0", "weight=65536",
    "weight=0x", "speed=1", "=1", "charge=tick", "weight=1 weight=2", "cap=101", "slice=0s",
    "slice=-1ms", "period=9us", "period=11s", "mcu_adv=0", "extratime=1",
    "break=a-name-much-too-long", "watchdog=1001s", "watchdog=5",
])
def test_each_wrong_vm_argument_is_named(text):
    with pytest.raises(ArgError) as caught:
        parse_guest(f"hello {text} -- x")
    assert f"'{text.split()[-1]}'" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "  ", "--", "-- x", "mem=16M", "hello\tx", "hello\n",
                                  "hello -- a\0b"])
def test_what_is_no_guest(text):
    with pytest.raises(ArgError):
        parse_guest(text)


def test_a_slice_fits_in_its_period():
    assert parse_guest("hello slice=7ms period=7ms").values["slice"] == 7 * 10**6
    for text in ("slice=101ms", "slice=7ms period=6999us", "period=4ms"):
        with pytest.raises(ArgError, match="a slice of [0-9]+ ns is longer than its period of"):
            parse_guest("hello " + text)


def test_who_borrows_too_much_of_its_future_is_refused():
    """Worth 100 ms of its own run time at most, at a time of 0 or 100 us at least."""
    for text in ("warp=10000 warpl=0s", "warp=65535000 mcu_adv=65535", "warpl=100us warpu=100us",
                 "warp=5000 change=1s:mcu_adv=5", "warpl=0s warpu=0s"):
        parse_guest("hello " + text)
    for text in ("warp=10001", "warp=1000000000 warpl=0s", "warp=5000 mcu_adv=4", "warpu=99999ns",
                 "warp=5000 change=1s:mcu_adv=4", "warpl=1ns", "change=1s:warp=10001"):
        with pytest.raises(ArgError, match="is refused: |out of range: 0 to 65535000"):
            parse_guest("hello " + text)


@pytest.mark.parametrize("text, key, value", [
    ("", "time", 10 * 10**9), ("", "trace", ("all",)), ("", "tracebuf", 64 << 20),
    ("slice=100us", "slice", 100_000), ("slice=1s", "slice", 10**9),
    ("slice=100000ns", "slice", 100_000), ("time=1us", "time", 1000),
    ("trace=off", "trace", ("off",)), ("trace=none", "trace", ("none",)), ("trace=walks,io", "trace", ("walks", "io")),
    ("tracebuf=192M", "tracebuf", 192 << 20), ("tracebuf=0x100000", "tracebuf", 1 << 20),
    ("bench=record", "bench", "record"), ("sched=rr  time=2s", "time", 2 * 10**9),
])
def test_options(text, key, value):
    assert parse_options(text).values[key] == value


@pytest.mark.parametrize("text", [
    "sched=fifo", "slice=99us", "slice=1001ms", "slice=10", "slice=1.5ms", "slice=ms",
    "time=0s", "time=999ns", "time=1001s", "mmu=ept", "trace=", "trace=walks,all",
    "trace=none,io", "trace=walks,,io", "tracebuf=1023K", "tracebuf=193M", "tracebuf=64MB",
    "bench=all", "mem=16M", "slice", "time=1s time=2s",
])
def test_each_wrong_option_is_named(text):
    with pytest.raises(ArgError) as caught:
        parse_options(text)
    assert f"'{text.split()[-1]}'" in str(caught.value)


def test_options_keep_their_words_for_the_kernel():
    assert parse_options("  slice=1ms   time=2s ").text == "slice=1ms time=2s"


def test_every_default_is_a_value_that_is_taken():
    for table in (args.VM_ARGUMENTS, args.MACHINE_OPTIONS):
        for argument in table:
            argument.parse(argument.default)


@given(st.text())
def test_any_text_is_taken_or_refused_in_one_sentence(text):
    for parse in (parse_guest, parse_options):
        try:
            parse(text)
        except ArgError as error:
            assert str(error).isprintable() or not text.isprintable()
