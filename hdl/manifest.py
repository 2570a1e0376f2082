"""What a manifest says of an emitted module, after the schema `manifest.schema.json`, and what a list says of a design."""

import hashlib
import json
from importlib.metadata import version
from importlib.resources import files

from narrowfloat.golden.lfsr import SEED_BITS
from narrowfloat.hdl.block import Block
from narrowfloat.hdl.catalog import RESET, RESET_EFFECT
from narrowfloat.hdl.parts import registers
from narrowfloat.tools import YOSYS

SCHEMA_FILE = "manifest.schema.json"


def schema():
    """The JSON Schema of all manifests, a dict; its ``$id`` is what a manifest has as "schema"."""
    return json.loads(files("narrowfloat.hdl").joinpath(SCHEMA_FILE).read_text())


def of(design, values, module, top, source=None):
    """The manifest, a dict, of a `module` but for its Verilog: `design` with the parameters `values`, made as `top`.

    `source` is the name of the file with the module, by default that of Verilog-2005.
    """
    return {
        "schema": schema()["$id"],
        "design": design.name,
        "module": module,
        "source": source or f"{module}.v",
        "reference": design.reference,
        "parameters": design.to_json(values),
        "declaration": declaration(design),
        **({"verilog_parameters": [_seed(values)]} if top.seeded else {}),
        "ports": [_port(name, member, top) for name, member in top.signature.members.items()],
        **top.facts,
        **({"registers": registers.as_json(top.registers)} if top.registers else {}),
        "versions": {"narrowfloat": version("narrowfloat"), "amaranth": version("amaranth"), "yosys": YOSYS.version()},
    }


def sealed(described, text, paths, in_reset):
    """The manifest of a module with this Verilog `text`, given what it says besides (`of`).

    `paths` and `in_reset` are those of `hdl.verilog.Design`.
    """
    names = [port["name"] for port in described["ports"]]
    found = {
        "paths": {name: [each for each in names if each in paths[name]] for name in names if name in paths},
        "in_reset": {name: in_reset[name] for name in names if name in in_reset},
    }
    found = {key: value for key, value in found.items() if value}
    return described | found | {"sha256": hashlib.sha256(text.encode()).hexdigest()}


def declaration(design):
    """What parameters `design` has, what each may be, and how they depend on one another: a dict for JSON."""
    block = design.component
    effects = [_effect(effect.names, effect.text, effect.parameters) for effect in block.effects]
    if block.clocked.__func__ is not Block.clocked.__func__:
        effects.append(_effect((RESET.name,), RESET_EFFECT, ()))
    return {
        "parameters": [parameter.as_json() for parameter in design.parameters],
        "relations": [{"text": relation.text, "parameters": list(relation.parameters)} for relation in block.relations],
        "effects": effects,
    }


def _seed(values):
    return {
        "name": "SEED",
        "width": SEED_BITS,
        "default": values["seed"],
        "meaning": "Seed of the random bits after reset. The reference of another one has it as its parameter `seed`.",
    }


def _effect(names, where, parameters):
    text = f"{' and '.join(names)} {'has' if len(names) == 1 else 'have'} an effect only {where}"
    return {"text": text, "names": list(names), "parameters": list(parameters)}


def _port(name, member, top):
    found = {"name": name, "direction": "input" if member.flow.name == "In" else "output", "width": member.shape}
    if name in top.padding:
        found["padding"] = top.padding[name]
    return found | ({"fields": [field.as_json() for field in top.fields[name]]} if name in top.fields else {})
