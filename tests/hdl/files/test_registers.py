"""The registers as a C header and as SystemRDL: compilers read them as the manifest has them."""

import re
import subprocess

import pytest
from narrowfloat.hdl.catalog import DESIGNS
from narrowfloat.hdl.files import registers
from systemrdl import RDLCompiler
from systemrdl.rdltypes import AccessType, OnWriteType

from tests.hdl.files.manifests import described, of_design

COMPILERS = {"c": ("gcc", "-std=c99"), "cpp": ("g++", "-std=c++11")}
# By the access: what software may do, and what a write does.
RDL_ACCESS = {
    "ro": (AccessType.r, None),
    "rw": (AccessType.rw, None),
    "w1c": (AccessType.rw, OnWriteType.woclr),
    "strobe": (AccessType.w, None),
}
SETTINGS = {
    "memory_port": ("types=2", "estimators=median,histogram,tracker,moments", "s2fp8=1"),
    "precision_policy": (),
}


def expected(manifest):
    """What each macro of the header is, by its name."""
    prefix, values = manifest["module"].upper(), {}

    def define(name, value):
        assert f"{prefix}_{name}" not in values
        values[f"{prefix}_{name}"] = value

    for register in manifest["registers"]:
        define(f"{register['name']}_OFFSET", register["address"])
        for field in register["fields"]:
            name = f"{register['name']}_{field['name'].upper()}"
            define(f"{name}_SHIFT", field["lsb"])
            define(f"{name}_MASK", sum(2**bit for bit in range(field["lsb"], field["msb"] + 1)))
            for key in ("reset", "fraction_bits"):
                if key in field:
                    define(f"{name}_{key.upper()}", field[key])
            for word, value in field.get("values", {}).items():
                define(f"{name}_{word.upper()}", value)
    for estimator, statistics in manifest.get("statistics", {}).items():
        for index, each in enumerate(statistics):
            define(f"{estimator.upper()}_{each.upper()}_INDEX", index)
    return values


def compiled(language, header, require_tool, folder):
    """The value of each macro, as a program prints them that is compiled with the header, which it includes twice."""
    program, standard = COMPILERS[language]
    names = re.findall(r"^#define (\w+) .", header, re.MULTILINE)
    assert len(names) == len(set(names))
    prints = "\n".join(f'printf("{name} %lu\\n", (unsigned long) {name});' for name in names)
    includes = '#include <stdio.h>\n#include "module.h"\n#include "module.h"\n'
    (folder / "module.h").write_text(header)
    (folder / f"main.{language}").write_text(f"{includes}int main(void) {{\n{prints}\nreturn 0;\n}}\n")
    command = [
        require_tool(program, "g++"),
        standard,
        "-Wall",
        "-Wextra",
        "-pedantic",
        "-Werror",
        f"main.{language}",
        "-o",
        "main",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = subprocess.run([folder / "main"], capture_output=True, text=True, check=True).stdout
    return {name: int(value) for name, value in (line.split() for line in printed.splitlines())}


@pytest.mark.parametrize("language", COMPILERS)
@pytest.mark.parametrize("name", SETTINGS)
def test_header_has_what_the_manifest_has(name, language, require_tool, tmp_path):
    for manifest in (*of_design(name), described(name, *SETTINGS[name])):
        header = registers.files(manifest)[f"{manifest['module']}.h"]
        assert compiled(language, header, require_tool, tmp_path) == expected(manifest)


@pytest.mark.parametrize("name", SETTINGS)
def test_systemrdl_has_what_the_manifest_has(name, tmp_path):
    for manifest in (*of_design(name), described(name, *SETTINGS[name]), described(name, module="field")):
        file = tmp_path / f"{manifest['module']}.rdl"
        file.write_text(registers.files(manifest)[file.name])
        compiler = RDLCompiler()
        compiler.compile_file(str(file))
        top = compiler.elaborate(manifest["module"]).top
        assert top.inst_name == manifest["module"]
        found = list(top.registers())
        for register, wanted in zip(found, manifest["registers"], strict=True):
            assert (register.inst_name, register.absolute_address) == (wanted["name"], wanted["address"])
            assert register.get_property("regwidth") == 32
            assert register.get_property("desc") == wanted["description"]
            for field, said in zip(register.fields(), wanted["fields"], strict=True):
                assert (field.inst_name, field.low, field.high) == (said["name"], said["lsb"], said["msb"])
                assert field.get_property("reset") == said.get("reset")
                assert (field.get_property("sw"), field.get_property("onwrite")) == RDL_ACCESS[said["access"]]
                assert field.get_property("desc") == said["description"]
                words = field.get_property("encode") or ()
                assert {word.name: word.value for word in words} == said.get("values", {})


def test_text_cannot_end_comments_and_strings(require_tool, tmp_path):
    manifest = described("precision_policy")
    manifest["registers"][0]["description"] = text = 'ends */ here " and \\ there'
    made = registers.files(manifest)
    assert compiled("c", made["precision_policy.h"], require_tool, tmp_path) == expected(manifest)
    (tmp_path / "module.rdl").write_text(made["precision_policy.rdl"])
    compiler = RDLCompiler()
    compiler.compile_file(str(tmp_path / "module.rdl"))
    assert compiler.elaborate().top.registers()[0].get_property("desc") == text


@pytest.mark.parametrize("name", DESIGNS)
def test_only_modules_with_registers_have_these_files(name):
    for manifest in of_design(name):
        assert bool(registers.files(manifest)) == ("registers" in manifest) == (name in SETTINGS)
