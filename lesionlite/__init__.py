"""lesionlite: from a folder of images to phone models that are proven.

Names are imported when they are used, so that `import lesionlite` is fast.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lesionlite.api import adjust as adjust
    from lesionlite.api import benchmark as benchmark
    from lesionlite.api import build as build
    from lesionlite.api import check as check
    from lesionlite.api import compare as compare
    from lesionlite.api import embed as embed
    from lesionlite.api import evaluate as evaluate
    from lesionlite.api import export as export
    from lesionlite.api import load as load
    from lesionlite.api import train as train
    from lesionlite.api import verify as verify
    from lesionlite.benchmark.compare.config import CompareConfig as CompareConfig
    from lesionlite.benchmark.config import BenchmarkConfig as BenchmarkConfig
    from lesionlite.contract import Contract as Contract
    from lesionlite.errors import LesionliteError as LesionliteError
    from lesionlite.export.config import ExportConfig as ExportConfig
    from lesionlite.mobile_app_stub.identity import Identity as Identity
    from lesionlite.train.calibrate.config import AdjustConfig as AdjustConfig
    from lesionlite.train.config import TrainConfig as TrainConfig
    from lesionlite.train.objective.imbalance import ens_weights as ens_weights
    from lesionlite.train.objective.imbalance import sampling_weights as sampling_weights
    from lesionlite.train.recipes import recipe as recipe

_PUBLIC = {  # name: the module that defines it
    "AdjustConfig": "lesionlite.train.calibrate.config",
    "BenchmarkConfig": "lesionlite.benchmark.config",
    "CompareConfig": "lesionlite.benchmark.compare.config",
    "Contract": "lesionlite.contract",
    "ExportConfig": "lesionlite.export.config",
    "Identity": "lesionlite.mobile_app_stub.identity",
    "LesionliteError": "lesionlite.errors",
    "TrainConfig": "lesionlite.train.config",
    **dict.fromkeys(
        ("adjust", "build", "check", "compare", "embed", "evaluate", "load", "verify"),
        "lesionlite.api",
    ),
    **dict.fromkeys(("ens_weights", "sampling_weights"), "lesionlite.train.objective.imbalance"),
    "recipe": "lesionlite.train.recipes",
}
_STEPS = ("train", "export", "benchmark")  # functions, and the packages of the same names
__all__ = sorted((*_PUBLIC, *_STEPS))


def __getattr__(name: str) -> Any:
    if name in _STEPS:
        return import_module(f"lesionlite.{name}")
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'lesionlite' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


class CallablePackage(ModuleType):
    """A package that can be called like the function of its name: `lesionlite.train(data, out)`.

    `lesionlite.train` cannot be the function itself: Python replaces it by the package as soon as
    something imports `lesionlite.train`.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function in `lesionlite.api`."""
        return self.__wrapped__(*args, **kwargs)

    @property
    def __wrapped__(self) -> Any:
        """The function, for `inspect.signature` and `help`."""
        api = import_module("lesionlite.api")
        return getattr(api, self.__name__.rpartition(".")[2])
