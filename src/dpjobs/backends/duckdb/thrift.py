"""As much of Thrift's compact protocol as a Parquet footer's schema takes: see `footer`."""

from collections.abc import Iterator
from typing import NamedTuple

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_SIZES = {_TRUE: 0, _FALSE: 0, _BYTE: 1, _DOUBLE: 8}


class Field(NamedTuple):
    """A field of a struct: its number, its type, and the bytes of its value."""

    number: int
    type: int
    value: bytes


def varint(number: int) -> bytes:
    """Write a whole number that is not negative."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def text(value: bytes) -> bytes:
    """Write a text."""
    return varint(len(value)) + value


def structs(values: list[bytes]) -> bytes:
    """Write a list of structs."""
    size = len(values)
    head = bytes([size << 4 | _STRUCT]) if size < 15 else bytes([0xF0 | _STRUCT]) + varint(size)
    return head + b"".join(values)


def struct(fields: list[Field]) -> bytes:
    """Write a struct of fields in the order of their numbers."""
    out, last = bytearray(), 0
    for number, type_, value in fields:
        if not 0 < number - last < 16:
            raise ValueError("fields of a schema have numbers near to each other")
        out += bytes([(number - last) << 4 | type_]) + value
        last = number
    return bytes(out) + b"\0"


class Reader:
    """Reads values one after the other; raises IndexError or ValueError where they are none."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def varint(self) -> int:
        """Read a whole number that is not negative."""
        number = shift = 0
        while (byte := self._byte()) > 127:
            number |= (byte & 127) << shift
            shift += 7
        return number | byte << shift

    def whole(self) -> int:
        """Read a whole number with a sign."""
        number = self.varint()
        return number >> 1 ^ -(number & 1)

    def text(self) -> bytes:
        """Read a text."""
        size = self.varint()
        self.at += size
        return self.data[self.at - size : self.at]

    def fields(self) -> Iterator[Field]:
        """Read a struct, field by field."""
        number = 0
        while (head := self._byte()) & 15:
            number = number + (head >> 4) if head >> 4 else self.whole()
            start = self.at
            self._skip(head & 15)
            yield Field(number, head & 15, self.data[start : self.at])

    def structs(self) -> Iterator[list[Field]]:
        """Read a list of structs."""
        size, type_ = self._list()
        if type_ != _STRUCT:
            raise ValueError("a schema is a list of structs")
        for _ in range(size):
            yield list(self.fields())

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _list(self) -> tuple[int, int]:
        head = self._byte()
        return head >> 4 if head >> 4 < 15 else self.varint(), head & 15

    def _skip(self, type_: int, in_list: bool = False) -> None:
        if type_ in _SIZES:
            self.at += _SIZES[type_] or in_list
        elif type_ in (_I16, _I32, _I64):
            self.varint()
        elif type_ == _BINARY:
            self.text()
        elif type_ in (_LIST, _SET):
            size, inner = self._list()
            for _ in range(size):
                self._skip(inner, in_list=True)
        elif type_ == _MAP:
            if size := self.varint():
                types = self._byte()
                for _ in range(size):
                    self._skip(types >> 4, in_list=True)
                    self._skip(types & 15, in_list=True)
        elif type_ == _STRUCT:
            for _ in self.fields():
                pass
        else:
            raise ValueError("no type of Thrift's")
