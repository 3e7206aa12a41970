"""The synthetic census table: its columns, and the Spark SQL that makes each cell from a hash of its place.

Numbers here are invented and plausible; Spark's hash is their only source, so a seed always gives the same
table. It is not a source of noise for privacy: that comes from the engines alone.
"""

import re
import zlib
from collections.abc import Sequence

from dpcloud.data.places import place

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
# the row's own; a number with D is a double, without it SQL would take slow decimals.
_DRAWN = {"crowd": "z_TotalPop", "wealth": "z_wealth"}
_TOTAL = {
    # About 4,000 people; the cube stretches the tails from some 50 to the cut.
    "TotalPop": "if(u_nobody < 0.009D, 0L, "
    "cast(least(65535D, rint(4060D * exp(0.4D * crowd + 0.02D * crowd * crowd * crowd))) as bigint))",
}
_VALUES = {
    "Men": "cast(rint(TotalPop * (0.49D + 0.025D * z_Men)) as bigint)",
    "VotingAgeCitizen": "cast(rint(TotalPop * (0.7D + 0.055D * z_VotingAgeCitizen)) as bigint)",
    "Employed": "cast(rint(TotalPop * (0.46D + 0.055D * z_Employed)) as bigint)",
    "Income": "if(TotalPop = 0 or u_no_income < 0.006D, null, "
    "cast(least(250000D, rint(55000D * exp(0.42D * wealth + 0.08D * z_Income))) as bigint))",
    "IncomePerCap": "if(TotalPop = 0, null, "
    "cast(rint(27500D * exp(0.38D * wealth + 0.12D * z_IncomePerCap)) as bigint))",
    "Poverty": "if(TotalPop = 0, null, rint(least(1000D, 130D * exp(-0.5D * wealth + 0.45D * z_Poverty))) / 10D)",
    "MeanCommute": "if(TotalPop = 0, null, rint(greatest(20D, 260D + 55D * z_MeanCommute)) / 10D)",
    "Unemployment": "if(TotalPop = 0, null, "
    "rint(least(1000D, 62D * exp(-0.3D * wealth + 0.45D * z_Unemployment))) / 10D)",
}
_VALUES_FROM_VALUES = {
    "Women": "TotalPop - Men",
    "IncomeErr": "cast(rint(Income * 0.15D * exp(0.45D * z_IncomeErr)) as bigint)",
    "IncomePerCapErr": "cast(rint(IncomePerCap * 0.11D * exp(0.4D * z_IncomePerCapErr)) as bigint)",
    # Spark's `least` skips nulls, hence the test.
    "ChildPoverty": "if(Poverty is null or u_no_children < 0.004D, null, "
    "rint(least(1000D, Poverty * 13D * exp(0.35D * z_ChildPoverty))) / 10D)",
}


def layers(columns: Sequence[str], rows: int, seed: int) -> list[list[str]]:
    """Return the Spark SQL that makes `columns` of a table of `rows` rows out of `id`, and nothing else.

    Each layer is a whole select list over the layer before it; the last one is `columns` in some order.
    A cell depends on the seed and its row number and, in TractId, State and County, on `rows`.
    """
    formulas = [
        {name: re.sub(r"\b[zu]_\w+", lambda drawn: _number(drawn[0], seed), text) for name, text in layer.items()}
        for layer in _formulas(rows)
    ]
    known = {ROW_NUMBER, *(name for layer in formulas for name in layer)}
    needed, made = set(columns), []
    for layer in reversed(formulas):
        mine = {name: text for name, text in layer.items() if name in needed}
        carried = needed - mine.keys()
        made.append([*sorted(carried), *(f"{text} as {name}" for name, text in mine.items())])
        words = re.findall(r"\w+", re.sub(r"'[^']*'", "", " ".join(mine.values())))
        needed = carried | known.intersection(words)
    return made[::-1]


def _formulas(rows: int) -> list[dict[str, str]]:
    """All formulas; each layer's use the names of those before it."""
    weights = {
        f"weight_{name}": f"{usual}D * exp({spread}D * z_{name})"
        for members in _SHARES.values()
        for name, (usual, spread) in members.items()
    }
    totals = {group: " + ".join(f"weight_{name}" for name in members) for group, members in _SHARES.items()}
    shares = {
        name: f"if(TotalPop = 0, null, rint(1000D * weight_{name} / {group}) / 10D)"
        for group, members in _SHARES.items()
        for name in members
    }
    layers_of_values = [_DRAWN | weights, _TOTAL | totals, _VALUES | shares, _VALUES_FROM_VALUES, {}]
    return [values | where for values, where in zip(layers_of_values, place(rows), strict=True)]


def _number(name: str, seed: int) -> str:
    """A number of the row's own, drawn from the hash of the seed, the row's number and the name."""
    bits = f"xxhash64({seed}L, id, {zlib.crc32(name.encode())}L)"
    if name.startswith("u_"):
        return f"((shiftrightunsigned({bits}, 11) + 0.5D) * {2.0**-53!r}D)"
    # How many of 48 bits are set is close to normal; the other 16 bits fill the steps. The variance is 12 + 1/12.
    return f"((bit_count(shiftrightunsigned({bits}, 16)) + ({bits} & 65535L) / 65536D - 24.5D) / 3.476D)"
