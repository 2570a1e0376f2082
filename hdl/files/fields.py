"""The fields of a port, those of an array together."""


def alike(fields):
    """Lists of fields that differ by their number alone, from 0 up, and each other field in a list of its own."""
    groups = []
    for field in fields:
        stem, bits = field["name"].rstrip("0123456789"), width(field)
        group = groups[-1] if groups else []
        if group and group[0]["name"] == f"{stem}0" and field["name"] == f"{stem}{len(group)}" and width(group[0]) == bits:
            group.append(field)
        else:
            groups.append([field])
    return groups


def width(field):
    """Bits of a field."""
    return field["msb"] - field["lsb"] + 1


def name(group):
    """What a group is called."""
    first, last = group[0]["name"], group[-1]["name"]
    return first if len(group) == 1 else f"{first} to {last}"


def bits(group):
    """The bits of a group, as Verilog has them."""
    low, high = group[0]["lsb"], group[-1]["msb"]
    return f"[{high}:{low}]" if high > low else f"[{low}]"


def each(group):
    """The bits of each of several, or nothing of one."""
    return f"{width(group[0])} bit{'s' * (width(group[0]) > 1)} each" if len(group) > 1 else ""


def in_words(fields):
    """The fields of a port in a line."""
    words = []
    for group in alike(fields):
        values = [f"{value} {word}" for word, value in group[0].get("values", {}).items()]
        words.append(", ".join([f"{name(group)} {bits(group)}", *filter(None, [each(group)]), *values]))
    return "; ".join(words)
