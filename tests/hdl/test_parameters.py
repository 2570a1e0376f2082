"""Every declared parameter: what is refused and how, what random draws give, and that texts and JSON say what was given."""

import json
import random
import re

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Fragment
from narrowfloat.command import main
from narrowfloat.golden.reference import load
from narrowfloat.hdl import lint, manifest
from narrowfloat.hdl.block import Block, Choice, Format, Integer, Relation, Several, Switch
from narrowfloat.hdl.catalog import DESIGNS, find
from narrowfloat.hdl.emit import emit

from tests.hdl.small import SMALL

DRAWS = 3
LONG_DRAWS = 10
LEGAL_DRAWS = 250
PARAMETERS = [(name, parameter) for name, design in DESIGNS.items() for parameter in design.parameters]


def wrong_values(parameter):
    """Values that `parameter` must not take, each with the text that would say so on a command line."""
    if isinstance(parameter, Integer):
        yield from ((value, str(value)) for value in (parameter.low - 1, parameter.high + 1, 1.5, "four", "", "4_0", "٤"))
        yield True, "True"
    elif isinstance(parameter, Choice):
        yield from ((value, str(value)) for value in ("nonsense", "", 1.5, -1))
    elif isinstance(parameter, Switch):
        yield from ((value, str(value)) for value in ("yes", "", 2, 1.5))
    elif isinstance(parameter, Format):
        yield from (("nonsense", "nonsense"), ("", ""))
    elif isinstance(parameter, Several):
        first = parameter.each.to_text((parameter.default or (1,))[0])
        yield (first, first), f"{first},{first}"
        yield from (((value,), text) for value, text in wrong_values(parameter.each))


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS, ids=lambda value: getattr(value, "name", value))
def test_wrong_values_are_refused_in_one_line(name, parameter):
    for value, text in wrong_values(parameter):
        for attempt, given in ((parameter.checked, value), (parameter.parse, text)):
            with pytest.raises(ValueError) as refused:
                attempt(given)
            message = str(refused.value)
            quoted = given[0] if isinstance(given, tuple) and len(set(given)) == 1 else given
            assert "\n" not in message
            assert repr(quoted).strip("'\"") in message
            if not message.startswith("unknown format"):
                assert message.startswith(f"{parameter.name} must be ")
                assert parameter.allowed.rpartition("each ")[2] in message


@pytest.mark.parametrize("name", DESIGNS)
def test_nothing_given_is_refused_unless_it_is_the_default(name):
    for parameter in DESIGNS[name].parameters:
        if parameter.default is None:
            assert parameter.checked(None) is None
        else:
            with pytest.raises(ValueError, match=f"{parameter.name} must be .*, not None"):
                parameter.checked(None)


@pytest.mark.parametrize("name", DESIGNS)
def test_every_parameter_and_relation_is_explained(name):
    design = DESIGNS[name]
    for parameter in design.parameters:
        assert parameter.meaning.endswith(".") and "\n" not in parameter.meaning, parameter.name
        assert parameter.checked(parameter.default) == parameter.default
    known = {parameter.name for parameter in design.parameters}
    for relation in design.component.relations:
        assert relation.text and "\n" not in relation.text and set(relation.parameters) <= known


@pytest.mark.parametrize("name", DESIGNS)
def test_broken_relations_are_refused_in_one_line(name):
    """Each relation is broken by some values that each parameter takes, and the message says which they are."""
    component, rng = DESIGNS[name].component, random.Random(name)
    for relation in component.relations:
        for _ in range(10_000):
            values = {parameter.name: parameter.draw(rng) for parameter in component.parameters}
            if not relation.of(values) and all(other.of(values) for other in component.relations if other is not relation):
                break
        else:
            pytest.fail(f"nothing breaks {relation.text!r} alone")
        with pytest.raises(ValueError) as refused:
            component(**values)
        given = " ".join(component.settings(values, relation.parameters))
        assert str(refused.value) == f"{relation.text}, unlike {given}"


@pytest.mark.parametrize("name", DESIGNS)
def test_numpy_integers_are_integers(name):
    component = DESIGNS[name].component
    given = {
        parameter.name: np.int64(parameter.default)
        for parameter in component.parameters
        if isinstance(parameter.default, int) and not isinstance(parameter, Switch)
    }
    values = component.checked(given)
    assert values == component.checked({})
    assert all(type(values[parameter]) is int for parameter in given)
    json.dumps({each.name: each.to_json(values[each.name]) for each in component.parameters})


def drawn(name, count):
    rng = random.Random(f"{name} {count}")
    return [DESIGNS[name].draw(rng) for _ in range(count)]


@pytest.mark.parametrize("name", DESIGNS)
def test_texts_of_random_draws_say_what_was_drawn(name):
    design = DESIGNS[name]
    for values in drawn(name, 100):
        settings = design.settings(values)
        assert design.parse(settings) == values
        json.dumps(design.to_json(values))
        assert design.module(values).isidentifier()


