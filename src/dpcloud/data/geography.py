"""Where a synthetic census tract lies: the real states and their real numbers of counties and tracts."""

from collections.abc import Sequence
from itertools import accumulate

# Name, FIPS code, counties, census tracts of 2010.
_STATES = (
    ("Alabama", 1, 67, 1181),
    ("Alaska", 2, 29, 167),
    ("Arizona", 4, 15, 1526),
    ("Arkansas", 5, 75, 686),
    ("California", 6, 58, 8057),
    ("Colorado", 8, 64, 1249),
    ("Connecticut", 9, 8, 833),
    ("Delaware", 10, 3, 218),
    ("District of Columbia", 11, 1, 179),
    ("Florida", 12, 67, 4245),
    ("Georgia", 13, 159, 1969),
    ("Hawaii", 15, 5, 351),
    ("Idaho", 16, 44, 298),
    ("Illinois", 17, 102, 3123),
    ("Indiana", 18, 92, 1511),
    ("Iowa", 19, 99, 825),
    ("Kansas", 20, 105, 770),
    ("Kentucky", 21, 120, 1115),
    ("Louisiana", 22, 64, 1148),
    ("Maine", 23, 16, 358),
    ("Maryland", 24, 24, 1406),
    ("Massachusetts", 25, 14, 1478),
    ("Michigan", 26, 83, 2813),
    ("Minnesota", 27, 87, 1338),
    ("Mississippi", 28, 82, 664),
    ("Missouri", 29, 115, 1393),
    ("Montana", 30, 56, 271),
    ("Nebraska", 31, 93, 532),
    ("Nevada", 32, 17, 687),
    ("New Hampshire", 33, 10, 295),
    ("New Jersey", 34, 21, 2010),
    ("New Mexico", 35, 33, 499),
    ("New York", 36, 62, 4918),
    ("North Carolina", 37, 100, 2195),
    ("North Dakota", 38, 53, 205),
    ("Ohio", 39, 88, 2952),
    ("Oklahoma", 40, 77, 1046),
    ("Oregon", 41, 36, 834),
    ("Pennsylvania", 42, 67, 3218),
    ("Rhode Island", 44, 5, 244),
    ("South Carolina", 45, 46, 1103),
    ("South Dakota", 46, 66, 222),
    ("Tennessee", 47, 95, 1497),
    ("Texas", 48, 254, 5265),
    ("Utah", 49, 29, 588),
    ("Vermont", 50, 14, 184),
    ("Virginia", 51, 133, 1907),
    ("Washington", 53, 39, 1458),
    ("West Virginia", 54, 55, 484),
    ("Wisconsin", 55, 72, 1409),
    ("Wyoming", 56, 23, 132),
    ("Puerto Rico", 72, 78, 945),
)
_STARTS = (0, *accumulate(tracts for *_, tracts in _STATES))
_FIPS = {name: fips for name, fips, *_ in _STATES}

_COUNTY_NAMES = [
    "Adams",
    "Allen",
    "Baker",
    "Benton",
    "Boone",
    "Brown",
    "Butler",
    "Calhoun",
    "Carroll",
    "Cass",
    "Cherokee",
    "Clark",
    "Clay",
    "Clinton",
    "Columbia",
    "Crawford",
    "Cumberland",
    "Dallas",
    "Douglas",
    "Fayette",
    "Franklin",
    "Fulton",
    "Grant",
    "Greene",
    "Hamilton",
    "Hancock",
    "Hardin",
    "Harrison",
    "Henry",
    "Howard",
    "Jackson",
    "Jasper",
    "Jefferson",
    "Johnson",
    "Knox",
    "Lake",
    "Lawrence",
    "Lee",
    "Lincoln",
    "Logan",
    "Macon",
    "Madison",
    "Marion",
    "Marshall",
    "Mercer",
    "Monroe",
    "Montgomery",
    "Morgan",
    "Orange",
    "Perry",
    "Pike",
    "Polk",
    "Pulaski",
    "Putnam",
    "Randolph",
    "Richland",
    "Scott",
    "Shelby",
    "Taylor",
    "Union",
    "Warren",
    "Washington",
    "Wayne",
    "White",
]
_COUNTY_KINDS = {"Alaska": " Borough", "Louisiana": " Parish", "Puerto Rico": " Municipio"}
_COMPASS = ("", "North ", "East ", "Upper ")


def geography(rows: int) -> list[dict[str, str]]:
    """Where row `id` of `rows` lies: rows go through the real states and counties in order of TractId."""
    fips, counties, tracts = "(at_state >> 6 & 127)", "(at_state >> 13 & 255)", "(at_state >> 21 & 16383)"
    start = "(at_state >> 35)"
    names = len(_COUNTY_NAMES)
    name = _element(_COUNTY_NAMES, f"(at_county + 7 * (at_state & 63)) % {names}")
    kind = " ".join(f"when {_FIPS[state]} then '{kind}'" for state, kind in _COUNTY_KINDS.items())
    return [
        {"at_tract": f"id * {_STARTS[-1]} // {max(rows, 1)}"},
        {"at_state": _state_of("at_tract", 0, len(_STATES))},
        {"at_county": f"(at_tract - {start}) * {counties} // {tracts}"},
        {
            "in_county": f"id + 1 - (({start} + (at_county * {tracts} + {counties} - 1) // {counties}) * {rows} "
            f"+ {_STARTS[-1] - 1}) // {_STARTS[-1]}",
            "State": _element([state for state, *_ in _STATES], "at_state & 63"),
            "County": f"concat({_element(_COMPASS, f'at_county // {names}')}, {name}, "
            f"if(at_county % 8 = 3, ', City of', case {fips} {kind} else ' County' end))",
        },
        {
            "TractId": f"({fips} * 1000 + 2 * at_county + 1) * 1000000 "
            "+ (in_county % 10000) * 100 + (in_county // 10000) % 100",
        },
    ]


def _state_of(tract: str, low: int, high: int) -> str:
    """A search by halves for the state that a tract lies in, as nested ifs: its row of _STATES in one bigint."""
    if high - low > 1:
        middle = (low + high) // 2
        halves = _state_of(tract, low, middle), _state_of(tract, middle, high)
        return f"if({tract} < {_STARTS[middle]}, {halves[0]}, {halves[1]})"
    _, fips, counties, tracts = _STATES[low]
    return f"{low | fips << 6 | counties << 13 | tracts << 21 | _STARTS[low] << 35}::bigint"


def _element(texts: Sequence[str], index: str) -> str:
    """The text at an index from 0."""
    return f"[{', '.join(map(repr, texts))}][({index}) + 1]"
