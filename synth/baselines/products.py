"""Sums of products as text of Verilog: one heap of bits that full adders add, or rows on the carry chains of an FPGA.

Methods, by name:

``star``
    Verilog's own operators.
``array``
    An AND for each pair of bits, all in one heap: Baugh and Wooley, IEEE Transactions on Computers 1973, in two's complement.
``booth``
    Digits of -2 to 2 for every two bits of a factor, so that half as many rows enter the heap: Booth, Quarterly Journal of
    Mechanics and Applied Mathematics 1951, in MacSorley's radix 4.
``rows``, ``booth_rows``
    The rows of either, one addition after the other, each on a carry chain; products are added in a tree.
``booth_trees``
    Of sums of products only: Booth's rows of one weight are added in a tree, then those sums.

In a heap signs are constants: a bit of weight -1 is its inverse minus one, and all the constants are added beforehand.
"""

from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count

HEAPS = ("array", "booth")
CHAINS = ("rows", "booth_rows")
METHODS = ("star", *HEAPS, *CHAINS)
SUM_METHODS = (*METHODS, "booth_trees")
ZERO = "1'b0"


def for_fpgas(method, **_):
    """Whether a method is one for FPGAs, or one for anything else, or None; large units are measured accordingly."""
    return None if method == "star" else method not in HEAPS


@dataclass(frozen=True)
class Word:
    """A vector by its name."""

    name: str
    width: int

    @property
    def bits(self):
        """Its bits, the lowest first."""
        return [f"{self.name}[{index}]" for index in range(self.width)]

    def extended(self, width):
        """The two's complement number with more bits, or the lower ones of it."""
        if width <= self.width:
            return f"{self.name}[{width - 1}:0]"
        return f"{{{{{width - self.width}{{{self.name}[{self.width - 1}]}}}}, {self.name}}}"


class Body:
    """The text of a module as it grows: wires with numbered names, and what else is put into `lines`."""

    def __init__(self):
        self.lines = []
        self._numbers = count()

    def word(self, value, width, kept=False):
        """A new `Word` with this value; if `kept`, synthesis may not look through it."""
        name = f"w{next(self._numbers)}"
        declared = f"wire [{width - 1}:0] {name}"
        self.lines += [f"  (* keep *) {declared};", f"  assign {name} = {value};"] if kept else [f"  {declared} = {value};"]
        return Word(name, width)

    def bit(self, value):
        """The name of a new wire."""
        name = f"w{next(self._numbers)}"
        self.lines.append(f"  wire {name} = {value};")
        return name

    def text(self):
        return "\n".join(self.lines)


class Heap:
    """Bits to be added modulo 2**width, by weight.

    A column adds those three of its bits that are there first, again and again, which makes no more full adders than there must
    be: each takes one bit out of the heap. Two rows are left in the end, for an adder that the recipe of the synthesis chooses.
    `depth` counts gates, roughly.
    """

    def __init__(self, body, width):
        self.body, self.width, self.constant = body, width, 0
        self._columns = [[] for _ in range(width)]
        self._order = count()

    def add(self, bit, weight, depth=1):
        """Add a bit times 2**weight."""
        if weight < self.width and bit != ZERO:
            heappush(self._columns[weight], (depth, next(self._order), bit))

    def subtract(self, inverse, weight, depth=1):
        """Subtract a bit times 2**weight, of which the inverse is given."""
        self.add(inverse, weight, depth)
        self.constant -= 1 << weight

    def total(self):
        """A `Word` with the sum."""
        for weight in range(self.width):
            if self.constant >> weight & 1:
                self.add("1'b1", weight, 0)
        for weight, column in enumerate(self._columns):
            while len(column) > 2:
                (_, _, a), (_, _, b), (depth, _, c) = (heappop(column) for _ in range(3))
                self.add(self.body.bit(f"{a} ^ {b} ^ {c}"), weight, depth + 2)
                if weight + 1 < self.width:
                    self.add(self.body.bit(f"{a} & {b} | {c} & ({a} | {b})"), weight + 1, depth + 2)
        rows = (
            "{" + ", ".join(column[row][2] if row < len(column) else ZERO for column in reversed(self._columns)) + "}"
            for row in range(2)
        )
        return self.body.word(" + ".join(rows), self.width)


def add_product(heap, a, b, method, signed, minus=None):
    """Put a * b into a heap; numbers in two's complement, or not `signed`, then with a bit that says whether to subtract."""
    {"array": _add_array, "booth": _add_booth}[method](heap, a.bits, b.bits, signed, minus)


def _add_array(heap, a, b, signed, minus):
    if minus is not None:
        product = Heap(heap.body, len(a) + len(b))
        _add_array(product, a, b, False, None)
        add_signed(heap, product.total(), minus, depth=11)
        return
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            if signed and (i == len(a) - 1) != (j == len(b) - 1):
                heap.subtract(heap.body.bit(f"~({x} & {y})"), i + j)
            else:
                heap.add(heap.body.bit(f"{x} & {y}"), i + j)


