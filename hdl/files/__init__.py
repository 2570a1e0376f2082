"""Files that are written beside an emitted module, and texts for its data sheet, all made from its manifest.

`beside` makes all files: a dict of texts by name. Of each kind a module has the function that makes it.
"""

from narrowfloat.hdl.files import constraints, ipxact, registers, vhdl


def beside(manifest):
    """The files that go beside the Verilog of the module that `manifest`, a dict, describes: texts by name."""
    makers = (vhdl.files, registers.files, constraints.files, ipxact.files)
    return {name: text for files in makers for name, text in files(manifest).items()}
