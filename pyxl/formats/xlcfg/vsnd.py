"""`vsnd`: virtual sound cards, each a list of strings that say a card, its PCM devices and their streams; and back.

Follows xl.cfg(5) and xl 4.17.
"""

from __future__ import annotations

from pyxl.errors import UsageError
from pyxl.formats.xlcfg.lexer import Word
from pyxl.formats.xlcfg.spec import Spec

TYPE_CHECKING = False  # not imported from typing, to start faster
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from pyxl.formats.xlcfg.lexer import Setting
    from pyxl.model.releases import Release

#: What a string can say -> its keys of text, and their members.
ITEMS = {
    "card": {"backend": "backend_domname", "short-name": "short_name", "long-name": "long_name"},
    "pcm": {"name": "name"},
    "stream": {"unique-id": "unique_id", "type": "type"},
}
#: Keys that every item has, and their members of "params".
NUMBERS = {"channels-min": "channels_min", "channels-max": "channels_max", "buffer-size": "buffer_size"}
LISTS = {"sample-rates": "sample_rates", "sample-formats": "sample_formats"}
TYPES = ("p", "c")
FORMATS = (
    "s8 u8 s16_le s16_be u16_le u16_be s24_le s24_be u24_le u24_be s32_le s32_be u32_le u32_be f32_le f32_be f64_le"
    " f64_be iec958_subframe_le iec958_subframe_be mu_law a_law ima_adpcm mpeg gsm"
).split()
EXAMPLE = '[["card,short-name=card", "pcm,name=dev1", "stream,unique-id=0,type=p"]]'


def add(
    tree: dict[str, Any], settings: Mapping[str, Setting], warn: Callable[[str], None], release: Release
) -> None:
    """Put the sound cards of `vsnd` into the config ``tree``.

    :raise UsageError: an unknown word, or a bad value.
    """
    setting = settings["vsnd"]
    if not isinstance(setting.value, list):
        warn(f'{setting.place}: "vsnd" is ignored: it is a list, such as {EXAMPLE}')
        return
    cards: list[dict[str, Any]] = []
    for item in setting.value:
        if not isinstance(item, list):
            raise UsageError(f'{setting.place}: "vsnd" is a list of lists, such as {EXAMPLE}')
        card: dict[str, Any] = {"devid": len(cards), "params": {}}
        for text in item:
            if not isinstance(text, Word):
                raise UsageError(f'{setting.place}: "vsnd" wants strings in its lists, such as {EXAMPLE}')
            _item(Spec("vsnd", text, warn), card)
        cards.append(card)
    if cards:
        tree["vsnds"] = cards


def _item(spec: Spec, card: dict[str, Any]) -> None:
    words = spec.words()
    if not words:
        return
    what, members = words[0].lower(), card
    if what not in ITEMS:
        raise spec.error(f'"{words[0]}" is none of {", ".join(ITEMS)}')
    if what != "card":
        pcms = card.setdefault("pcms", [])
        if what == "pcm" or not pcms:
            pcms.append({"params": {}})
        members = pcms[-1]
    if what == "stream":
        streams = members.setdefault("streams", [])
        streams.append({"params": {}})
        members = streams[-1]
    for word in words[1:]:
        key, equals, value = word.partition("=")
        if key in NUMBERS and equals:
            members["params"][NUMBERS[key]] = spec.unsigned(key, value)
        elif key in LISTS and equals:
            members["params"][LISTS[key]] = _list(spec, key, value)
        elif key in ITEMS[what] and equals:
            members[ITEMS[what][key]] = spec.choice(key, value, TYPES) if key == "type" else value
        else:
            raise spec.error(f'"{word}" is no key=value of {", ".join([*ITEMS[what], *NUMBERS, *LISTS])}')


def _list(spec: Spec, key: str, value: str) -> list[Any]:
    words = [word for word in value.split(";") if word]
    if not words:
        raise spec.error(f"{key} is a list, with semicolons between its values")
    if key == "sample-formats":
        return [spec.choice(key, word, FORMATS).upper() for word in words]
    return [spec.unsigned(key, word) for word in words]


def written(card: Mapping[str, Any]) -> list[str]:
    """Return the strings of `vsnd` that say ``card``."""
    lines = [_words("card", card)]
    for pcm in card.get("pcms", []):
        lines.append(_words("pcm", pcm))
        lines += [_words("stream", stream) for stream in pcm.get("streams", [])]
    return lines


def _words(what: str, members: Mapping[str, Any]) -> str:
    params = members.get("params", {})
    words = [what] + [f"{key}={members[member]}" for key, member in ITEMS[what].items() if member in members]
    words += [f"{key}={';'.join(map(str, params[member]))}" for key, member in LISTS.items() if member in params]
    words += [f"{key}={params[member]}" for key, member in NUMBERS.items() if member in params]
    return ",".join(words)
