"""Read state dicts from the files that training tools write. No code in a file is executed."""

import argparse
import re
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from lesionlite.errors import LesionliteError, first_line
from lesionlite.train import cvnets

AVERAGES = ("state_dict_ema", "model_ema", "ema_state_dict", "model_ema_state_dict", "ema")
WEIGHTS = ("state_dict", "model", "model_state_dict", "network", "net", "module", "weights")
STEM = "stem.conv.weight"  # timm's first convolution; ml-cvnets' is `cvnets.FIRST`
COUNTER = "num_batches_tracked"  # BatchNorm's counter, the only integer tensor
CONVERT = (
    "convert it where it was made: import torch; from safetensors.torch import save_file; "
    "s = torch.load({file!r}, map_location='cpu', weights_only=False); "
    "s = s.state_dict() if hasattr(s, 'state_dict') else s; "
    "s = s.get('state_dict_ema') or s.get('state_dict') or s.get('model') or s; "
    "save_file({{k: v.contiguous() for k, v in s.items()}}, 'weights.safetensors')"
)


@dataclass(frozen=True)
class State:
    """A network's tensors, read from a file.

    Attributes:
        tensors: by timm's or ml-cvnets' names; dense, finite, on the CPU.
        description: what was taken from the file and what was left out, such as "state_dict_ema,
            without module."; "" if the file holds nothing else.
    """

    tensors: dict[str, Tensor]
    description: str = ""


def read_state(file: Path, average: bool = True, names: Collection[str] = ()) -> State:
    """Read a network's weights from a file of safetensors or torch.

    Args:
        file: holds a state dict, or a checkpoint of timm, Lightning and the like that contains one.
        average: whether to prefer the moving average of the weights if the file holds both.
        names: of the network's own tensors; the file may have them with a prefix of a wrapper.

    Raises:
        LesionliteError: if there is no such file, no state dict in it, or an unusable tensor.
    """
    document = _load(file)
    keys, state = _find_state_dict(document, average)
    prefix, state = _strip_prefix(state, average, file, names)
    if not state:
        raise LesionliteError(
            f"{file} holds no state dict: it is {_describe(document)}; expected tensors by name, "
            f"or a checkpoint that has them as one of: {', '.join((*AVERAGES[:2], *WEIGHTS[:3]))}"
        )
    for name, tensor in state.items():
        _refuse_unfit(tensor, f"{file}: {name}")
    return State(state, ", ".join(filter(None, (" in ".join(reversed(keys)), prefix))))


def _load(file: Path) -> Any:
    if not file.is_file():
        if file.exists():
            raise LesionliteError(f"{file} is no regular file; a weights file is expected there")
        raise LesionliteError(f"there is no weights file {file} (or say --weights timm or none)")
    try:
        if file.suffix.lower() == ".safetensors":
            return load_file(file)
        # timm's train.py also saves its arguments, an argparse.Namespace. To load one is safe:
        # torch only sets its attributes (`_weights_only_unpickler`, NEWOBJ and BUILD).
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the readers raise many kinds
        if isinstance(error, UnpicklingError) and _is_torch_file(file):
            what = re.search(r"GLOBAL ([\w.]+)", str(error))
            named = f" ({what[1]})" if what else ""
            raise LesionliteError(
                f"{file} holds more than tensors{named}, which is not loaded; if you trust it, "
                + CONVERT.format(file=file.name)
            ) from error
        raise LesionliteError(
            f"{file} is damaged or no weights file ({first_line(error)})"
        ) from error


def _is_torch_file(file: Path) -> bool:
    """Whether a file starts like one of torch.save: as a ZIP archive or a pickle."""
    with file.open("rb") as stream:
        return stream.read(2)[:1] in (b"P", b"\x80")


def _find_state_dict(document: Any, average: bool) -> tuple[list[str], dict[str, Any]]:
    """The keys that lead to the state dict of a checkpoint, and the state dict."""
    taken: list[str] = []
    while isinstance(document, Mapping) and len(taken) < 4:  # a dictionary may contain itself
        keys = (*AVERAGES, *WEIGHTS) if average else (*WEIGHTS, *AVERAGES)
        inner = [k for k in keys if isinstance(document.get(k), Mapping) and document[k]]
        if not inner:
            break
        taken.append(inner[0])
        document = document[inner[0]]
    return taken, dict(document) if isinstance(document, Mapping) else {}


def _strip_prefix(
    state: Mapping[Any, Any], average: bool, file: Path, names: Collection[str]
) -> tuple[str, dict[str, Tensor]]:
    """Remove the prefix that a wrapper gave the names, and all tensors without that prefix.

    Returns:
        What was removed, in words, and the state dict; {} if it holds anything but tensors.
    """
    if any(not isinstance(k, str) for k in state):
        return "", {}
    found = [key.removesuffix(cvnets.FIRST) for key in state if key.endswith(cvnets.FIRST)]
    found += _prefixes(state, names)
    averaged = [prefix for prefix in found if "ema" in re.split(r"[._]", prefix)]
    plain = [prefix for prefix in found if prefix not in averaged]
    prefixes = (averaged or plain) if average else (plain or averaged)
    if len(prefixes) > 1:
        raise LesionliteError(
            f"{file} holds {len(prefixes)} networks ({', '.join(map(repr, prefixes))}); save the "
            "one that is meant alone"
        )
    prefix = prefixes[0] if prefixes else ""
    inside = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    if not all(isinstance(value, Tensor) for value in inside.values()):
        return "", {}
    if not prefix:
        return "", inside
    outside = [key for key in state if not key.startswith(prefix)]
    more = f" and {len(outside)} tensors of others ({outside[0]})" if outside else ""
    return f"without the prefix {prefix}{more}", inside


