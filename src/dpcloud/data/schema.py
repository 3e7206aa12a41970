"""The synthetic census table: its columns, and the SQL of DuckDB that makes each cell from a hash of its place.

Numbers here are invented and plausible; a hash is their only source, so a seed always gives the same table. It is
not a source of noise for privacy: that comes from the engines alone.
"""

import re
import zlib
from collections.abc import Sequence

from dpcloud.data.geography import geography
from dpcloud.data.hashing import SEED, all_steps, first_step, hash_of, next_step

COLUMNS = (
    "TractId",
    "State",
    "County",
    "TotalPop",
    "Men",
    "Women",
    "Hispanic",
    "White",
    "Black",
    "Native",
    "Asian",
    "Pacific",
    "VotingAgeCitizen",
    "Income",
    "IncomeErr",
    "IncomePerCap",
    "IncomePerCapErr",
    "Poverty",
    "ChildPoverty",
    "Professional",
    "Service",
    "Office",
    "Construction",
    "Production",
    "Drive",
    "Carpool",
    "Transit",
    "Walk",
    "OtherTransp",
    "WorkAtHome",
    "MeanCommute",
    "Employed",
    "PrivateWork",
    "PublicWork",
    "SelfEmployed",
    "FamilyWork",
    "Unemployment",
)
"""The columns of acs2017_census_tract_data.csv, in its order."""

ROW_NUMBER = "id"
"""One more column that may be asked for: the row's number from 0 (bigint)."""

DEFAULT_ROWS = 74_001
"""The size of the real table."""

# Columns that share 100 percent: each one's usual weight, and the spread of the weight's logarithm.
_SHARES = {
    "people": {
        "Hispanic": (8.0, 1.2),
        "White": (65.0, 0.6),
        "Black": (5.0, 1.5),
        "Native": (0.3, 1.2),
        "Asian": (2.0, 1.4),
        "Pacific": (0.03, 1.5),
        "of_two_or_more": (1.0, 0.3),  # no column of its own, so the six add up to a little less than 100
    },
    "trades": {
        "Professional": (34.0, 0.35),
        "Service": (18.0, 0.35),
        "Office": (23.0, 0.2),
        "Construction": (9.0, 0.5),
        "Production": (12.0, 0.5),
    },
    "ways_to_work": {
        "Drive": (78.0, 0.15),
        "Carpool": (9.0, 0.5),
        "Transit": (1.5, 1.5),
        "Walk": (1.8, 1.0),
        "OtherTransp": (1.3, 0.8),
        "WorkAtHome": (4.0, 0.6),
    },
    "employers": {
        "PrivateWork": (79.0, 0.1),
        "PublicWork": (14.0, 0.4),
        "SelfEmployed": (6.0, 0.5),
        "FamilyWork": (0.08, 1.0),
    },
}

# In these formulas z_NAME is a normal number (mean 0, deviation 1) and u_NAME a uniform one in (0, 1), both of
# the row's own; a number with e0 is a double, without it SQL would take slow decimals.
_DRAWN = {"crowd": "z_TotalPop", "wealth": "z_wealth"}
_TOTAL = {
    # About 4,000 people; the cube stretches the tails from some 50 to the cut.
    "TotalPop": "if(u_nobody < 0.009e0, 0, "
    "cast(least(65535e0, 4060e0 * exp(0.4e0 * crowd + 0.02e0 * crowd * crowd * crowd)) as bigint))",
}
_VALUES = {
    "Men": "cast(TotalPop * (0.49e0 + 0.025e0 * z_Men) as bigint)",
    "VotingAgeCitizen": "cast(TotalPop * (0.7e0 + 0.055e0 * z_VotingAgeCitizen) as bigint)",
    "Employed": "cast(TotalPop * (0.46e0 + 0.055e0 * z_Employed) as bigint)",
    "Income": "if(TotalPop = 0 or u_no_income < 0.006e0, null, "
    "cast(least(250000e0, 55000e0 * exp(0.42e0 * wealth + 0.08e0 * z_Income)) as bigint))",
    "IncomePerCap": "if(TotalPop = 0, null, "
    "cast(27500e0 * exp(0.38e0 * wealth + 0.12e0 * z_IncomePerCap) as bigint))",
    "Poverty": "if(TotalPop = 0, null, "
    "cast(least(1000e0, 130e0 * exp(-0.5e0 * wealth + 0.45e0 * z_Poverty)) as bigint) / 10e0)",
    "MeanCommute": "if(TotalPop = 0, null, cast(greatest(20e0, 260e0 + 55e0 * z_MeanCommute) as bigint) / 10e0)",
    "Unemployment": "if(TotalPop = 0, null, "
    "cast(least(1000e0, 62e0 * exp(-0.3e0 * wealth + 0.45e0 * z_Unemployment)) as bigint) / 10e0)",
}
_VALUES_FROM_VALUES = {
    "Women": "TotalPop - Men",
    "IncomeErr": "cast(Income * 0.15e0 * exp(0.45e0 * z_IncomeErr) as bigint)",
    "IncomePerCapErr": "cast(IncomePerCap * 0.11e0 * exp(0.4e0 * z_IncomePerCapErr) as bigint)",
    # SQL's `least` skips nulls, hence the test.
    "ChildPoverty": "if(Poverty is null or u_no_children < 0.004e0, null, "
    "cast(least(1000e0, Poverty * 13e0 * exp(0.35e0 * z_ChildPoverty)) as bigint) / 10e0)",
}


