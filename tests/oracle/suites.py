"""The comparisons: how many configs of each kind `make check` has, and how many there are in all."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random

from tests.oracle import cases
from tests.oracle.grammars import GRAMMARS

ROOT = Path(__file__).parents[2]
#: Written in the manner of what people publish.
CONFIGS = sorted((Path(__file__).parent / "configs").glob("*.cfg"))
EXAMPLES = sorted((ROOT / "conf-examples").glob("*.cfg"))
#: `make check` has every so many of the options' values: numbers that are prime to what they repeat after.
SLICE, APPENDED_SLICE, CONF_SLICE = 13, 71, 17
#: Of each grammar.
SPECIFICATIONS, ALL_SPECIFICATIONS = 60, 3000
MUTATIONS, ALL_MUTATIONS = 600, 5000


def files(whole: bool = False) -> Iterator[bytes]:
    yield from (file.read_bytes() for file in (*CONFIGS, *EXAMPLES))


def options(whole: bool = False) -> Iterator[str]:
    yield from islice(cases.each_option(), 0, None, 1 if whole else SLICE)


def appended(whole: bool = False) -> Iterator[str]:
    yield from islice(cases.appended(), 0, None, 1 if whole else APPENDED_SLICE)


def specifications(whole: bool = False) -> Iterator[str]:
    count = len(GRAMMARS) * (ALL_SPECIFICATIONS if whole else SPECIFICATIONS)
    yield from islice(cases.random_specifications(Random(1)), count)


def mutations(whole: bool = False) -> Iterator[bytes]:
    yield from islice(cases.mutations(Random(1), list(files())), ALL_MUTATIONS if whole else MUTATIONS)


def xl_conf(whole: bool = False) -> Iterator[tuple[str, str]]:
    yield from islice(cases.xl_conf(), 0, None, 1 if whole else CONF_SLICE)


SUITES: dict[str, Callable[[bool], Iterator[bytes | str | tuple[str, str]]]] = {
    "files": files, "options": options, "appended": appended, "specifications": specifications,
    "mutations": mutations, "xl_conf": xl_conf,
}  # fmt: skip


def pairs(name: str, whole: bool = False) -> Iterator[tuple[bytes | str, str]]:
    """Yield the configs of a suite, each with the xl.conf to compare it under."""
    for case in SUITES[name](whole):
        yield case if isinstance(case, tuple) else (case, "")