def _add_booth(heap, a, b, signed, minus):
    body = heap.body
    digits = [ZERO, *b, *([b[-1]] * (len(b) % 2) if signed else [ZERO] * (2 - len(b) % 2))]
    for place in range(0, len(digits) - 1, 2):
        low, middle, high = digits[place : place + 3]
        if middle == high == ZERO and minus is None:  # what is left of an even number of bits without a sign
            for weight, bit in enumerate(a, place):
                heap.add(body.bit(f"{bit} & {low}"), weight)
            return
        once = body.bit(f"{low} ^ {middle}")
        twice = body.bit(f"{high} & ~{middle} & ~{low} | ~{high} & {middle} & {low}")
        negative = high if minus is None else minus if high == ZERO else body.bit(f"{high} ^ {minus}")
        extended = [ZERO, *a, a[-1] if signed else ZERO]
        # Minus a row is its inverse plus one: its lowest bit stays, and what the one carries out of it is added.
        lowest = body.bit(f"{once} & {a[0]}")
        heap.add(lowest, place, depth=3)
        if negative != ZERO:
            heap.add(body.bit(f"{negative} & ~{lowest}"), place + 1, depth=4)
        for k in range(1, len(a) + 1):
            bit = f"({once} & {extended[k + 1]} | {twice} & {extended[k]}) ^ {negative}"
            if signed and k == len(a):
                heap.subtract(body.bit(f"~({bit})"), place + k, depth=4)
            else:
                heap.add(body.bit(bit), place + k, depth=4)
        if not signed and negative != ZERO:
            heap.subtract(body.bit(f"~{negative}"), place + len(a) + 1)


def product(body, a, b, method, signed):
    """The `Word` of both widths that is a * b by one of `METHODS`; numbers in two's complement, or not `signed`."""
    width = a.width + b.width
    if method == "star":
        return body.word(f"$signed({a.name}) * $signed({b.name})" if signed else f"{a.name} * {b.name}", width)
    if method in HEAPS:
        heap = Heap(body, width)
        add_product(heap, a, b, method, signed)
        return heap.total()
    return {"rows": _rows, "booth_rows": _booth_rows}[method](body, a, b, signed)


def _rows(body, a, b, signed):
    """Each addition leaves one bit of the product, and a carry; numbers in two's complement are of one width."""
    n, last = a.width, b.width - 1
    top, rest = f"{n}'d{1 << n - 1}", f"{n}'d{(1 << n - 1) - 1}"

    def row(index):
        anded = f"{a.name} & {{{n}{{{b.name}[{index}]}}}}"
        return f"(({anded}) ^ {rest if index == last else top})" if signed else f"({anded})"

    # Baugh and Wooley's constants are 2**n, the carry of the first row, and 2**(2n - 1), an inverse of the last carry.
    total = body.word(f"{{1'b{int(signed)}, {row(0)}}}", n + 1, kept=True)
    done = [f"{total.name}[0]"]
    for index in range(1, b.width):
        total = body.word(f"{{1'b0, {total.name}[{n}:1]}} + {{1'b0, {row(index)}}}", n + 1, kept=True)
        done.append(f"{total.name}[0]")
    carry = f"{'~' * signed}{total.name}[{n}]"
    return body.word(f"{{{carry}, {total.name}[{n - 1}:1], {', '.join(reversed(done))}}}", n + b.width)


def _booth_rows(body, a, b, signed):
    """Each addition leaves two bits of the product. The ones that inverses lack are what the first row is added to."""
    if not signed:
        product = _booth_rows(body, *(body.word(f"{{1'b0, {x.name}}}", x.width + 1) for x in (a, b)), signed=True)
        return body.word(product.name, a.width + b.width)
    n = a.width
    rows = _booth_digits(body, a, b, None, n + 2)
    # Over the weight of a row, the digits so far come to 2**n at most, and the ones of later rows to a third of 2**(n + 1), for
    # factors of one width: signed(n + 2) cannot overflow.
    before, done = "{" + ", 1'b0, ".join(negative for _, negative in reversed(rows)) + "}", []
    for row, _ in rows:
        total = body.word(f"{before} + ({row})", n + 2, kept=True)
        before = body.word(f"{total.name}[{n + 1}:2]", n).extended(n + 2)
        done += total.bits[:2]
    return body.word(f"{{{total.name}[{n + 1}:2], {', '.join(reversed(done))}}}", n + b.width)


