"""A reader's formula in x, read into a small tree and computed on arrays; nothing of it is ever executed.

Three walls stand between a text and the page: only a few characters and names get past :func:`_tokens`; what they
form is read by ``ast.parse`` (which runs nothing) and each node must be one of a short list; and the tree that is left,
of our own class, can only add, multiply and call the functions of :mod:`ortholab.explore.dual`.
"""

from __future__ import annotations

import ast
import functools
import math
import re

import numpy as np

from ortholab.errors import ArgumentError, show
from ortholab.explore.dual import ONE, Dual
from ortholab.explore.tree import REACH, Tree, evaluate, kinks
from ortholab.theory import Activation, own_activation

LONGEST, DEEPEST, MOST_NODES, MOST_PARENTHESES, LARGEST_POWER, MOST_KINKS = 200, 50, 100, 20, 32, 24
CONSTANTS = {"pi": math.pi, "e": math.e}
ARGUMENTS = {**dict.fromkeys(ONE, 1), "max": 2, "min": 2, "clip": 3}
FUNCTIONS = tuple(ARGUMENTS)

_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<sign>\*\*|[-+*/(),])", re.ASCII
)
_TYPED = str.maketrans({"−": "-", "·": "*", "×": "*", "π": "pi"})
_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}


def _error(words: str) -> ArgumentError:
    return ArgumentError(f"the formula {words}")


@functools.lru_cache(maxsize=64)
def parse(text: str) -> Tree:
    """Read a formula in x: numbers, x, pi, e, ``+ - * / **``, parentheses and the functions of ``FUNCTIONS``.

    Raises ArgumentError with a short message for everything else; nothing in the text is executed.

    >>> parse("x / (1 + abs(x))").kind
    '/'
    """
    if not isinstance(text, str):
        raise _error(f"must be text; got {show(text)}")
    if len(text) > LONGEST:
        raise _error(f"must have at most {LONGEST} characters; it has {len(text)}")
    text = text.translate(_TYPED).strip(" ")
    _check_tokens(text)
    try:
        body = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise _error(f"cannot be read: something is missing or too much in {show(text, 60)}") from None
    if sum(isinstance(node, ast.Constant | ast.Name | ast.BinOp | ast.UnaryOp) for node in ast.walk(body)) > MOST_NODES:
        raise _error(f"must have at most {MOST_NODES} numbers, names and operations")
    return _read(body, 0)


def _check_tokens(text: str) -> None:
    """Refuse foreign characters and names, a forgotten ``*``, and parentheses that do not match."""
    if not text:
        raise _error("is empty; write one in x, such as tanh(x)")
    place, before, level = 0, "", 0
    while place < len(text):
        if text[place] == " ":
            place += 1
            continue
        match = _TOKEN.match(text, place)
        if not match or text.startswith("//", place):
            raise _foreign(text, place)
        word = match.group()
        if match["name"] and word not in ("x", *CONSTANTS, *FUNCTIONS):
            raise _error(f"may not use the name {show(word, 30)}; known are x, pi, e and {', '.join(FUNCTIONS)}")
        if _is_value_end(before) and (match["number"] or match["name"] or word == "("):
            raise _error(f"needs a * between {show(before, 20)} and {show(word, 20)}")
        if before in FUNCTIONS and word != "(":
            raise _error(f"needs parentheses after {before}, as in {before}(x)")
        level += (word == "(") - (word == ")")
        if level < 0 or level > MOST_PARENTHESES:
            raise _error("has a ) too many" if level < 0 else f"has over {MOST_PARENTHESES} parentheses in each other")
        place, before = match.end(), word
    if level:
        raise _error("lacks a )")


def _is_value_end(word: str) -> bool:
    return word == ")" or word[:1].isdigit() or word[:1] == "." or word in ("x", *CONSTANTS)


def _foreign(text: str, place: int) -> ArgumentError:
    if text[place] == "^":
        return _error("must have ** for a power, as in x**2, and not ^")
    return _error(
        f"may hold numbers, x, pi, e, + - * / ** ( ) , and functions only; "
        f"character {place + 1} is {show(text[place], 12)}"
    )


