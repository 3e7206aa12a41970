"""Arrow arrays of physical values, as DuckDB is given them: no value is looked at one by one, and none fails."""

from typing import Any

from dpjobs.backends.duckdb.lines import MAX_LINE, to_ascii


def texts(cells: Any) -> Any:
    """A dictionary of bytes as one of texts: each cut to MAX_LINE bytes, then in ASCII (see `lines`)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = cells.dictionary
    offsets, data = _bytes(values)
    if len(values) and int((offsets[1:] - offsets[:-1]).max()) > MAX_LINE:
        values = pc.binary_slice(values, 0, MAX_LINE)
        offsets, data = _bytes(values)
    buffers = (pa.py_buffer(offsets), pa.py_buffer(to_ascii(data)))
    return pa.DictionaryArray.from_arrays(cells.indices, pa.StringArray.from_buffers(len(values), *buffers))


def _bytes(values: Any) -> tuple[Any, bytes]:
    """The offsets of an array of bytes, from 0 on, and its bytes."""
    import numpy

    _, offsets, data = values.buffers()
    known = numpy.frombuffer(offsets, numpy.int32)[values.offset : values.offset + len(values) + 1]
    start, end = int(known[0]), int(known[-1])
    return known - numpy.int32(start), data.slice(start, end - start).to_pybytes() if data else b""


def presence(cells: Any) -> Any:
    """True for every value, null for null."""
    import numpy

    return _array(numpy.ones(len(cells), bool), cells)


def widened(cells: Any, type_: Any) -> Any:
    """The same numbers in a type; 32 bits that become 64 are unsigned ones."""
    import pyarrow as pa

    if cells.type == type_:
        return cells
    return cells.view(pa.uint32()).cast(type_)


def unsigned(cells: Any) -> Any:
    """64 bits as they are, without a sign."""
    import pyarrow as pa

    return cells.view(pa.uint64())


def whole(cells: Any) -> Any:
    """Whole numbers of a fixed width of up to eight bytes, from the highest on."""
    return _array(_fixed(cells, 8).view(">i8").astype("i8").reshape(-1), cells)


def halves(cells: Any) -> list[Any]:
    """The upper and the lower 64 bits of whole numbers; null where they have no byte, or more than sixteen."""
    import pyarrow as pa

    wide, fits = (_fixed(cells, 16), True) if pa.types.is_fixed_size_binary(cells.type) else _variable(cells)
    high = wide[:, :8].copy().view(">i8").astype("i8").reshape(-1)
    low = wide[:, 8:].copy().view(">u8").astype("u8").reshape(-1)
    return [_array(high, cells, fits), _array(low, cells, fits)]


def _array(values: Any, cells: Any, fits: Any = True) -> Any:
    """Values with the nulls of the cells, and where one does not fit."""
    import numpy
    import pyarrow as pa

    valid = cells.is_valid().to_numpy(zero_copy_only=False) if cells.null_count else numpy.ones(len(cells), bool)
    return pa.array(values, mask=~(valid & fits))


def _fixed(cells: Any, width: int) -> Any:
    """A row of `width` bytes for each value, its sign before it."""
    import numpy

    own = cells.type.byte_width
    data = cells.buffers()[1]
    start = cells.offset * own
    values = numpy.frombuffer(data, numpy.uint8)[start : start + len(cells) * own].reshape(len(cells), own)
    wide = numpy.empty((len(cells), width), numpy.uint8)
    wide[:] = numpy.where(values[:, :1] >= 128, 255, 0)
    wide[:, width - own :] = values
    return wide


def _variable(cells: Any) -> tuple[Any, Any]:
    """The same of values of any length, and whether each has one to sixteen bytes."""
    import numpy

    offsets, data = _bytes(cells)
    lengths = offsets[1:] - offsets[:-1]
    fits = (lengths > 0) & (lengths <= 16)
    own = numpy.frombuffer(data + b"\0", numpy.uint8)  # never empty
    places = offsets[1:, None] - 16 + numpy.arange(16)
    inside = numpy.arange(16) >= 16 - numpy.where(fits, lengths, 0)[:, None]
    negative = own[numpy.minimum(offsets[:-1], len(own) - 1)] >= 128
    wide = numpy.where(inside, own[numpy.where(inside, places, 0)], numpy.where(negative, 255, 0)[:, None])
    return wide.astype(numpy.uint8), fits
