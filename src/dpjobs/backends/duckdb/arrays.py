"""Arrow arrays of physical values, as DuckDB is given them: no value is looked at one by one, and none fails."""

from collections.abc import Iterator
from typing import Any

from dpjobs.backends.duckdb.lines import MAX_LINE, to_ascii


def texts(cells: Any) -> Any:
    """Bytes, or a dictionary of them, as texts: each cut to MAX_LINE bytes, then in ASCII (see `lines`)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(cells.type):
        return pa.DictionaryArray.from_arrays(cells.indices, texts(cells.dictionary))
    offsets, data = _bytes(cells)
    if len(cells) and int((offsets[1:] - offsets[:-1]).max()) > MAX_LINE:
        cells = pc.binary_slice(cells, 0, MAX_LINE)
        offsets, data = _bytes(cells)
    valid = cells.is_valid().buffers()[1] if cells.null_count else None
    buffers = (pa.py_buffer(offsets), pa.py_buffer(to_ascii(data)), valid)
    return pa.StringArray.from_buffers(len(cells), *buffers)


def parts(batch: Any, size: int) -> Iterator[Any]:
    """Split a batch of texts where its rows take more than `size` bytes: DuckDB copies each."""
    import numpy
    import pyarrow as pa

    cells = batch.column(0)
    is_kept = pa.types.is_dictionary(cells.type)
    offsets, _ = _bytes(cells.dictionary if is_kept else cells)
    lengths = offsets[1:] - offsets[:-1]
    if is_kept:
        lengths = numpy.append(lengths, 0)[cells.indices.fill_null(len(lengths)).to_numpy()]
    upto = numpy.cumsum(lengths, dtype=numpy.int64)
    start = 0
    while start < len(batch):
        before = upto[start - 1] if start else 0
        end = max(start + 1, int(numpy.searchsorted(upto, before + size, "right")))
        yield batch.slice(start, end - start)
        start = end


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
