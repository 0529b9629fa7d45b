"""TFLite Metadata, which MediaPipe Tasks and Android Studio read from a `.tflite` file.

The metadata are a flatbuffer (metadata_schema.fbs, identifier M001) in one of the model's buffers.
A metadata entry named TFLITE_METADATA points to that buffer. Files that the metadata name are
appended to the model as a ZIP archive. No dependency of lesionlite has classes for the schema, so
this module writes the tables by slot number. A test reads them with MediaPipe's classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lesionlite.contract import Contract
from lesionlite.export.metadata import INPUT, PROBABILITIES, Metadata

NAME, IDENTIFIER, MODEL_IDENTIFIER = "TFLITE_METADATA", b"M001", b"TFL3"
LABELS = "labels.txt"
PARSER = "1.0.0"  # the oldest reader that knows all fields used here
AXIS_LABELS, RGB, IMAGE_PROPERTIES, NORMALIZATION = (
    2,
    1,
    2,
    1,
)  # values of the schema's enums and unions


@dataclass(frozen=True)
class _Byte:
    value: int


@dataclass(frozen=True)
class _Word:
    value: int


class _Tables:
    """Writes a flatbuffer from its leaves up; each method returns the offset of what it wrote."""

    def __init__(self) -> None:
        import flatbuffers

        self.builder = flatbuffers.Builder(1024)

    def text(self, value: str) -> int:
        return int(self.builder.CreateString(value))

    def floats(self, values: Sequence[float]) -> int:
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.builder.PrependFloat32(value)
        return int(self.builder.EndVector())

    def list(self, *offsets: int) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def table(self, slots: int, values: "dict[int, int | _Byte | _Word]") -> int:
        """A table with `slots` slots, given values by slot; a plain int is an offset."""
        self.builder.StartObject(slots)
        for slot, value in values.items():
            if isinstance(value, _Byte):
                self.builder.PrependUint8Slot(slot, value.value, 0)
            elif isinstance(value, _Word):
                self.builder.PrependUint32Slot(slot, value.value, 0)
            else:
                self.builder.PrependUOffsetTRelativeSlot(slot, value, 0)
        return int(self.builder.EndObject())

    def finish(self, root: int) -> bytes:
        self.builder.Finish(root, IDENTIFIER)
        return bytes(self.builder.Output())


def build(contract: Contract, metadata: Metadata) -> bytes:
    """The metadata flatbuffer of a model: image in, probabilities out, labels in `LABELS`."""
    tables = _Tables()
    subgraph = tables.table(
        10, {2: tables.list(_input(tables, contract)), 3: tables.list(_output(tables))}
    )
    # ModelMetadata: name, description, version, subgraphs, author, license, files, parser.
    slots = {"description": 1, "version": 2, "author": 4, "license": 5}
    values = {slots[name]: tables.text(value) for name, value in metadata.given().items()}
    values |= {3: tables.list(subgraph), 7: tables.text(PARSER)}
    return tables.finish(tables.table(8, {0: tables.text("Image classifier"), **values}))


def _input(tables: _Tables, contract: Contract) -> int:
    """TensorMetadata of the image: RGB, S x S, 0..255, without normalization."""
    size = tables.table(2, {0: _Word(contract.side), 1: _Word(contract.side)})
    image = tables.table(2, {0: _Byte(RGB), 1: size})
    options = tables.table(2, {0: tables.floats([0.0]), 1: tables.floats([1.0])})
    return tables.table(
        7,
        {
            0: tables.text("image"),
            1: tables.text(INPUT),
            3: tables.table(3, {0: _Byte(IMAGE_PROPERTIES), 1: image}),
            4: tables.list(tables.table(2, {0: _Byte(NORMALIZATION), 1: options})),
            5: tables.table(2, {0: tables.floats([255.0]), 1: tables.floats([0.0])}),
        },
    )


def _output(tables: _Tables) -> int:
    """TensorMetadata of the probabilities, with the labels of their axis."""
    labels = tables.table(5, {0: tables.text(LABELS), 2: _Byte(AXIS_LABELS)})
    return tables.table(
        7,
        {
            0: tables.text("probabilities"),
            1: tables.text(PROBABILITIES),
            5: tables.table(2, {0: tables.floats([1.0]), 1: tables.floats([0.0])}),
            6: tables.list(labels),
        },
    )


def embed(model: bytes, data: bytes) -> bytes:
    """Add the metadata flatbuffer `data` to the model.

    The quantizer may store weights after the model's flatbuffer, where some runtimes do not find
    them. So this function moves them into the flatbuffer.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    tree: Any = schema.ModelT.InitFromPackedBuf(model)
    for buffer in tree.buffers:
        if buffer.size:
            buffer.data = _bytes(model[buffer.offset : buffer.offset + buffer.size])
            buffer.offset = buffer.size = 0
    entry, buffer = schema.MetadataT(), schema.BufferT()
    entry.name, entry.buffer, buffer.data = NAME, len(tree.buffers), _bytes(data)
    tree.metadata = [*(tree.metadata or []), entry]
    tree.buffers.append(buffer)
    builder = flatbuffers.Builder(len(model) + len(data))
    builder.Finish(tree.Pack(builder), MODEL_IDENTIFIER)
    return bytes(builder.Output())


def _bytes(data: bytes) -> Any:
    import numpy as np

    return np.frombuffer(data, np.uint8)
