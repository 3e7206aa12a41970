"""xxHash64 of a chain of 64-bit numbers, in Python and as SQL of DuckDB, whose own hash may change with its version.

A chain starts with SEED, as Spark's `xxhash64` does, by which the first tables were made.
"""

SEED = 42

_MASK = 2**64 - 1
_P1, _P2, _P3, _P4, _P5 = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)

# DuckDB takes a result of more than 64 bits for an error: a sum or product is computed in 128 bits and cut, and what
# a shift to the left would lose is taken off before. An argument that stands twice in a macro is computed once, but
# nested ones make the text of a query long: hence the steps.
MACROS = (
    f"create macro wrap(x) as (x & {_MASK}::uhugeint)::ubigint",
    "create macro times(x, y) as wrap(x::uhugeint * y::uhugeint)",
    "create macro plus(x, y) as wrap(x::uhugeint + y::uhugeint)",
    "create macro turn(x, n) as ((x & ((1::ubigint << (64 - n)) - 1)) << n) | (x >> (64 - n))",
    "create macro fold(x, n) as xor(x, x >> n)",
    f"create macro hash_value(v) as times(turn(times(v, {_P2}), 31), {_P1})",
    f"create macro hash_1(v, h) as xor(plus(h, {_P5 + 8}), v)",
    f"create macro hash_2(x) as plus(times(turn(x, 27), {_P1}), {_P4})",
    f"create macro hash_3(x) as times(fold(x, 33), {_P2})",
    f"create macro hash_4(x) as times(fold(x, 29), {_P3})",
    "create macro hash_5(x) as fold(x, 32)",
)


def hash_of(value: int, before: int) -> int:
    """Return the hash of a chain that ends with `value`, of 64 bits without a sign; `before` is that of the rest."""
    x = (before + _P5 + 8 & _MASK) ^ _value(value)
    x = _turn(x, 27) * _P1 + _P4 & _MASK
    x = (x ^ x >> 33) * _P2 & _MASK
    x = (x ^ x >> 29) * _P3 & _MASK
    return x ^ x >> 32


def first_step(value: int, before: str) -> str:
    """Return the SQL for the first of five steps of `hash_of`; `before` is an expression of type UBIGINT."""
    return f"hash_1({_value(value)}::ubigint, {before})"


def next_step(number: int, x: str) -> str:
    """Return the SQL for step 2 to 5, x being the one before."""
    return f"hash_{number}({x})"


def all_steps(value: str, before: int) -> str:
    """Return the SQL for all steps at once; `value` is an expression of an integer that is not negative."""
    x = f"hash_1(hash_value({value}), {before}::ubigint)"
    for number in range(2, 6):
        x = next_step(number, x)
    return x


def _value(value: int) -> int:
    return _turn(value * _P2 & _MASK, 31) * _P1 & _MASK


def _turn(x: int, by: int) -> int:
    return (x << by | x >> 64 - by) & _MASK
