"""The fields and limits of an FP32 word, {sign, exponent, fraction}."""

FP32_BIAS = 127
FP32_MAN_BITS = 23
FP32_MAX_EXPONENT = 254  # of a finite number
FP32_INFINITY = 255 << FP32_MAN_BITS
FP32_SMALLEST_NORMAL = 1 << FP32_MAN_BITS
