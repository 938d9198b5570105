"""Reads Protocol Buffers messages field by field, without a schema and without copies.

A few bytes of a message can stand for very many small objects. So every field that is looked at
counts against a budget, and numbers stay in the file's own memory until they are asked for.
"""

import struct
from collections.abc import Iterator

MOST_FIELDS = 200_000
"""Of all messages of a file together; the largest published face networks have a tenth."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_SIZES = {FIXED64: 8, FIXED32: 4}


class MessageError(ValueError):
    """The bytes are no message, or not the one that is expected."""


class Budget:
    """How many fields may still be read."""

    def __init__(self, fields: int = MOST_FIELDS) -> None:
        self._left = fields

    def spend(self, fields: int = 1) -> None:
        """Count some fields (``MessageError`` where there are too many)."""
        self._left -= fields
        if self._left < 0:
            raise MessageError(f"has more than {MOST_FIELDS} parts")


class Message:
    """The fields of one message.

    Args:
        content: its bytes.
        budget: shared by all messages of a file.

    Raises:
        MessageError: the bytes are no message.
    """

    def __init__(self, content: memoryview, budget: Budget) -> None:
        self._budget = budget
        self._fields: dict[int, list[tuple[int, int | memoryview]]] = {}
        for number, kind, value in _fields(content, budget):
            self._fields.setdefault(number, []).append((kind, value))

    def __contains__(self, number: int) -> bool:
        return number in self._fields

    def messages(self, number: int) -> Iterator["Message"]:
        """The messages of a repeated field."""
        for content in self.contents(number):
            yield Message(content, self._budget)

    def message(self, number: int) -> "Message | None":
        """The message of a field, the last one where it is repeated; None where it is missing."""
        found = self.contents(number)
        return Message(found[-1], self._budget) if found else None

    def contents(self, number: int) -> list[memoryview]:
        """The bytes of a repeated field."""
        return [_bytes(kind, value) for kind, value in self._fields.get(number, ())]

    def texts(self, number: int) -> list[str]:
        """The texts of a repeated field."""
        try:
            return [str(one, "utf-8") for one in self.contents(number)]
        except UnicodeDecodeError:
            raise MessageError("holds a name that is no text") from None

    def text(self, number: int) -> str:
        """The text of a field; empty where it is missing."""
        found = self.texts(number)
        return found[-1] if found else ""

    def integers(self, number: int) -> list[int]:
        """The signed integers of a repeated field, packed or not."""
        found: list[int] = []
        for kind, value in self._fields.get(number, ()):
            if isinstance(value, int) and kind == VARINT:
                found.append(_signed(value))
                continue
            packed, at = _bytes(kind, value), 0
            while at < len(packed):
                self._budget.spend()
                one, at = _varint(packed, at)
                found.append(_signed(one))
        return found

    def integer(self, number: int, otherwise: int = 0) -> int:
        """The signed integer of a field."""
        found = self.integers(number)
        return found[-1] if found else otherwise

    def floats(self, number: int) -> bytes:
        """The float32 numbers of a repeated field, packed or not, as little-endian bytes."""
        kinds = {kind for kind, _ in self._fields.get(number, ())}
        if not kinds <= {FIXED32, BYTES}:
            raise MessageError("holds a number of another kind than expected")
        values = (value for _, value in self._fields.get(number, ()))
        return b"".join(value for value in values if isinstance(value, memoryview))

    def single(self, number: int) -> float:
        """The float32 of a field."""
        return float(struct.unpack("<f", self.floats(number)[-4:])[0])


def _fields(content: memoryview, budget: Budget) -> Iterator[tuple[int, int, int | memoryview]]:
    """Number, wire type and value of every field."""
    at = 0
    while at < len(content):
        budget.spend()
        tag, at = _varint(content, at)
        number, kind = tag >> 3, tag & 7
        value: int | memoryview
        if kind == VARINT:
            value, at = _varint(content, at)
        elif kind == BYTES or kind in _SIZES:
            size = _SIZES.get(kind, 0)
            if kind == BYTES:
                size, at = _varint(content, at)
            if size > len(content) - at:
                raise MessageError("is cut off")
            value, at = content[at : at + size], at + size
        else:
            raise MessageError("is damaged, or of another format")
        if number == 0:
            raise MessageError("is damaged, or of another format")
        yield number, kind, value


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """A number of up to 64 bits and where it ends."""
    value = shift = 0
    for byte in content[at : at + 10]:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value & (2**64 - 1), at + shift // 7
    raise MessageError("is cut off" if len(content) - at < 10 else "is damaged")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _bytes(kind: int, value: int | memoryview) -> memoryview:
    if kind != BYTES or not isinstance(value, memoryview):
        raise MessageError("holds a number where text or a message is expected")
    return value