def _read(node: ast.AST, depth: int) -> Tree:
    """Turn a node of Python's grammar into one of ours, or refuse it."""
    if depth > DEEPEST:
        raise _error(f"must not have more than {DEEPEST} operations within each other")
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            # A float at once: powers of integers would grow without bound.
            return Tree("number", value=_finite_constant(float(value)))
        case ast.Name(id="x"):
            return Tree("x")
        case ast.Name(id=name) if name in CONSTANTS:
            return Tree("number", value=CONSTANTS[name])
        case ast.UnaryOp(op=ast.UAdd(), operand=inner):
            return _read(inner, depth + 1)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return _fold(Tree("neg", (_read(inner, depth + 1),)))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            tree = Tree(_OPERATORS[type(op)], (_read(left, depth + 1), _read(right, depth + 1)))
            _check_power(tree)
            return _fold(tree)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in ARGUMENTS:
            if len(args) != ARGUMENTS[name]:
                raise _error(f"must give {name} {ARGUMENTS[name]} argument(s); it gives {len(args)}")
            return _fold(Tree(name, tuple(_read(part, depth + 1) for part in args)))
    raise _error(f"may not hold {type(node).__name__}")


def _check_power(tree: Tree) -> None:
    exponent = tree.parts[-1]
    if tree.kind == "**" and exponent.constant and abs(exponent.value) > LARGEST_POWER:
        raise _error(f"must not have a power above {LARGEST_POWER}; got {exponent.value:.6g}")


def _fold(tree: Tree) -> Tree:
    """Compute a part without x at once."""
    if not tree.constant:
        return tree
    with np.errstate(all="ignore"):
        value = float(tree.at(Dual(np.zeros(1), np.zeros(1))).value[0])
    return Tree("number", value=_finite_constant(value))


def _finite_constant(value: float) -> float:
    if not math.isfinite(value):
        raise _error("has a part without x that is not a finite number")
    return value


@functools.lru_cache(maxsize=64)
def activation(text: str) -> Activation:
    """Make an activation of a formula, with its exact derivative and its kinks.

    Raises ArgumentError if the text is no formula, and, naming the place, if phi or its slope is not finite or phi
    jumps somewhere in [-8, 8].

    >>> phi = activation("max(x, x/10)")
    >>> phi.kinks, phi.degree_one
    ((0.0,), True)
    """
    tree = parse(text)
    _check_finite(tree)
    places = kinks(tree)
    if len(places) > MOST_KINKS:
        raise _error(f"has {len(places)} kinks between -8 and 8; at most {MOST_KINKS} can be followed")
    _check_continuous(tree, places)
    try:
        return own_activation(
            "your own",
            lambda x: evaluate(tree, x).value,
            lambda x: evaluate(tree, x).slope,
            kinks=places,
            degree_one=_degree_one(tree, places),
        )
    except ArgumentError as error:
        place = re.search(r"x = (\S+?);?(\s|$)", str(error))
        where = f" near x = {place.group(1)}" if place else ""
        raise _error(f"turns too sharply{where} to average its slope; use a smoother one") from error


def _check_finite(tree: Tree) -> None:
    # The second grid holds the simple numbers, where poles like that of 1/x lie.
    grid = np.unique(np.concatenate([np.linspace(-REACH, REACH, 4098), np.arange(-800, 801) / 100]))
    y = evaluate(tree, grid)
    for words, values in (("is", y.value), ("has a slope that is", y.slope)):
        wrong = grid[~np.isfinite(values)]
        if wrong.size:
            raise _error(f"{words} not finite at x = {wrong[np.argmin(np.abs(wrong))]:.3g}")


def _check_continuous(tree: Tree, places: tuple[float, ...]) -> None:
    for place in places:
        sides = evaluate(tree, place + 1e-7 * np.array([-2.0, -1.0, 1.0, 2.0]))
        jump = abs(sides.value[2] - sides.value[1])
        if jump > 1e-6 * (1 + np.abs(sides.slope).max()):
            raise _error(f"jumps by {jump:.3g} at x = {place:.3g}; an activation must be continuous")


def _degree_one(tree: Tree, places: tuple[float, ...]) -> bool:
    """Whether phi(a x) = a phi(x) for a > 0: phi(0) = 0, and the slope is one constant on each side of zero."""
    if any(places) or evaluate(tree, np.zeros(1)).value[0] != 0:
        return False
    x = np.array([1e-3, 0.37, 1.0, 2.9, 8.0, 300.0])
    return all(np.ptp(evaluate(tree, side * x).slope) == 0 for side in (-1, 1))
