"""What users compare our blocks with: plain designs in Verilog, with the parameters a user would set."""

from narrowfloat.synth.baselines import approximate, blocks, floats, integers, minifloats, posits

BASELINES = {
    baseline.name: baseline
    for baseline in (
        integers.MULTIPLIER,
        integers.DOT_PRODUCT,
        minifloats.MULTIPLIER,
        minifloats.DOT_PRODUCT,
        blocks.DOT_PRODUCT,
        posits.MULTIPLIER,
        approximate.MULTIPLIER,
        *floats.FLOATS,
    )
}
