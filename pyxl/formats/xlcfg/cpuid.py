"""`cpuid`: features by name, or whole registers as in xend's time, to libxl's list of CPUID policies, and back.

Follows xl.cfg(5) and libxl 4.17.  A policy is one character for each bit of a register: 0, 1, x (as libxl has it),
k (as the host has it), s.  Does not know what a host or a guest can have.
"""

from __future__ import annotations

from pyxl.formats.xlcfg.cpu_features import FEATURES, FIELDS, MSR_FEATURES
from pyxl.formats.xlcfg.spec import Spec, c_unsigned
from pyxl.formats.xlcfg.values import UINT32_MAX, texts

TYPE_CHECKING = False  # not imported from typing, to start faster
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from pyxl.formats.xlcfg.lexer import Setting
    from pyxl.model.releases import Release

REGISTERS = ("eax", "ebx", "ecx", "edx")
WIDTH = 32
OPEN = "x" * WIDTH
MSR_WIDTH = 64
#: Leaf or subleaf of this number: libxl's own mark for none.
NONE = UINT32_MAX


def add(
    tree: dict[str, Any], settings: Mapping[str, Setting], warn: Callable[[str], None], release: Release
) -> None:
    """Put what `cpuid` says into the config ``tree``.

    :raise UsageError: a list within the list.
    """
    if policies := parse(settings["cpuid"], warn):
        tree["b_info"]["cpuid"] = policies


def parse(setting: Setting, warn: Callable[[str], None]) -> dict[str, Any] | None:
    """Return the libxl_cpuid_policy_list, or None where it says nothing.

    Like xl, leave out what is wrong, and tell ``warn``: a domain is made without it.

    :raise UsageError: a list within the list.
    """
    policies = _Policies()
    if isinstance(setting.value, list):
        for line in texts(setting):
            policies.register_line(Spec("cpuid", line, warn))
    else:
        policies.features(Spec("cpuid", setting.value, warn))
    return policies.document()


class _Policies:
    """CPUID leaves and model-specific registers, in the order in which they are named first."""

    def __init__(self) -> None:
        self._leaves: dict[tuple[int, int | None], dict[str, str]] = {}
        self._msrs: dict[int, str] = {}

    def document(self) -> dict[str, Any] | None:
        leaves = [
            {"leaf": leaf, **({} if subleaf is None else {"subleaf": subleaf}), **registers}
            for (leaf, subleaf), registers in self._leaves.items()
        ]
        msrs = [{"index": index, "policy": policy} for index, policy in self._msrs.items()]
        return {"cpuid": leaves, "msr": msrs} if leaves or msrs else None

    def features(self, spec: Spec) -> None:
        """Read `host,NAME=VALUE,…`."""
        first, *words = [word for word in spec.text.split(",") if word] or ["host"]
        if first != "host":
            spec.say('is ignored: its first word is "host"')
            return
        for word in words:
            name, equals, value = word.partition("=")
            if not equals:
                spec.say(f'"{word}" is ignored: it is no name=value')
            elif name in FIELDS or name in FEATURES:
                if not self._set(name, value):
                    spec.say(f'"{word}" is ignored: a value is a number, x, k or s')
            elif name in MSR_FEATURES:
                if not self._set_msr(*MSR_FEATURES[name], value):
                    spec.say(f'"{word}" is ignored: a value is 0, 1, x, k or s')
            else:
                spec.say(f'"{word}" is ignored: unknown feature "{name}"{_near(name)}')

    def _set(self, name: str, value: str) -> bool:
        """Set the bits of ``name``, and return whether ``value`` is one."""
        leaf, subleaf, register, bit, length = FIELDS.get(name) or FEATURES[name]
        registers = self._leaves.setdefault((leaf, subleaf), {})
        number = c_unsigned(value)
        if number is None and value[:1] not in ("x", "k", "s"):
            return False
        bits = f"{number[0] & (1 << length) - 1:0{length}b}" if number else value[0] * length
        policy = registers.get(register, OPEN)
        if name == "family":
            policy = _family(policy, bits, number[0] if number else 0)
        elif name == "model":  # its upper half stands in the bits of the extended model
            policy = _put(_put(policy, bits[:4], 16), bits[4:], bit)
        else:
            policy = _put(policy, bits, bit)
        registers[register] = policy
        return True

    def _set_msr(self, index: int, bit: int, value: str) -> bool:
        policy = self._msrs.setdefault(index, "x" * MSR_WIDTH)
        if value not in ("0", "1", "x", "k", "s"):
            return False
        self._msrs[index] = _put(policy, "k" if value == "s" else value, bit)
        return True

    def register_line(self, spec: Spec) -> None:
        """Read `LEAF[,SUBLEAF]:REGISTER=32 characters,…`."""
        leaf, rest = c_unsigned(spec.text) or (NONE, None)
        subleaf: int | None = None
        if rest and rest.startswith(","):
            number, rest = c_unsigned(rest[1:]) or (NONE, None)
            subleaf = None if number & UINT32_MAX == NONE else number & UINT32_MAX
        if rest is None or not rest.startswith(":"):
            spec.say("is ignored: a line is LEAF:REGISTER=POLICY or LEAF,SUBLEAF:REGISTER=POLICY, such as 1:ecx=…")
            return
        registers: dict[str, str] = {}
        if leaf & UINT32_MAX != NONE:
            registers = self._leaves.setdefault((leaf & UINT32_MAX, subleaf), registers)
        at = rest[1:]
        while at:
            name, equals, after = at.partition("=")
            register = name[:3]
            if register not in REGISTERS or not equals:
                spec.say(f'"{at}" is ignored: a register is {", ".join(REGISTERS)}')
                return
            policy, _, at = after.partition(",")
            if len(policy) != WIDTH:
                spec.say(f'"{register}={policy}" is ignored: a policy has {WIDTH} characters, not {len(policy)}')
                return
            registers[register] = policy
            at = at.lstrip(" \n")