@pytest.mark.parametrize("name", DESIGNS)
def test_given_parameters_are_not_drawn(name):
    design, rng = DESIGNS[name], random.Random(1)
    drawn = [design.draw(rng, reset="async_low") for _ in range(10)]
    assert all(values["reset"] == ("async_low" if design.clocked(values) else "sync_high") for values in drawn)
    first = design.component.parameters[0]
    assert {design.draw(rng, **{first.name: first.default})[first.name] for _ in range(10)} == {first.default}


@pytest.mark.parametrize("name", DESIGNS)
def test_every_value_of_a_choice_is_drawn(name):
    design = DESIGNS[name]
    values = drawn(name, 300)
    for parameter in design.parameters:
        if isinstance(parameter, Choice):
            assert {each[parameter.name] for each in values} == set(parameter.values), parameter.name


# Those that find biases.
BIASED = ("memory_port", "median_estimator", "exponent_histogram", "median_tracker", "log_moments")


@pytest.mark.parametrize("name", DESIGNS)
def test_random_draws_elaborate(name):
    design, rng = DESIGNS[name], random.Random(name)
    for _ in range(DRAWS):
        values = design.draw(rng, **SMALL.get(name, {}))
        top = design.top(values)
        Fragment.get(top, None)
        assert {"latency", "initiation_interval"} <= top.facts.keys()


@pytest.mark.parametrize("name", DESIGNS)
def test_model_and_hardware_take_every_legal_configuration(name):
    """What a draw gives is legal: neither the block nor its reference may refuse it."""
    design, rng = DESIGNS[name], random.Random(f"legal {name}")
    for _ in range(LEGAL_DRAWS):
        values = design.draw(rng, **SMALL.get(name, {}))
        assert design.parse(design.settings(values)) == values
        load(manifest.of(design, values, design.module(values), design.top(values)))


@pytest.mark.parametrize("name", BIASED)
def test_any_range_of_biases_is_legal(name):
    """Whatever the smallest and the largest bias are, model and hardware begin with the same one, in that range."""
    design, rng = DESIGNS[name], random.Random(name)
    for low, high in [(0, 0), (63, 63), (0, 63), (20, 40), (3, 14), *(sorted(rng.choices(range(64), k=2)) for _ in range(20))]:
        values = design.draw(rng, bias_min=low, bias_max=high, initial_bias=None)
        model = load(manifest.of(design, values, design.module(values), design.top(values)))
        block = design.component(**design.of_block(values))
        if name == "memory_port":
            (first,) = {field.reset for register in block.registers if register.name == "BIAS0" for field in register.fields}
            assert model.state(0)["BIAS.next"] == first == min(max(values["fmt"].bias, low), high)
        else:
            first = block.first_bias
            assert model.bias(0) == (first, False) and first == min(max(15, low), high)


def long_draws():
    """Random configurations of every design."""
    for name, design in DESIGNS.items():
        for number in range(LONG_DRAWS):
            rng = random.Random(f"{name} {number}")
            values = design.draw(rng, **SMALL.get(name, {}))
            yield pytest.param(name, design.settings(values), marks=pytest.mark.long, id=f"{name}-{number}")


@pytest.mark.parametrize(("name", "settings"), list(long_draws()))
def test_random_draws_are_emitted(name, settings):
    emission = emit(find(name), settings)
    assert emission.manifest["parameters"] == find(name).to_json(find(name).parse(settings))
    lint.check(emission)


class Pair(Block):
    """A block of two bases."""

    left = Integer(1, 0, 9, "Left.")
    right = Integer(2, 0, 9, "Right.")
    relations = (Relation("left must be less than right", lambda left, right: left < right),)

    def members(self):
        return {}


class Triple(Pair):
    """One more, and first."""

    middle = Integer(3, 0, 9, "Middle.", place=0)
    left = Integer(0, 0, 3, "Left, again.")


def test_parameters_are_inherited_and_listed_by_place():
    assert [parameter.name for parameter in Pair.parameters] == ["left", "right"]
    assert [parameter.name for parameter in Triple.parameters] == ["middle", "left", "right"]
    assert Triple.relations == Pair.relations
    triple = Triple(5, left=1)
    assert (triple.middle, triple.right, triple.left) == (5, 2, 1)
    assert "left : an integer from 0 to 3; default 0\n    Left, again." in Triple.__doc__


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Pair(1, 2, 3), "Pair takes 2 parameters, each once"),
        (lambda: Pair(1, left=2), "Pair takes 2 parameters, each once"),
        (lambda: Pair(up=1, down=2), "Pair has no parameter down, up"),
    ],
)
def test_unknown_arguments_are_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_impossible_draws_are_refused():
    with pytest.raises(ValueError, match="no legal Pair with left=9 was found"):
        Pair.draw(random.Random(1), left=9)