def _booth_digits(body, a, b, minus, width):
    """For each of Booth's digits of b, or of -b where `minus` is set, the text of a row, and a bit that is to be added to it.

    The numbers are in two's complement; so are rows, of `width` bits.
    """
    count = -(-b.width // 2)
    digits = body.word(f"{{{b.extended(2 * count)}, 1'b0}}", 2 * count + 1)
    once, twice = a.extended(width), f"{{{a.extended(width - 1)}, 1'b0}}"
    rows = []
    for row in range(count):
        low, middle, high = digits.bits[2 * row : 2 * row + 3]
        negative = high if minus is None else body.bit(f"{high} ^ {minus}")
        chosen = (
            f"{{{width}{{{low} ^ {middle}}}}} & {once} | {{{width}{{({low} ~^ {middle}) & ({high} ^ {middle})}}}} & {twice}"
        )
        rows.append((f"({chosen}) ^ {{{width}{{{negative}}}}}", negative))
    return rows


# --- sums of products ---------------------------------------------------------------------------------------------------------


def add_signed(heap, magnitude, minus, depth):
    """Put a magnitude into a heap, or minus it where the bit `minus` is set."""
    for weight, bit in enumerate(magnitude.bits):
        heap.add(heap.body.bit(f"{bit} ^ {minus}"), weight, depth + 1)
    # Minus a number is its inverse plus one.
    heap.add(minus, 0)
    heap.subtract(heap.body.bit(f"~{minus}"), magnitude.width)


def added(body, held, terms, method, width):
    """`held`, if any, plus numbers of a sign and a magnitude, modulo 2**width: a `Word`.

    `terms` are pairs of a magnitude and a bit for its sign, a power of two of them.
    """
    if method in HEAPS:
        heap = Heap(body, width)
        for magnitude, minus in terms:
            add_signed(heap, magnitude, minus, depth=12)
        for weight, bit in enumerate(held.bits if held else ()):
            heap.add(bit, weight)
        return heap.total()
    inverses = [
        body.word(f"{{{minus}, {magnitude.name} ^ {{{magnitude.width}{{{minus}}}}}}}", magnitude.width + 1)
        for magnitude, minus in terms
    ]
    return added_words(body, held, inverses, method, width, [minus for _, minus in terms])


def added_words(body, held, terms, method, width, carries=()):
    """`held`, if any, plus `terms` in two's complement, a power of two of them, and as many single bits if any: a `Word`."""
    if method == "star":
        words = [held.name] if held else []
        return body.word(" + ".join([*words, *(term.extended(width) for term in terms), *carries]), width)
    carries = list(carries)
    total = _tree(body, terms, carries)
    carry = carries.pop() if carries else None
    return _add(body, held, total, carry, width) if held else body.word(f"{total.extended(width)} + {carry}", width)


def booth_trees(body, held, pairs, signs, width):
    """`held`, if any, plus products of pairs, a power of two of them, modulo 2**width: a `Word`.

    The numbers are in two's complement, or with `signs`, a bit for each that says whether to subtract, they are magnitudes.
    """
    if signs is not None:
        pairs = [[body.word(f"{{1'b0, {x.name}}}", x.width + 1) for x in pair] for pair in pairs]
    rows = [
        _booth_digits(body, *pair, minus, pair[0].width + 1)
        for pair, minus in zip(pairs, signs or [None] * len(pairs), strict=True)
    ]
    sums = []
    for column in zip(*rows, strict=True):
        words = [body.word(text, pairs[0][0].width + 1) for text, _ in column]
        ones = [one for _, one in column]
        sums.append((_tree(body, words, ones), ones.pop()))
    total, one = sums.pop()
    while sums:
        lower, next_one = sums.pop()
        # The one that is left has four times the weight of the next sum: 2 + 1, and the carry.
        upper = body.word(f"{{{total.name}, {{2{{{one}}}}}}}", total.width + 2)
        total, one = _add(body, upper, lower, one, upper.width + 1), next_one
    return _add(body, held, total, one, width) if held else body.word(f"{total.extended(width)} + {one}", width)


def _tree(body, terms, carries):
    """The sum of `terms` and of as many of `carries` as there are additions, which are taken from the list."""
    while len(terms) > 1:
        terms = [
            _add(body, a, b, carries.pop() if carries else None, max(a.width, b.width) + 1)
            for a, b in zip(terms[::2], terms[1::2], strict=True)
        ]
    return terms[0]


def _add(body, a, b, carry, width):
    if carry is None:
        return body.word(f"{a.extended(width)} + {b.extended(width)}", width, kept=True)
    both = body.word(f"{{{a.extended(width)}, {carry}}} + {{{b.extended(width)}, {carry}}}", width + 1, kept=True)
    return body.word(f"{both.name}[{width}:1]", width)


def accumulator(body, width):
    """A register ``total`` that gets the value ``next``; what it holds, or zero in a cycle with ``clear``: a `Word`."""
    body.lines += [f"  reg [{width - 1}:0] total;", f"  wire [{width - 1}:0] next;", "  always @(posedge clk) total <= next;"]
    return body.word(f"total & {{{width}{{~clear}}}}", width)
