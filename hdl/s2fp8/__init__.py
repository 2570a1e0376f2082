"""S2FP8: FP32 to FP8 codes of a tensor that is shifted and squeezed, and back, and the parameters from a tensor's statistics.

With L = log2|X| and its mean mu, a code has the logarithm ``alpha * (L - mu)``: see `golden.s2fp8`, which is bit-exact. Codes
are those of ``float8_e5m2``. Source: Cambier et al., ICLR 2020, arXiv 2001.05674, Eq. 1 to 5.

No power is formed to encode: the fraction of the logarithm is compared with the logarithms at which rounding goes up.
"""

from narrowfloat.hdl.s2fp8.decoder import S2Decoder
from narrowfloat.hdl.s2fp8.encoder import S2Encoder
from narrowfloat.hdl.s2fp8.parameters import NEUTRAL, PARAMETERS, S2Parameters

__all__ = ["NEUTRAL", "PARAMETERS", "S2Decoder", "S2Encoder", "S2Parameters"]
