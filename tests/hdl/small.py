"""Values at which designs that take long to elaborate are small."""

SMALL = {"systolic_array": {"rows": 2, "columns": 1}}
