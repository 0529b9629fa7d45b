"""The settings of a training run, as one frozen record."""

from dataclasses import dataclass
from typing import Any, Literal

from lesionlite.contract import MAX_RESIZE_SIDE, MAX_SIDE, MIN_SIDE, Contract
from lesionlite.metrics import Metric
from lesionlite.settings import MAX_SEED, MAX_THREADS, SEED, refuse_settings, refuse_types
from lesionlite.train.calibrate.config import doubt_rules
from lesionlite.train.objective.imbalance import Imbalance

# Far above any useful value. They stop a mistyped number from filling the memory.
MOST_EPOCHS, MOST_BATCH, MOST_DRAWS = 100_000, 65_536, 1000
MOST_TEMPERATURE, MOST_MIXUP = 100, 100

RARE_FLAGS = {  # `--help` shows these after the common flags, in groups
    "image size": ("side", "resize", "resize_side", "interpolation", "mean", "std"),
    "optimizer": ("weight_decay", "warmup", "clip", "patience", "select", "layer_decay", "ema"),
    "class balance": ("imbalance", "beta", "draws"),
    "augmentation and regularization": (
        *("crop", "rotation", "jitter", "mixup", "label_smoothing", "drop_path"),
    ),
    "distillation": ("teacher", "teacher_share", "teacher_temperature"),
    "machine and files": (
        *("weights_ema", "cache", "workers", "seed", "device", "bf16", "skip_bad"),
    ),
    "doubt": ("coverage", "false_rejections"),
}