def _put(policy: str, bits: str, bit: int) -> str:
    """Return ``policy`` with ``bits`` in place of as many from ``bit`` upwards; the lowest bit stands last."""
    end = len(policy) - bit
    return policy[: end - len(bits)] + bits + policy[end:]


def _family(policy: str, bits: str, number: int) -> str:
    """Return EAX of leaf 1 with a family: what is more than 15 goes into the bits of the extended family."""
    if number < 16:
        return _put(_put(policy, bits[4:], 8), "00000000", 20)
    return _put(_put(policy, "1111", 8), bits[0] + f"{number - 15 & 0x7F:07b}", 20)


def _near(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name.strip().lower(), [*FEATURES, *FIELDS, *MSR_FEATURES], 1, 0.6)
    return f' (did you mean "{near[0]}"?)' if near else ""


def written(policies: Mapping[str, Any]) -> str | list[str]:
    """Return a `cpuid` that says ``policies``: by names where that says all, and else by registers.

    A bit of a model-specific register that has no name cannot be said.
    """
    from pyxl.formats.xlcfg.lexer import Setting, Word

    by_name = ",".join(["host", *_names(policies)])
    again = parse(Setting("cpuid", Word(by_name), "", 0, 0), lambda _: None)
    if policies.get("msr") or again == policies:
        return by_name
    return [_line(leaf) for leaf in policies["cpuid"]]


def _names(policies: Mapping[str, Any]) -> Iterator[str]:
    """Yield NAME=VALUE for all that has a name; a register that is all open has been named all the same."""
    bits = {**FIELDS, **_once(FEATURES)}
    for entry in policies["cpuid"]:
        for register in filter(entry.get, REGISTERS):
            here = (entry.get("leaf"), entry.get("subleaf"), register)
            places = {name: place for name, place in bits.items() if place[:3] == here}
            values = ((name, _value(name, place, entry[register])) for name, place in places.items())
            yield from _said(values) or [f"{name}=x" for name in list(places)[:1]]
    for entry in policies["msr"]:
        places = {name: place for name, place in _once(MSR_FEATURES).items() if place[0] == entry.get("index")}
        values = ((name, entry["policy"][MSR_WIDTH - 1 - bit]) for name, (_, bit) in places.items())
        yield from _said(values) or [f"{name}=x" for name in list(places)[:1]]


def _said(values: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{name}={value}" for name, value in values if value != "x"]


def _value(name: str, place: tuple[int, int | None, str, int, int], policy: str) -> str:
    """Return the value that sets the bits of ``name`` as they are in ``policy``."""
    bit, length = place[3:]
    bits = policy[WIDTH - bit - length : WIDTH - bit]
    if name in ("family", "model"):
        bits = policy[WIDTH - 12 : WIDTH - 8] if name == "family" else policy[12:16] + policy[WIDTH - 8 : WIDTH - 4]
    if not bits.strip("01"):
        extended = int(policy[4:12], 2) if name == "family" and not policy[4:12].strip("01") else 0
        return str(int(bits, 2) + extended)
    return bits[0]


def _once(features: Mapping[str, Any]) -> dict[str, Any]:
    """Return the features without the further names of the same bit."""
    names = {place: name for name, place in reversed(list(features.items()))}
    return {name: place for place, name in names.items()}


def _line(entry: Mapping[str, Any]) -> str:
    leaf = f"{entry['leaf']:#x}" + (f",{entry['subleaf']}" if "subleaf" in entry else "")
    return f"{leaf}:" + ",".join(f"{register}={entry[register]}" for register in REGISTERS if register in entry)