@pytest.mark.parametrize("name", DESIGNS)
def test_only_blocks_with_registers_have_a_clock(name):
    design, rng = DESIGNS[name], random.Random(3)
    for _ in range(6):
        values = design.draw(rng, **SMALL.get(name, {}))
        block = design.component(**design.of_block(values))
        has_clock = re.search(r"^ *wire (?:width 1 )?input \d+ +\\clk$", rtlil.convert(block), re.MULTILINE) is not None
        assert has_clock == block.clocked(values)


@pytest.mark.parametrize("name", DESIGNS)
def test_a_configuration_has_one_module_and_one_text(name):
    """Whatever the order of settings, and whether defaults are said."""
    design, rng = DESIGNS[name], random.Random(4)
    for _ in range(20):
        values = design.draw(rng)
        settings = design.settings(values)
        said = [f"{each.name}={each.to_text(values[each.name])}" for each in design.parameters]
        rng.shuffle(said)
        assert design.parse(settings) == design.parse(said) == values
        assert len(design.module(values)) <= 100 and re.fullmatch(r"\w+", design.module(values), re.ASCII)


def typed(shown):
    """The text for a command line that says a value as JSON shows it."""
    if isinstance(shown, list):
        return ",".join(map(typed, shown))
    return "derived" if shown is None else json.dumps(shown).strip('"')


@pytest.mark.parametrize("name", DESIGNS)
def test_every_value_that_a_list_shows_can_be_given(name, capsys):
    """What tables and JSON show as a default is one configuration with what is not given; other values are read as such."""
    design = DESIGNS[name]
    main(["list", name])
    rows = [re.split(" *[│┃] *", line)[1:5] for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    main(["list", name, "--json"])
    (listed,) = json.loads(capsys.readouterr().out)
    assert [row[0] for row in rows] == [shown["name"] for shown in listed["parameters"]]
    assert len(rows) == len(design.parameters)
    for row, shown, parameter in zip(rows, listed["parameters"], design.parameters, strict=True):
        for text in (row[1], typed(shown["default"])):
            assert design.parse([f"{parameter.name}={text}"]) == design.parse([])
        one = shown.get("each", shown)
        values = [*one.get("choices", ()), *(one[end] for end in ("minimum", "maximum") if end in one)]
        for value in values:
            wanted = (value,) if shown["kind"] == "several" else value
            assert parameter.parse(typed(value)) == wanted
        if one["kind"] == "switch":
            assert [parameter.parse(word) for word in row[2].removeprefix("one of ").split(", ")] == [False, True] * 2
    for settings in listed["shipped"]:
        design.parse(settings)


def test_derived_is_the_same_configuration():
    """One name, one text."""
    converter, port = find("bfp_converter"), find("memory_port")
    for design, setting in ((converter, "precisions=derived"), (port, "initial_bias=derived")):
        values = design.parse([setting])
        assert design.settings(values) == [] and design.module(values) == design.module(design.parse([]))


def test_only_what_is_derived_by_default_may_be_derived():
    with pytest.raises(ValueError, match="lanes must be an integer from 1 to 64, not 'derived'"):
        find("float_encoder").parse(["lanes=derived"])


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("float_encoder lanes=4 lanes=2", "float_encoder: lanes is given more than once: give it once"),
        ("float_encoder seed=7", "seed has an effect only where sr is among roundings, and random is lfsr: .*"),
        ("float_encoder sr_bits=3", "sr_bits has an effect only where sr is among roundings: .*"),
        ("float_encoder roundings=sr random=port seed=2", "seed has an effect only where .*"),
        ("float_encoder formats=e8m7_ieee bias_port=0", "bias_port has an effect only for formats of fewer .*"),
        ("float_decoder stages=0 reset=async_low", "reset has an effect only in modules with registers: leave it out"),
        ("bfp_converter roundings=rne seed=2", "seed has an effect only where sr is among roundings: .*"),
        (
            "float_encoder overflow=format",
            "overflow has an effect only where a format has infinity or NaN: leave it out beside formats=ab_e5m2",
        ),
        ("memory_port overflow=format", "overflow has an effect only where fmt has infinity or NaN, or with s2fp8: .*"),
        ("float_encoder flags=1 roundings=rtz,rto tininess=after", "tininess has an effect only with flags, and where a .*"),
        ("bfp_converter sums=0 sum_bits=20", "sum_bits has an effect only with sums: leave it out beside sums=0"),
        ("fast_mac accumulator=fp32 width=20", "width has an effect only with the fixed accumulator: .*"),
        ("float_encoder lanes=٤", "lanes must be an integer from 1 to 64, not '٤'"),
        ("float_encoder lanes=4_0", "lanes must be an integer from 1 to 64, not '4_0'"),
        ("float_encoder lanes=+4", "lanes must be an integer from 1 to 64, not '\\+4'"),
        ("float_encoder lanes=04", "lanes must be an integer from 1 to 64, not '04'"),
    ],
)  # fmt: skip
def test_settings_without_effect_or_of_another_spelling_are_refused(words, line):
    name, *settings = words.split()
    with pytest.raises(ValueError, match=f"^{line}$"):
        find(name).parse(settings)
