"""One input of a Core ML program: how a caller's value becomes its tensor."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lesionlite.errors import LesionliteError
from lesionlite.export.mil.graph import TYPES, shape_of, type_of

Value = np.ndarray[Any, Any] | Image.Image


@dataclass(frozen=True)
class Input:
    """One input of the program; it converts a caller's value to the tensor of its slot."""

    name: str
    slot: int
    shape: tuple[int, ...]
    type: str  # MIL's name of it
    channel_order: str  # "RGB" or "BGR"; "" if the input is no image

    def tensor(self, value: Value) -> Tensor:
        """The input's tensor.

        Raises:
            LesionliteError: the value has another shape or type.
        """
        array = self._pixels(value) if self.channel_order else self._numbers(value)
        if self.type == "fp16":
            array = array.astype(np.float16)
        dtype = TYPES[self.type][0]
        return torch.from_numpy(np.array(array, order="C")).to(dtype)

    def _pixels(self, value: Value) -> np.ndarray[Any, Any]:
        height, width = self.shape[2:]
        if isinstance(value, Image.Image) and value.mode != "RGB":
            raise LesionliteError(f"input {self.name!r} takes RGB images, not {value.mode}")
        array = np.asarray(value)
        if array.ndim == 4 and len(array) == 1:
            array = array[0]
        if array.dtype != np.uint8 or array.shape != (height, width, 3):
            raise LesionliteError(
                f"input {self.name!r} takes a uint8 RGB image of {width}x{height} pixels "
                f"([{height}, {width}, 3]), not {array.dtype} {list(array.shape)}"
            )
        array = array[:, :, ::-1] if self.channel_order == "BGR" else array
        return array.transpose(2, 0, 1)[None]

    def _numbers(self, value: Value) -> np.ndarray[Any, Any]:
        array = np.asarray(value)
        kinds = "fiub" if self.type.startswith("fp") else "iub"
        if isinstance(value, Image.Image) or array.dtype.kind not in kinds:
            raise LesionliteError(f"input {self.name!r} takes an array of {self.type}")
        if array.shape != self.shape:
            raise LesionliteError(
                f"input {self.name!r} takes shape {list(self.shape)}, not {list(array.shape)}"
            )
        return array


def input_of(feature: Any, var: Any, slot: int) -> Input:
    """The input that a package describes.

    Args:
        feature: its description (protobuf).
        var: coremltools' variable of it.
        slot: of its tensor in the graph.

    Raises:
        LesionliteError: it is neither an RGB or BGR image nor an array.
    """
    kind = feature.type.WhichOneof("Type")
    shape = shape_of(var)
    channel_order = ""
    if kind == "imageType":
        image = feature.type.imageType
        channel_order = image.ColorSpace.Name(image.colorSpace)
        if channel_order not in ("RGB", "BGR"):
            raise LesionliteError(
                f"image input {feature.name!r} is {channel_order}, not RGB or BGR"
            )
        if shape != (1, 3, image.height, image.width):
            raise LesionliteError(f"image input {feature.name!r} feeds a tensor {list(shape)}")
    elif kind != "multiArrayType":
        raise LesionliteError(f"input {feature.name!r} is neither an image nor an array")
    return Input(feature.name, slot, shape, type_of(var), channel_order)