def _prefixes(state: Mapping[str, Any], names: Collection[str]) -> list[str]:
    """The prefixes with which a state dict has most of a network's names."""
    first = next(iter(names), "")
    ends = [key.removesuffix(first) for key in state if first and key.endswith(first)]
    return [end for end in ends if 2 * sum(end + name in state for name in names) > len(names)]


def _describe(document: Any) -> str:
    if isinstance(document, Mapping):
        names = ", ".join(map(str, list(document)[:5]))
        return f"a dictionary of {names}" if names else "an empty dictionary"
    return f"a {type(document).__name__}"


def _refuse_unfit(tensor: Tensor, where: str) -> None:
    """Refuse a tensor that cannot be a network's weights.

    Raises:
        LesionliteError: naming the tensor and the problem.
    """
    is_counter = where.endswith(COUNTER)
    problem = ""
    if tensor.is_meta:
        problem = "is on the device meta: it has a shape and no numbers"
    elif tensor.is_quantized:
        problem = "is quantized; expected float numbers"
    elif tensor.layout != torch.strided or tensor.is_nested:
        problem = f"is not dense ({tensor.layout})"
    elif not tensor.numel():
        problem = f"is empty (shape {list(tensor.shape)})"
    elif tensor.is_complex() or not (is_counter or tensor.is_floating_point()):
        problem = f"is of {str(tensor.dtype).removeprefix('torch.')}; expected float numbers"
    elif not torch.isfinite(tensor.float()).all():
        wrong = int((~torch.isfinite(tensor.float())).sum())
        problem = f"is not finite ({wrong} of {tensor.numel()} numbers are NaN or infinite)"
    if problem:
        raise LesionliteError(f"{where} {problem}; take another copy of the weights")


def looks_like(state: Mapping[str, Tensor]) -> tuple[str, int | None]:
    """Guess the network of a state dict from the names and shapes of its tensors.

    Returns:
        timm's name of a MobileViTv2, or "" for other networks; and the number of classes, or None.
    """
    stem, head = state.get(STEM), state.get("head.fc.weight")
    attention = any(key.endswith("attn.qkv_proj.weight") for key in state)
    if stem is None or not attention or stem.ndim != 4:
        return "", None
    width = stem.shape[0] * 100 // 32  # the stem of width 1 has 32 channels
    return f"mobilevitv2_{width:03d}", None if head is None else head.shape[0]


def load_state(
    network: torch.nn.Module,
    state: Mapping[str, Tensor],
    source: str,
    heads: Collection[str] = (),
) -> bool:
    """Load a state dict into a network.

    Args:
        network: to load into.
        state: tensors by timm's names.
        source: where they come from, for errors.
        heads: names of the classifier's tensors, which may be of other classes.

    Returns:
        Whether the classifier was left out because its number of classes differs.

    Raises:
        LesionliteError: if the state dict belongs to another network; it names which.
    """
    mine = network.state_dict()
    state = dict(state)
    replaced = False
    for key in heads:
        if key in state and state[key].shape != mine[key].shape:
            del state[key]
            replaced = True
    wrong = [
        f"{key} is {list(state[key].shape)}, not {list(mine[key].shape)}"
        for key in mine
        if key in state and state[key].shape != mine[key].shape
    ]
    missing = [key for key in mine if key not in state and not (replaced and key in heads)]
    unknown = [key for key in state if key not in mine]
    problems = wrong + [f"no {key}" for key in missing] + [f"unknown {key}" for key in unknown]
    if problems:
        more = f" and {len(problems) - 2} more differences" if len(problems) > 2 else ""
        raise LesionliteError(
            f"{source} does not fit the network: {'; '.join(problems[:2])}{more}; "
            + _advice(state, mine)
        )
    network.load_state_dict(state, strict=False)
    return replaced


def _advice(state: Mapping[str, Tensor], mine: Mapping[str, Tensor]) -> str:
    """What the user can do about a state dict that does not fit."""
    (theirs, classes), (wanted, outputs) = looks_like(state), looks_like(mine)
    if not theirs or not wanted:
        return "it is of another network; give the weights of the one that --model names"
    if theirs != wanted:
        return f"it is a {theirs}, and --model is {wanted}; pass --model {theirs}"
    if classes != outputs:
        return f"it has {classes} classes, and {outputs} are needed; give the data it was made of"
    return "it is damaged, or of a changed network; take another copy"