_HASH = "row_hash"


def layers(columns: Sequence[str], rows: int, seed: int) -> list[list[str]]:
    """Return the SQL that makes `columns` of a table of `rows` rows out of `id`, and nothing else.

    Each layer is a whole select list over the layer before it; the last one is `columns` in some order.
    A cell depends on the seed and its row number and, in TractId, State and County, on `rows`.
    """
    formulas = _formulas(rows)
    drawn = sorted(
        {name for layer in formulas for text in layer.values() for name in re.findall(r"\b[zu]_\w+", text)}
    )
    formulas = [*_draws(drawn, seed), *formulas]
    names = {ROW_NUMBER, *(name for layer in formulas for name in layer)}
    needed, made = set(columns), []
    for layer in reversed(formulas):
        mine = {name: text for name, text in layer.items() if name in needed}
        carried = needed - mine.keys()
        made.append([*sorted(carried), *(f"{text} as {name}" for name, text in mine.items())])
        words = re.findall(r"\w+", re.sub(r"'[^']*'", "", " ".join(mine.values())))
        needed = carried | names.intersection(words)
    return made[::-1]


def _formulas(rows: int) -> list[dict[str, str]]:
    """All formulas; each layer's use the names of those before it."""
    weights = {
        f"weight_{name}": f"{usual}e0 * exp({spread}e0 * z_{name})"
        for members in _SHARES.values()
        for name, (usual, spread) in members.items()
    }
    totals = {group: " + ".join(f"weight_{name}" for name in members) for group, members in _SHARES.items()}
    shares = {
        name: f"if(TotalPop = 0, null, cast(1000e0 * weight_{name} / {group} as bigint) / 10e0)"
        for group, members in _SHARES.items()
        for name in members
    }
    layers_of_values = [_DRAWN | weights, _TOTAL | totals, _VALUES | shares, _VALUES_FROM_VALUES, {}]
    return [values | where for values, where in zip(layers_of_values, geography(rows), strict=True)]


def _draws(names: Sequence[str], seed: int) -> list[dict[str, str]]:
    """Numbers of a row's own, drawn from the hash of the seed, the row's number and the name."""
    made = [
        {_HASH: all_steps(ROW_NUMBER, hash_of(seed % 2**64, SEED))},
        {f"step_1_{name}": first_step(zlib.crc32(name.encode()), _HASH) for name in names},
    ]
    for i in range(2, 6):
        made.append({f"step_{i}_{name}": next_step(i, f"step_{i - 1}_{name}") for name in names})
    return [*made, {name: _number(name, f"step_5_{name}") for name in names}]


def _number(name: str, bits: str) -> str:
    if name.startswith("u_"):
        return f"(({bits} >> 11) + 0.5e0) * {2.0**-53!r}"
    # How many of 48 bits are set is close to normal; the other 16 bits fill the steps. The variance is 12 + 1/12.
    return f"(bit_count({bits} >> 16) + ({bits} & 65535) / 65536e0 - 24.5e0) / 3.476e0"
