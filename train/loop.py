"""Fit a network: weighted draws, weighted loss, cosine schedule, early stopping, resume."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from train import checkpoint
from train.augment import epoch_seed, training_loader
from train.confidence import Confidence, fit_confidence
from train.config import TrainConfig
from train.console import progress, say
from train.contract import Contract
from train.data import Dataset, Pixels, load_inputs
from train.device import pick_device, spare_bf16, use_bf16
from train.errors import LesionliteError
from train.figures import draw_curves
from train.files import write_json, write_text
from train.imbalance import ens_weights
from train.layout import CONTRACT, CURVES, METRICS, SETTINGS
from train.metrics import weighted_f1
from train.model import (
    build_network,
    load_run,
    moving_average,
    parameter_groups,
    predict_logits,
    save_run,
    start_weights,
)


class Trainer:
    """One run: network, optimizer, schedule, and the epoch it has reached."""

    def __init__(self, data: Dataset, contract: Contract, config: TrainConfig, run: Path) -> None:
        torch.manual_seed(config.seed)
        self.data, self.contract, self.config, self.run = data, contract, config, run
        self.device = pick_device(config.device)
        self.bf16 = use_bf16(config.bf16, self.device)
        network = build_network(config.model, len(data.labels), config.drop_path)
        say(start_weights(network, config.model, config.weights, keep_head=config.epochs == 0))
        if self.bf16 and self.device.type == "cpu":
            spare_bf16(network)
        self.layout = torch.channels_last
        self.network = network.to(self.device, memory_format=self.layout)  # type: ignore[call-overload]
        self.loader, self.sampler = training_loader(
            data.train, contract, config, on_cpu=self.device.type == "cpu"
        )
        self.average = moving_average(self.network, config.ema) if config.ema else None
        groups = parameter_groups(self.network, config.weight_decay, config.layer_decay)
        for group in groups:
            group["lr"] = config.lr * group.pop("lr_scale")
        self.optimizer = torch.optim.AdamW(groups, fused=True)
        steps = max(1, config.epochs * len(self.loader))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, cosine_with_warmup(steps, config.warmup)
        )
        weights = ens_weights(data.train.counts(), config.beta)
        weighted = config.imbalance in ("dual", "loss")
        self.loss_weights = torch.tensor(weights, device=self.device) if weighted else None
        self.epoch, self.best_f1, self.best_epoch = 0, -1.0, 0
        self.val_pixels: Pixels | None = None

    def restore(self) -> None:
        """Go on after the last finished epoch, if one was kept.

        Raises:
            LesionliteError: if what was kept is damaged.
        """
        checkpoint.sweep(self.run)
        state = checkpoint.newest(self.run, self.device)
        if state is None:
            return
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.epoch, self.best_f1 = state["epoch"], state["best_f1"]
        self.best_epoch = state["best_epoch"]
        if self.average is not None:
            self.average.module.load_state_dict(state["average"])
        say(f"resuming after epoch {self.epoch}")

    def keep(self) -> None:
        """Save all that `restore` needs, all or nothing."""
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "epoch": self.epoch,
            "best_f1": self.best_f1,
            "best_epoch": self.best_epoch,
        }
        if self.average is not None:
            state["average"] = self.average.module.state_dict()
        checkpoint.keep(self.run, state)

    @property
    def result(self) -> nn.Module:
        """The network that counts: the average of the weights, if there is one."""
        return self.network if self.average is None else self.average.module  # type: ignore[no-any-return]

    def settings(self, confidence: Confidence | None = None) -> dict[str, Any]:
        """What `train.json` holds: the settings that rebuild the network and what came of them."""
        return {
            "finished": confidence is not None,
            **settings_of(self.config),
            "counts": dict(zip(self.data.labels, self.data.train.counts(), strict=True)),
            "epochs_run": self.epoch,
            "best_epoch": self.best_epoch,
            "best_val_weighted_f1": None if self.best_f1 < 0 else self.best_f1,
            "confidence": confidence.document() if confidence else None,
        }

    def fit(self) -> None:
        """Train until the epochs are used up or validation stops improving."""
        self.val_pixels = load_inputs(self.data.val.files, self.contract, "reading validation")
        if self.config.epochs == 0:
            save_run(self.run, self.network, self.contract, self.settings())
        while self.epoch < self.config.epochs and not self._out_of_patience():
            row = self._epoch()
            self._record(row)
            self.keep()
        self._finish()

    def _finish(self) -> None:
        """Fit temperature and threshold of the best network; they go into the contract."""
        assert self.val_pixels is not None
        network, contract = load_run(self.run)
        logits = all_logits(network, self.val_pixels, contract)
        truth = np.asarray(self.data.val.targets)
        found = fit_confidence(logits, truth, self.config.coverage)
        say(found.sentence())
        contract = replace(contract, temperature=found.temperature, unsure_below=found.unsure_below)
        write_text(self.run / CONTRACT, contract.to_json())
        write_json(self.run / SETTINGS, self.settings(found))
        checkpoint.discard(self.run)

    def _out_of_patience(self) -> bool:
        return self.epoch - self.best_epoch >= self.config.patience

    def _epoch(self) -> dict[str, Any]:
        started, seen = time.perf_counter(), 0
        torch.manual_seed(epoch_seed(self.config.seed, self.epoch))
        self.sampler.epoch = self.epoch
        self.network.train()
        total = 0.0
        with progress() as bar:
            task = bar.add_task(
                f"epoch {self.epoch + 1}/{self.config.epochs}", total=len(self.loader), note=""
            )
            for step, (pixels, targets, places) in enumerate(self.loader, start=1):
                loss = self.step(pixels.to(self.device), targets.to(self.device), places)
                total, seen = total + loss, seen + len(places)
                bar.update(task, advance=1, note=f"loss {total / step:.3f}")
        say(f"{seen / (time.perf_counter() - started):.0f} images/s")
        self.epoch += 1
        return {
            "epoch": self.epoch,
            "train_loss": total / len(self.loader),
            **self._validate(),
            "lr": max(self.schedule.get_last_lr()),
        }

    def step(self, pixels: Tensor, targets: Tensor, places: Tensor) -> float:
        """One update; its loss.

        Args:
            pixels: uint8 [B, 3, S, S] on the device.
            targets: class indices [B] on the device.
            places: of the images in the training split, [B].

        Raises:
            LesionliteError: naming step and files, if the loss or the gradient is not finite.
        """
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            logits = predict_logits(self.network, pixels, self.contract, self.layout)
        smoothing = self.config.label_smoothing
        loss = F.cross_entropy(
            logits.float(), targets, self.loss_weights, label_smoothing=smoothing
        )
        value = float(loss.detach())
        self._refuse_infinite("loss", value, places)
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        self._refuse_infinite("gradient's norm", float(norm), places)
        self.optimizer.step()
        self.schedule.step()
        if self.average is not None:
            self.average.update(self.network, self.schedule.last_epoch)
        return value

    def _refuse_infinite(self, what: str, value: float, places: Tensor) -> None:
        if math.isfinite(value):
            return
        step = self.schedule.last_epoch % len(self.loader) + 1
        files = [self.data.train.files[place] for place in places.tolist()]
        shown = ", ".join(str(file) for file in files[:3])
        raise LesionliteError(
            f"the {what} became {value} in epoch {self.epoch + 1}, step {step}, on {shown} and "
            f"{len(files) - 3} more; the best checkpoint so far is kept in {self.run}; try a "
            "smaller --lr"
        )

    def _validate(self) -> dict[str, float]:
        assert self.val_pixels is not None
        logits = all_logits(self.result, self.val_pixels, self.contract, self.device, self.bf16)
        truth = np.asarray(self.data.val.targets)
        answers = logits.argmax(1)
        weights = None if self.loss_weights is None else self.loss_weights.cpu()
        loss = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(truth), weights)
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
            save_run(self.run, self.result, self.contract, self.settings())
        say(
            f"epoch {row['epoch']:3d}  loss {row['train_loss']:.3f}  val loss {row['val_loss']:.3f}"
            f"  weighted F1 {row['weighted_f1']:.4f}" + ("  best" if better else "")
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
