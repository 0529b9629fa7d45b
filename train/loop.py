"""Fit a network: weighted draws, weighted loss, cosine schedule, early stopping, resume."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from train.augment import epoch_seed, training_loader
from train.config import TrainConfig
from train.console import progress, say
from train.contract import Contract
from train.data import Dataset, Pixels, load_inputs
from train.errors import LesionliteError
from train.figures import draw_curves
from train.files import replacing, write_json, write_text
from train.imbalance import ens_weights
from train.layout import CURVES, LAST, METRICS, SETTINGS
from train.metrics import weighted_f1
from train.model import (
    build_network,
    predict_logits,
    save_run,
    start_weights,
)


def pick_device(name: str) -> torch.device:
    """`auto` takes a GPU if there is one; LesionliteError if the named one is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
        if name == "cpu" and torch.backends.mps.is_available():
            name = "mps"
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(name, False):
        usable = ", ".join(key for key, value in there.items() if value)
        raise LesionliteError(f"there is no device {name!r} here; choose from: auto, {usable}")
    return torch.device(name)


def use_bf16(setting: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16: where the hardware multiplies in it, unless told otherwise.

    Measured on a CPU without it (AVX2 only): 5 to 10 times slower than float32, not faster.
    """
    if setting != "auto":
        return setting == "on"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


class Trainer:
    """One run: network, optimizer, schedule, and the epoch it has reached."""

    def __init__(self, data: Dataset, contract: Contract, config: TrainConfig, run: Path) -> None:
        torch.manual_seed(config.seed)
        self.data, self.contract, self.config, self.run = data, contract, config, run
        self.device = pick_device(config.device)
        self.bf16 = use_bf16(config.bf16, self.device)
        network = build_network(config.model, len(data.labels))
        say(start_weights(network, config.model, config.weights, keep_head=config.epochs == 0))
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loader, self.sampler = training_loader(
            data.train, contract, config, on_cpu=self.device.type == "cpu"
        )
        decay = [p for p in network.parameters() if p.ndim > 1]
        others = [p for p in network.parameters() if p.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(
            groups,
            lr=config.lr,
            weight_decay=config.weight_decay,
            fused=True,
        )
        steps = max(1, config.epochs * len(self.loader))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, cosine_with_warmup(steps, config.warmup)
        )
        weights = ens_weights(data.train.counts(), config.beta)
        self.loss_weights = torch.tensor(weights, device=self.device)
        self.epoch, self.best_f1, self.best_epoch = 0, -1.0, 0
        self.val_pixels: Pixels | None = None

    def restore(self) -> None:
        """Go on after the last finished epoch; LesionliteError if nothing was kept."""
        file = self.run / LAST
        if not file.is_file():
            return
        state = torch.load(file, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.epoch, self.best_f1 = state["epoch"], state["best_f1"]
        self.best_epoch = state["best_epoch"]
        say(f"resuming after epoch {self.epoch}")

    def keep(self) -> None:
        """Save all that `restore` needs, all or nothing."""
        with replacing(self.run / LAST) as temporary:
            torch.save(
                {
                    "network": self.network.state_dict(),
                    "optimizer": self.optimizer.state_dict(),
                    "schedule": self.schedule.state_dict(),
                    "epoch": self.epoch,
                    "best_f1": self.best_f1,
                    "best_epoch": self.best_epoch,
                },
                temporary,
            )

    def settings(self, finished: bool = False) -> dict[str, Any]:
        """What `train.json` holds: the settings that rebuild the network and what came of them."""
        return {
            "finished": finished,
            **settings_of(self.config),
            "counts": dict(zip(self.data.labels, self.data.train.counts(), strict=True)),
            "epochs_run": self.epoch,
            "best_epoch": self.best_epoch,
            "best_val_weighted_f1": None if self.best_f1 < 0 else self.best_f1,
        }

    def fit(self) -> None:
        """Train until the epochs are used up or validation stops improving."""
        if self.config.epochs == 0:
            save_run(self.run, self.network, self.contract, self.settings(finished=True))
            return
        self.val_pixels = load_inputs(self.data.val.files, self.contract, "reading validation")
        while self.epoch < self.config.epochs and not self._out_of_patience():
            row = self._epoch()
            self._record(row)
            self.keep()
        write_json(self.run / SETTINGS, self.settings(finished=True))
        (self.run / LAST).unlink(missing_ok=True)

    def _out_of_patience(self) -> bool:
        return self.epoch - self.best_epoch >= self.config.patience

    def _epoch(self) -> dict[str, Any]:
        started = time.perf_counter()
        torch.manual_seed(epoch_seed(self.config.seed, self.epoch))
        self.sampler.epoch = self.epoch
        self.network.train()
        total = 0.0
        with progress() as bar:
            task = bar.add_task(
                f"epoch {self.epoch + 1}/{self.config.epochs}", total=len(self.loader), note=""
            )
            for step, (pixels, targets) in enumerate(self.loader, start=1):
                total += self._step(pixels.to(self.device), targets.to(self.device))
                bar.update(task, advance=1, note=f"loss {total / step:.3f}")
        seconds = time.perf_counter() - started
        self.epoch += 1
        return {
            "epoch": self.epoch,
            "train_loss": total / len(self.loader),
            **self._validate(),
            "lr": self.schedule.get_last_lr()[0],
            "images_per_s": len(self.loader) * (self.loader.batch_size or 1) / seconds,
        }

    def _step(self, pixels: Tensor, targets: Tensor) -> float:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            logits = predict_logits(self.network, pixels, self.contract)
        loss = F.cross_entropy(logits.float(), targets, self.loss_weights)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise LesionliteError(
                f"the loss became {value} in epoch {self.epoch + 1}; the best checkpoint so far "
                f"is kept in {self.run}; try a smaller --lr"
            )
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        self.optimizer.step()
        self.schedule.step()
        return value

    def _validate(self) -> dict[str, float]:
        assert self.val_pixels is not None
        logits = all_logits(self.network, self.val_pixels, self.contract, self.device, self.bf16)
        truth = np.asarray(self.data.val.targets)
        answers = logits.argmax(1)
        loss = F.cross_entropy(
            torch.from_numpy(logits), torch.from_numpy(truth), self.loss_weights.cpu()
        )
        return {
            "val_loss": float(loss),
            "weighted_f1": weighted_f1(truth, answers, len(self.data.labels)),
            "accuracy": float((answers == truth).mean()),
        }

    def _record(self, row: dict[str, Any]) -> None:
        """Append to the metrics, redraw the curves, save the network if it is the best so far."""
        rows = [r for r in read_metrics(self.run) if r["epoch"] < row["epoch"]] + [row]
        write_text(self.run / METRICS, "".join(json.dumps(r) + "\n" for r in rows))
        draw_curves(rows, self.contract.note, self.run / CURVES)
        better = row["weighted_f1"] > self.best_f1
        if better:
            self.best_f1, self.best_epoch = row["weighted_f1"], row["epoch"]
            save_run(self.run, self.network, self.contract, self.settings())
        say(
            f"epoch {row['epoch']:3d}  loss {row['train_loss']:.3f}  val loss {row['val_loss']:.3f}"
            f"  weighted F1 {row['weighted_f1']:.4f}  {row['images_per_s']:.0f} images/s"
            + ("  best" if better else "")
        )


def cosine_with_warmup(steps: int, warmup: float) -> Callable[[int], float]:
    """Factor of the learning rate by step: a linear rise, then a cosine to zero."""
    rising = int(steps * warmup)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))

    return factor


def all_logits(
    network: nn.Module,
    pixels: Pixels,
    contract: Contract,
    device: torch.device | None = None,
    bf16: bool = False,
    description: str = "",
) -> NDArray[np.float32]:
    """Logits [N, C] of uint8 images [N, S, S, 3]; the network is left in evaluation mode."""
    from train.console import track

    network.eval()
    device = device or torch.device("cpu")
    starts: Any = range(0, len(pixels), 32)
    if description:
        starts = track(starts, description, len(starts))
    out = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        for start in starts:
            batch = torch.from_numpy(pixels[start : start + 32]).to(device).permute(0, 3, 1, 2)
            out.append(predict_logits(network, batch, contract).float().cpu().numpy())
    return np.concatenate(out)


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """The rows of `metrics.jsonl`, [] if there is none."""
    file = run / METRICS
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def settings_of(config: TrainConfig) -> dict[str, Any]:
    """The configuration as `train.json` holds it."""
    return asdict(config)
