"""How experiments keep their results: as JSON beside the command that makes them, and differences with their uncertainty."""

import json

import numpy as np

# The 97.5 % point of Student's t by degrees of freedom, for intervals of 95 %.
_T = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764, 5: 2.5706, 6: 2.4469, 7: 2.3646, 8: 2.3060, 9: 2.2622}


def paired_interval(values, references):
    """Mean of the differences of pairs, and the ends of its 95 % interval by Student's t (Student 1908).

    Parameters
    ----------
    values, references : sequences of float, of the same length from 2 to 10

    Returns
    -------
    mean, low, high : float
    """
    differences = np.subtract(values, references, dtype=np.float64)
    if len(differences) - 1 not in _T:
        raise ValueError(f"an interval needs 2 to {max(_T) + 1} pairs, not {len(differences)}")
    mean = float(differences.mean())
    half = _T[len(differences) - 1] * float(differences.std(ddof=1)) / len(differences) ** 0.5
    return mean, mean - half, mean + half


def write(path, results):
    """Write a dict as JSON with one line for each of its values, or for each element where a value is a list."""
    lines = []
    for name, value in results.items():
        text = json.dumps(value, allow_nan=False)
        if isinstance(value, list):
            text = "[\n  " + ",\n  ".join(json.dumps(element, allow_nan=False) for element in value) + "\n ]"
        lines.append(f" {json.dumps(name)}: {text}")
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    unfinished.rename(path)
