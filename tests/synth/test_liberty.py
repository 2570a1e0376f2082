"""Liberty files: read whole, and understood as Yosys does."""

import pytest
from narrowfloat.synth import liberty

SMALL = """
/* a library */
library (tiny) {
  nom_voltage : 1.8;
  capacitive_load_unit (1, pf);
  cell (AOI) {
    area : 3.5;
    pin (A) { direction : input; }
    pin (B) { direction : input; }
    pin (C) { direction : input; }
    pin (Y) { direction : output; function : "!((A B) + C)"; }
  }
  cell (REG) {
    area : 9;
    ff (IQ, IQN) { next_state : "D"; clocked_on : "CK"; }
    pin (D) { direction : input; }
    pin (CK) { direction : input; clock : true; }
    pin (Q) { direction : output; function : "IQ"; }
  }
}
"""


def test_parse_reads_groups_attributes_and_lists():
    library = liberty.parse(SMALL)
    assert library.name == "tiny" and library.get("nom_voltage") == "1.8"
    assert ("capacitive_load_unit", ["1", "pf"]) in library.items
    first, second = library.all("cell")
    assert (first.name, first.get("area"), second.name) == ("AOI", "3.5", "REG")
    assert [pin.name for pin in first.all("pin")] == ["A", "B", "C", "Y"]
    assert first.all("pin")[3].get("function") == "!((A B) + C)"


def test_lines_are_read_as_the_same_tree():
    library = liberty.parse(SMALL)
    assert liberty.parse("\n".join(library.lines())) == library


@pytest.mark.parametrize("text", ["", "cell (A) { }", "library (tiny) { cell (A) {", "module top; endmodule"])
def test_parse_refuses_what_is_no_library(text):
    with pytest.raises(ValueError, match=r"not a Liberty file: it must be one library \(NAME\) \{ ... \}"):
        liberty.parse(text)


def test_functions_of_combinational_cells():
    (name,) = cells = liberty.functions(SMALL)
    assert name == "AOI"
    assert cells[name] == {"area": 3.5, "inputs": ["A", "B", "C"], "outputs": {"Y": 0b00000111}}


def test_real_library_has_a_nand_and_a_full_adder(cells):
    assert cells.nand2_um2 == 24
    assert "FAX1 cell (.A(A[i]), .B(B[i]), .C(C[i]), .YC(X[i]), .YS(Y[i]));" in cells.full_adder
