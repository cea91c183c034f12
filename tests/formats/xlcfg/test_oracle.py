"""The parser against Debian's own xl: what both accept is equal member by member, what xl refuses pyxl refuses."""

from pathlib import Path

import pytest

from tests.oracle import normalise, xl
from tests.oracle.compare import difference

EXAMPLES = sorted((Path(__file__).parents[3] / "conf-examples").glob("*.cfg"))
GUEST = 'name="x"\ntype="hvm"\nuuid="6b1d9b2e-0000-4000-8000-000000000001"\n'


def test_the_oracle_tells_right_from_wrong() -> None:
    good = xl(GUEST + "memory=64")
    assert isinstance(good, dict)
    assert good["b_info"]["target_memkb"] == 65536
    assert normalise(good | {"unknown": 1}) == good
    assert "f:4: config parsing error" in str(xl(GUEST + "memory="))
    with pytest.raises(ValueError, match="libxl"):
        normalise({"c_info": {"type": "none"}})


def test_the_comparison_sees_what_differs() -> None:
    assert difference(GUEST + "memory=64") is None
    assert difference(GUEST + "memory=") is None
    assert str(difference(GUEST + "vcpus=2; vcpuz=4")).startswith("pyxl refuses: f:4")


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_example_is_equal(file: Path) -> None:
    assert difference(file.read_bytes()) is None
