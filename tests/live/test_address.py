"""What figures take from the page's address, and the looks of classes, in Node."""

import json
import subprocess
from pathlib import Path

import pytest
from node import node

from siamese_triplet import live
from siamese_triplet._style import COLOURS, MARKERS, class_style

LIBRARY = Path(live.__file__).parent / "js"
STRANGE = ["", "x", "NaN", "Infinity", "-Infinity", "1e999", "1e300", "-100", "3x", "constructor", "__proto__", "null"]


def evaluate(module: str, expression: str) -> object:
    """Evaluate JavaScript that sees the exports of `module` as `library`."""
    source = f"const library = await import({json.dumps((LIBRARY / module).as_uri())});\n"
    source += f"console.log(JSON.stringify({expression}));"
    command = [node(), "--input-type=module", "--eval", source]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def taken(query: str, call: str) -> object:
    where = f"globalThis.location = {{ search: {json.dumps(query)} }}"
    return evaluate("address.mjs", f"({where}, library.addressOf('figure', true).{call})")


def test_a_number_that_the_control_offers_is_taken() -> None:
    assert taken("?figure.margin=2.5", "number('margin', 1, [0, 3])") == 2.5
    assert taken("?figure.margin=0", "number('margin', 1, [0, 3])") == 0
    assert taken("?figure.point=-1,0.5", "numbers('point', [0, 0], [[-2, 2], [-1, 1]])") == [-1, 0.5]
    assert taken("?figure.off=1.2", "numbers('off', [], [[0, 9]], '.')") == [1, 2]
    assert taken("?figure.pair=same", "choice('pair', 'different', ['same', 'different'])") == "same"


@pytest.mark.parametrize("value", STRANGE)
def test_a_value_that_the_control_does_not_offer_is_ignored(value: str) -> None:
    query = f"?figure.x={value}"
    calls = {
        "number('x', 1, [0, 3])": 1,
        "numbers('x', [7, 8], [[-2, 2], [-1, 1]])": [7, 8],
        "numbers('x', [], [[0, 9]], '.')": [],
        "choice('x', 'first', ['first', 'second'])": "first",
    }
    assert taken(query, "number('x', 1, [0, 3])") == 1
    assert taken(f"?figure.x=1,{value}", "numbers('x', [7, 8], [[-2, 2], [-1, 1]])") == [7, 8]
    for call, expected in calls.items():
        assert taken(query, call) == expected, call
        assert taken("", call) == expected, call


def test_the_address_is_written_when_something_has_changed() -> None:
    calls = "{ margin: 1 } { margin: 1 } { margin: 2 } { margin: 3 } { margin: 3 }".replace("} {", "}; {").split("; ")
    stubs = "globalThis.location = { search: '?other=1', hash: '#here' }; const written = []; "
    stubs += "globalThis.history = { state: null, replaceState: (state, title, address) => written.push(address) }; "
    pause = "await new Promise((resolve) => setTimeout(resolve, 300)); "

    def written(is_page: str, n_calls: int) -> object:
        steps = "".join(f"address.keep({call}); " for call in calls[:n_calls])
        body = f"{stubs} const address = library.addressOf('figure', {is_page}); {steps} {pause} return written;"
        return evaluate("address.mjs", f"await (async () => {{ {body} }})()")

    assert written("true", 2) == []
    assert written("true", 3) == ["?other=1&figure.margin=2#here"]
    assert written("true", 5) == ["?other=1&figure.margin=3#here"]
    assert written("false", 5) == []


def test_a_hundred_classes_have_looks_of_their_own_and_those_of_the_plots() -> None:
    numbers = evaluate("theme.mjs", "Array.from({ length: 120 }, (_, label) => library.markerNumber(label))")
    light = "library.classColour({ dataset: { theme: 'light' } }, label)"
    colours = evaluate("theme.mjs", f"Array.from({{ length: 120 }}, (_, label) => {light})")
    looks = list(zip(colours, (MARKERS[number] for number in numbers), strict=True))
    assert looks == [class_style(label) for label in range(120)]
    assert looks[:10] == list(zip(COLOURS, MARKERS, strict=True))
    assert len(set(looks[:100])) == 100


@pytest.mark.parametrize(
    ("given", "least", "expected"),
    [
        (1.0, 0, {"max": 3, "step": 0.05}),
        (0.35, 0.05, {"max": 3, "step": 0.05}),
        (3.0, 0, {"max": 3, "step": 0.05}),
        (0.333, 0, {"max": 3, "step": "any"}),
        (0.0, 0.05, {"max": 3, "step": "any"}),
        (20.0, 0, {"max": 20, "step": "any"}),
    ],
)
def test_a_slider_has_a_place_for_the_margin_given(given: float, least: float, expected: dict) -> None:
    assert evaluate("controls.mjs", f"library.marginRange({given}, {least})") == expected


def test_a_margin_is_written_so_that_it_can_be_told_from_its_neighbours() -> None:
    values = [0, 0.05, 1, 2.5, 0.333, 0.001, 1e-5, 20]
    expected = ["0.00", "0.05", "1.00", "2.50", "0.333", "0.00100", "0.0000100", "20.00"]
    assert evaluate("controls.mjs", f"{json.dumps(values)}.map(library.marginText)") == expected