@dataclass(frozen=True)
class TrainConfig:
    """How to train. The defaults are the paper's (Regmi and Xu)."""

    recipe: str = "paper"
    """Named settings; other flags override them. paper: the article's (side 256, batch 100, rate
    3e-3). like-authors: some of their published code's (batch 32, rate 3e-4, centre crop of 292,
    1.5 times the images per epoch, rotation); the rest is as in paper. recommended: the best on
    real images, see docs/results.md (sampler alone, batch 32, rate 1.5e-3, rotation). demo: from
    scratch, in minutes on two cores; `build` without DATA uses it. The defaults shown below are the
    paper's."""
    model: str = "mobilevitv2_100"
    """The timm name of a network, such as mobilevitv2_100 or mobilenetv4_conv_small; `lesionlite
    check MODEL` says what it gives on phones."""
    weights: str = "timm"
    """Where to start: `timm` downloads ImageNet weights, `none` starts from scratch, or a FILE
    (a timm state dict in .safetensors or .pt, a checkpoint of timm's train.py, Lightning and
    similar tools, or Apple's ml-cvnets checkpoint in .pt)."""
    weights_ema: bool = True
    """If the FILE of --weights holds both weights and their moving average, use the weights; by
    default the average is used, as in timm's tools."""
    side: int = 0
    """Side of the network's square input in pixels; 0 means the network's own (256 for
    mobilevitv2_100)."""
    resize: Literal["squash", "shortest"] = "squash"
    """`squash` resizes the whole image to the square; `shortest` resizes the shorter side to
    --resize-side and crops the centre."""
    resize_side: int = 0
    """Shorter side before the crop in pixels, for `--resize shortest`; 0 means --side."""
    interpolation: Literal["own", "nearest", "bilinear", "bicubic", "area"] = "own"
    """How images are resized; `own` is the way that the network's published weights expect."""
    mean: tuple[float, ...] = ()
    """Mean of each channel, of values from 0 to 1, which is subtracted; by default the network's
    own."""
    std: tuple[float, ...] = ()
    """Deviation of each channel, by which the difference is divided; by default the network's
    own."""
    epochs: int = 60
    """Maximum number of epochs; 0 saves the starting weights untrained."""
    batch: int = 100
    """Images per step, shared by all processes that torchrun starts."""
    lr: float = 3e-3
    """Peak learning rate of AdamW."""
    weight_decay: float = 0.05
    """Decoupled weight decay; not applied to norms and biases."""
    warmup: float = 0.05
    """Share of the steps in which the learning rate rises; it then falls along a cosine to zero."""
    clip: float = 1.0
    """Largest norm of the gradient; larger gradients are scaled down to it."""
    patience: int = 10
    """Stop after this many epochs without a better score on validation."""
    select: Metric = "weighted_f1"
    """The score on validation that chooses the epoch whose weights are kept."""
    imbalance: Imbalance = "dual"
    """How rare classes are favoured: drawn more often (sampler), weighted more in the loss (loss),
    both (dual), drawn more often and the head fitted anew with both (refit), or not (none);
    balanced-softmax adds the log of each class's share to the logits of the loss."""
    beta: float = 0.999
    """Beta of the Effective-Number-of-Samples loss weights."""
    draws: float = 1.0
    """Images per epoch, as a multiple of the training set's size."""
    crop: float = 0.7
    """Smallest share of an image's area that a random crop keeps."""
    rotation: float = 0.0
    """Largest random rotation in degrees."""
    jitter: float = 0.1
    """Largest random change of brightness, contrast and saturation: each is scaled by a factor
    between 1 - JITTER and 1 + JITTER."""
    mixup: float = 0.0
    """Mix the images of a batch in pairs, and their labels: the share of each comes from a beta
    distribution that has this number as both parameters, such as 0.2. 0 mixes nothing."""
    teacher: str = ""
    """A run of the same classes, such as one of a larger network, whose answers are learned, too
    (distillation)."""
    teacher_share: float = 0.5
    """Share of the loss that is the divergence from the teacher's answers; the rest is that of the
    labels."""
    teacher_temperature: float = 2.0
    """What the logits of both are divided by in that divergence; higher values show more of the
    unlikely classes."""
    label_smoothing: float = 0.0
    """Share of each target probability that is spread evenly over all classes."""
    drop_path: float = 0.0
    """Probability of skipping the last block's residual branch in training; it rises linearly
    from 0 in the first block."""
    layer_decay: float = 1.0
    """Learning rate of a layer, as a multiple of the next layer's; below 1 the early layers of a
    pretrained network change less."""
    ema: float = 0.0
    """Decay per step of an exponential moving average of the weights, which is then validated and
    saved in their place; 0 keeps no average."""
    coverage: float = 0.9
    """Share of validation images that get an answer; for the rest, those of lowest confidence,
    apps say "not sure"."""
    false_rejections: float = 0.02
    """Share of validation images that may be called another kind than the network has learned; 0
    rejects nothing."""
    cache: bool = True
    """Decode training images in every epoch, from the full-size files; by default they are decoded
    once and kept, scaled down, in the cache folder (3 bytes per pixel)."""
    workers: int = -1
    """Processes that decode and augment images; -1 means none when training on a CPU, where they
    would slow the training, and one per core (at most 8) when training on a GPU."""
    seed: int = 0
    """Seed of weights, sampling and augmentation."""
    device: str = "auto"
    """Where to compute: `auto`, `cpu`, `cuda` or `mps`."""
    bf16: Literal["auto", "on", "off"] = "auto"
    """bfloat16 autocast; `auto` uses it if the hardware supports it."""
    skip_bad: bool = False
    """Leave out images that cannot be decoded, instead of stopping."""

    def __post_init__(self) -> None:
        """Check types and ranges.

        Raises:
            LesionliteError: a setting is wrong; names it, its value and what it may be.
        """
        refuse_types(self)
        label, smallest = type(self).recipe, self.side or MIN_SIDE
        rules = (
            (
                "recipe",
                self.recipe == label,
                f"{label} here; lesionlite.recipe({self.recipe!r}) has the settings of that name",
            ),
            (
                "side",
                self.side == 0 or MIN_SIDE <= self.side <= MAX_SIDE,
                f"0, or from {MIN_SIDE} to {MAX_SIDE} (a phone's memory holds no more)",
            ),
            (
                "resize_side",
                self.resize_side == 0 or smallest <= self.resize_side <= MAX_RESIZE_SIDE,
                f"0, or from {smallest} to {MAX_RESIZE_SIDE}",
            ),
            ("mean", len(self.mean) in (0, 3), "three numbers, for red, green and blue"),
            (
                "std",
                len(self.std) in (0, 3) and all(value > 0 for value in self.std),
                "three numbers above 0, for red, green and blue",
            ),
            (
                "resize_side",
                self.resize == "shortest" or self.resize_side in (0, self.side or -1),
                "0 with --resize squash; --resize shortest cuts the centre out",
            ),
            ("epochs", 0 <= self.epochs <= MOST_EPOCHS, f"from 0 to {MOST_EPOCHS}"),
            (
                "batch",
                2 <= self.batch <= MOST_BATCH,
                f"from 2 (BatchNorm needs company) to {MOST_BATCH}",
            ),
            ("lr", self.lr > 0, "above 0"),
            ("weight_decay", self.weight_decay >= 0, "0 or more"),
            ("warmup", 0 <= self.warmup < 1, "from 0 up to, not including, 1"),
            ("clip", self.clip > 0, "above 0"),
            ("patience", self.patience >= 1, "1 or more"),
            ("beta", 0 <= self.beta < 1, "from 0 up to, not including, 1"),
            ("draws", 0 < self.draws <= MOST_DRAWS, f"above 0, at most {MOST_DRAWS}"),
            ("crop", 0 < self.crop <= 1, "above 0, at most 1"),
            ("rotation", 0 <= self.rotation <= 180, "from 0 to 180"),
            ("jitter", 0 <= self.jitter < 1, "from 0 up to, not including, 1"),
            ("mixup", 0 <= self.mixup <= MOST_MIXUP, f"from 0 to {MOST_MIXUP}"),
            ("label_smoothing", 0 <= self.label_smoothing < 1, "from 0 up to, not including, 1"),
            ("teacher_share", 0 < self.teacher_share <= 1, "above 0, at most 1"),
            (
                "teacher_temperature",
                0 < self.teacher_temperature <= MOST_TEMPERATURE,
                f"above 0, at most {MOST_TEMPERATURE}",
            ),
            ("drop_path", 0 <= self.drop_path < 1, "from 0 up to, not including, 1"),
            ("layer_decay", 0 < self.layer_decay <= 1, "above 0, at most 1"),
            ("ema", 0 <= self.ema < 1, "from 0 up to, not including, 1"),
            *doubt_rules(self),
            ("workers", -1 <= self.workers <= MAX_THREADS, f"from -1 to {MAX_THREADS}"),
            ("seed", 0 <= self.seed <= MAX_SEED, SEED),
        )
        refuse_settings(self, rules)

    def contract(self, labels: tuple[str, ...], note: str = "", disclaimer: str = "") -> Contract:
        """The contract of a network trained with these settings.

        Args:
            labels: [C] class names in the order of the outputs.
            note: see `Contract`.
            disclaimer: likewise.

        Raises:
            LesionliteError: timm has no network of the model's name.
        """
        from lesionlite.train.networks import expected

        own = expected(self.model)
        given: dict[str, Any] = {  # whose types Contract checks
            "interpolation": self.interpolation.replace("own", own.interpolation),
            "mean": self.mean or own.mean,
            "std": self.std or own.std,
            "note": note,
            "disclaimer": disclaimer,
        }
        side = self.side or own.side
        return Contract(labels, side, self.resize, self.resize_side, **given)
