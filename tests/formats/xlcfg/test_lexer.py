"""xl.cfg's grammar: tables of text and settings, the place of each error, a round trip of generated settings."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxl.errors import UsageError
from pyxl.formats.xlcfg.lexer import COMMAND_LINE, MAX_DEPTH, read, settings

GOOD: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ("\n \t\n;;\n", {}),
    ("a = 1", {"a": "1"}),
    ("a=0x1f\nb=010;c='x'", {"a": "0x1f", "b": "010", "c": "x"}),
    ("vif.default.bridge = \"xenbr0\"\nms_vm_genid='none'", {"vif.default.bridge": "xenbr0", "ms_vm_genid": "none"}),
    ("# all of it\na=1 # the rest\n# no newline at the end", {"a": "1"}),
    ('a=\'it is "so"\'\nb="it\'s so"', {"a": 'it is "so"', "b": "it's so"}),
    (r"""a = "q\"q \' \\ \a\b\f\n\r\t\v" """, {"a": "q\"q ' \\ \a\b\f\n\r\t\v"}),
    ("a='#no comment; [no list]'", {"a": "#no comment; [no list]"}),
    ("a='é☃'", {"a": "é☃"}),
    ("a=[]", {"a": []}),
    ("a=[\n]", {"a": []}),
    ("a=['x',2]", {"a": ["x", "2"]}),
    ("a=[ # one\n 'x',\n\n 'y', # last\n]\n", {"a": ["x", "y"]}),
    ("a=[['x', ['y']], []]", {"a": [["x", ["y"]], []]}),
    ("a=1\na=2", {"a": "2"}),
    ("a=1\na=['x']", {"a": ["x"]}),
    ("a+=['x']\na+=['y','z']", {"a": ["x", "y", "z"]}),
    ("a='x'\na+=\"y\"", {"a": "xy"}),
    ("a='x'\na='z'\na+='y'", {"a": "zy"}),
]


@pytest.mark.parametrize(("text", "expected"), GOOD)
def test_text_becomes_settings(text: str, expected: dict[str, Any]) -> None:
    assert {name: setting.value for name, setting in read([("f", text)]).items()} == expected


BAD = [
    ("memory", 'f:1:7: expected "=" after "memory", not the end of the text'),
    ("a\n=1", 'f:1:2: expected "=" after "a", not the end of the line'),
    ("a=", "f:1:3: expected a string, a number or a list, not the end of the text"),
    ("a=\n1", "f:1:3: expected a string, a number or a list, not the end of the line"),
    ("\n\n  a = hvm", "f:3:7: expected a value: strings stand in quotes, not hvm"),
    ("a==1", "f:1:3: expected a string, a number or a list, not ="),
    ("=1", "f:1:1: expected the name of an option, not ="),
    ("1=1", "f:1:1: expected the name of an option, not 1"),
    ("a=1 b=2", 'f:1:5: expected the end of the line after the value of "a", not b'),
    ("a=10g", 'f:1:5: expected the end of the line after the value of "a", not g'),
    ("a=-1", "f:1:3: a negative number must stand in quotes"),
    ("Memory=1", "f:1:1: unexpected 'M': names have no capital letters, and strings stand in quotes"),
    ("a=(1)", "f:1:3: unexpected '('"),
    ("a='x", "f:1:3: this string does not end on its line"),
    ("a='x\n'", "f:1:3: this string does not end on its line"),
    ("a='x\\\n'", "f:1:3: this string does not end on its line"),
    ("a=1\r\n", "f:1:4: carriage return: the file has DOS line ends"),
    ("a='\0'", "f:1:3: this string does not end on its line"),
    ("b=1\na='x\\101'", "f:2:5: a numeric escape in a string: \\1"),
    ("a='\\x41'", "f:1:4: a numeric escape in a string: \\x"),
    ("a='\\q'", "f:1:4: an unknown escape in a string: \\q"),
    ("a=[", "f:1:4: expected a string, a number or a list, not the end of the text"),
    ("a=[\n'x'", 'f:2:4: expected "," or "]" in a list, not the end of the text'),
    ("a=['x' 'y']", 'f:1:8: expected "," or "]" in a list, not \'y\''),
    ("a=[,]", "f:1:4: expected a string, a number or a list, not ,"),
    ("a=['x',,]", "f:1:8: expected a string, a number or a list, not ,"),
    ("a=['x';]", 'f:1:7: expected "," or "]" in a list, not ;'),
    ("a=1]", 'f:1:4: expected the end of the line after the value of "a", not ]'),
    ("a='x'\n\na+=['y']", 'f:3:1: "a": a list and a string cannot be added'),
    ("a=['x']\na+='y'", 'f:2:1: "a": a list and a string cannot be added'),
    ("a=" + "[" * (MAX_DEPTH + 1), f"f:1:{3 + MAX_DEPTH}: lists are nested more than {MAX_DEPTH} deep, not ["),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_error_names_file_line_and_column(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read([("f", text)])
    assert str(caught.value) == message
    assert caught.value.exit_status == 2


def test_arguments_follow_the_file_and_replace_or_add() -> None:
    result = read([("f", "memory=1\ndisk=['a']\nname='n'"), (COMMAND_LINE, "memory=2"), (COMMAND_LINE, "disk+=['b']")])
    assert {name: setting.value for name, setting in result.items()} == {"memory": "2", "disk": ["a", "b"], "name": "n"}
    assert {name: setting.place for name, setting in result.items()} == {
        "memory": "command line",
        "disk": "command line",
        "name": "f:3:1",
    }


def test_error_in_an_argument_has_no_line() -> None:
    with pytest.raises(UsageError, match=r"^command line: expected a value: strings stand in quotes, not web1$"):
        read([("f", "memory=1"), (COMMAND_LINE, "name=web1")])


def test_a_list_does_not_go_on_in_the_next_chunk() -> None:
    with pytest.raises(UsageError, match=r"^f:1:6: "):
        read([("f", "a=[1,"), (COMMAND_LINE, "2]")])


def test_settings_know_where_they_stand() -> None:
    first, second = settings("f", "\n  a = [\n 'x',\n 'y' ]; b += 3\n")
    assert (first.line, first.column, first.added, first.place) == (2, 3, False, "f:2:3")
    assert isinstance(first.value, list)
    assert [word.place for word in first.value if isinstance(word, str)] == ["f:3:2", "f:4:2"]
    assert (second.line, second.column, second.added) == (4, 9, True)
    assert repr(second) == "<f:4:9: b += '3'>"


ESCAPED = {"\\": "\\\\", "\n": "\\n", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
NAMES = st.from_regex(r"[a-z][._0-9a-z]{0,8}", fullmatch=True)
STRINGS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12)
VALUES: st.SearchStrategy[Any] = st.recursive(STRINGS, lambda inner: st.lists(inner, max_size=4), max_leaves=12)


def written(value: Any, draw: st.DrawFn) -> str:
    """Return ``value`` as text, in one of the forms that xl.cfg has for it."""
    if isinstance(value, list):
        gap = st.sampled_from(["", " ", "\n", " # why\n\t"])
        items = [draw(gap) + written(item, draw) + draw(gap) for item in value]
        trailing: bool = draw(st.booleans())
        return "[" + ",".join(items) + ("," if items and trailing else "") + draw(gap) + "]"
    if value.isascii() and value.isdigit() and draw(st.booleans()):
        return str(value)
    quote = draw(st.sampled_from("'\""))
    return quote + "".join(ESCAPED.get(c, "\\" + c if c == quote else c) for c in value) + quote


@st.composite
def texts(draw: st.DrawFn) -> tuple[str, list[tuple[str, Any]]]:
    pairs: list[tuple[str, Any]] = draw(st.lists(st.tuples(NAMES, VALUES), max_size=5))
    ends = st.sampled_from(["\n", ";", " ; \n", "# end\n", "\n\n\t"])
    return "".join(f"{name} = {written(value, draw)}{draw(ends)}" for name, value in pairs), pairs


@given(texts())
def test_any_settings_survive_being_written(case: tuple[str, list[tuple[str, Any]]]) -> None:
    text, pairs = case
    assert [(setting.name, setting.value) for setting in settings("f", text)] == pairs
    assert {name: setting.value for name, setting in read([("f", text)]).items()} == dict(pairs)


@given(st.text(alphabet="ab=+[],;'\"\\\n# 1-x\r", max_size=30))
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    try:
        read([("f", text)])
    except UsageError as error:
        assert str(error).startswith("f:")
        assert "\n" not in str(error)
