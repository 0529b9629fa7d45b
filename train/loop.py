"""Fit a network: weighted draws, weighted loss, cosine schedule, early stopping, resume."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesionlite.console import progress, say
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.files import write_json, write_text
from lesionlite.layout import CONTRACT, CURVES, OF_TRAINING, SETTINGS
from lesionlite.metrics import weighted_f1
from lesionlite.outputs import list_as_ours
from lesionlite.train import checkpoint
from lesionlite.train.augment import epoch_seed, training_loader
from lesionlite.train.confidence import Confidence, fit_confidence
from lesionlite.train.config import TrainConfig
from lesionlite.train.data.images import Pixels, load_inputs
from lesionlite.train.data.splits import Dataset
from lesionlite.train.device import pick_device, spare_bf16, use_bf16
from lesionlite.train.figures import draw_curves
from lesionlite.train.history import write_history
from lesionlite.train.imbalance import ens_weights
from lesionlite.train.model import (
    all_logits,
    build_network,
    load_run,
    moving_average,
    predict_logits,
    save_run,
    start_weights,
)
from lesionlite.train.optimize import optimizer_of, training_loss
from lesionlite.train.ranks import (
    ALONE,
    Ranks,
    attempt,
    average_buffers,
    averaging_gradients,
    by_first,
    gather,
    own_device,
)


class Trainer:
    """One run: network, optimizer, schedule, and the epoch it has reached.

    Several processes have a trainer each, of the same weights at every step.
    """

    def __init__(
        self,
        data: Dataset,
        contract: Contract,
        config: TrainConfig,
        run: Path,
        ranks: Ranks = ALONE,
    ) -> None:
        torch.manual_seed(config.seed)
        self.data, self.contract, self.config, self.run = data, contract, config, run
        self.ranks = ranks
        self.device = attempt(ranks, lambda: own_device(ranks, pick_device(config.device)))
        self.bf16 = use_bf16(config.bf16, self.device)
        network = self._starting_network()
        if self.bf16 and self.device.type == "cpu":
            spare_bf16(network)
        self.layout = torch.channels_last
        self.network = network.to(self.device, memory_format=self.layout)  # type: ignore[call-overload]
        self.called = averaging_gradients(self.network, ranks)
        self.loader, self.sampler = training_loader(
            data.train, contract, config, self.device.type == "cpu", ranks
        )
        self.average = moving_average(self.network, config.ema) if config.ema else None
        steps = config.epochs * len(self.loader)
        self.optimizer, self.schedule = optimizer_of(self.network, config, steps)
        weights = ens_weights(data.train.counts(), config.beta)
        weighted = config.imbalance in ("dual", "loss")
        self.loss_weights = torch.tensor(weights, device=self.device) if weighted else None
        self.epoch, self.best_f1, self.best_epoch = 0, -1.0, 0
        self.history: list[dict[str, Any]] = []
        self.val_pixels: Pixels | None = None

    def _starting_network(self) -> nn.Module:
        """With its starting weights, which the first process has, and gives to the others."""
        config, classes = self.config, len(self.data.labels)
        network = attempt(
            self.ranks, lambda: build_network(config.model, classes, config.drop_path)
        )
        as_they_are = config.epochs == 0
        start = partial(
            start_weights, network, config.model, config.weights, as_they_are, config.weights_ema
        )
        say(by_first(self.ranks, start))
        return network

    def restore(self) -> None:
        """Go on after the last finished epoch, if one was kept.

        Raises:
            LesionliteError: if what was kept is damaged, or of another network.
        """
        state = by_first(self.ranks, partial(checkpoint.newest, self.run, torch.device("cpu")))
        if state is None:
            return
        attempt(self.ranks, partial(checkpoint.take, self, state))
        say(f"resuming after epoch {self.epoch}")
        by_first(self.ranks, self._write_again)

    def _write_again(self) -> None:
        """What a killed process may not have come to write after its last checkpoint."""
        for name in OF_TRAINING:  # a run that an older lesionlite began has no list of them
            if (self.run / name).exists():
                list_as_ours(self.run / name)
        if self.best_epoch == self.epoch:
            self._save()
        self._decorate()

    def keep(self) -> None:
        """Save all that `restore` needs, all or nothing."""
        checkpoint.keep(self.run, checkpoint.state_of(self))

    @property
    def result(self) -> nn.Module:
        """The network that counts: the average of the weights, if there is one."""
        return self.network if self.average is None else self.average.module  # type: ignore[no-any-return]

    def settings(self, confidence: Confidence | None = None) -> dict[str, Any]:
        """What `train.json` holds: the settings that rebuild the network and what came of them."""
        return {
            "finished": confidence is not None,
            **asdict(self.config),
            "counts": dict(zip(self.data.labels, self.data.train.counts(), strict=True)),
            "epochs_run": self.epoch,
            "best_epoch": self.best_epoch,
            "best_val_weighted_f1": None if self.best_f1 < 0 else self.best_f1,
            "confidence": confidence.document() if confidence else None,
        }

    def fit(self, begin: Callable[[], object] = lambda: None) -> None:
        """Train until the epochs are used up or validation stops improving.

        Args:
            begin: what the first process writes once all is checked.
        """
        self.val_pixels = attempt(self.ranks, self._read_validation)
        if self.config.epochs == 0:
            self._validate()  # nothing is written of a network whose answers are not finite
        by_first(self.ranks, begin)
        if self.config.epochs == 0:
            by_first(self.ranks, self._save)
        while self.epoch < self.config.epochs and not self._out_of_patience():
            row = self._epoch()
            better = row["weighted_f1"] > self.best_f1  # all have the same row, so all agree
            if better:
                self.best_f1, self.best_epoch = row["weighted_f1"], row["epoch"]
            by_first(self.ranks, partial(self._record, row, better))
        by_first(self.ranks, self._finish)

    def _read_validation(self) -> Pixels:
        """A process's share of the validation images; all of them in the first one."""
        files = self.data.val.files
        mine = files if self.ranks.is_first else self.ranks.share(files)
        return load_inputs(mine, self.contract, "reading validation")

    def _save(self) -> None:
        save_run(self.run, self.result, self.contract, self.settings())

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
        torch.manual_seed(epoch_seed(self.config.seed, self.epoch, self.ranks.rank))
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
        say(f"{seen * self.ranks.world / (time.perf_counter() - started):.0f} images/s")
        average_buffers(self.network, self.ranks)
        if self.average is not None:
            average_buffers(self.average.module, self.ranks)
        self.epoch += 1
        return {
            "epoch": self.epoch,
            "train_loss": total / len(self.loader),
            **self._validate(),
            "lr": max(self.schedule.get_last_lr()),
        }

    def step(self, pixels: Tensor, targets: Tensor, places: Tensor) -> float:
        """One update; the loss of all processes' images.

        Args:
            pixels: uint8 [B, 3, S, S] on the device; this process's part.
            targets: class indices [B] on the device.
            places: of the images in the training split, [B].

        Raises:
            LesionliteError: naming step and files, if the loss or the gradient is not finite.
        """
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            logits = predict_logits(self.called, pixels, self.contract, self.layout)
        smoothing = self.config.label_smoothing
        loss, value = training_loss(
            logits.float(), targets, self.loss_weights, smoothing, self.ranks
        )
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
        of_all = chain.from_iterable(gather(self.ranks, places.tolist()))
        files = [self.data.train.files[place] for place in of_all]
        shown = ", ".join(str(file) for file in files[:3])

        def refuse() -> None:
            raise LesionliteError(
                f"the {what} became {value} in epoch {self.epoch + 1}, step {step}, on {shown} and "
                f"{len(files) - 3} more; the best checkpoint so far is kept in {self.run}; try a "
                "smaller --lr"
            )

        attempt(self.ranks, refuse)  # all came here, for the value is that of all

    def _validate(self) -> dict[str, float]:
        assert self.val_pixels is not None
        pixels, ranks = self.val_pixels, self.ranks
        mine = pixels[:: ranks.world] if ranks.is_first else pixels
        part = attempt(
            ranks,
            lambda: all_logits(self.result, mine, self.contract, self.device, self.bf16),
        )
        logits = np.empty((len(self.data.val), part.shape[1]), np.float32)
        for rank, theirs in enumerate(gather(ranks, part)):
            logits[rank :: ranks.world] = theirs
        truth = np.asarray(self.data.val.targets)
        answers = logits.argmax(1)
        weights = None if self.loss_weights is None else self.loss_weights.cpu()
        loss = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(truth), weights)
        return {
            "val_loss": float(loss),
            "weighted_f1": weighted_f1(truth, answers, len(self.data.labels)),
            "accuracy": float((answers == truth).mean()),
        }

    def _record(self, row: dict[str, Any], better: bool) -> None:
        """Keep the epoch, then save the network if it is the best so far, then the rest.

        The checkpoint comes first, and has all that the others are made of: whatever fails later,
        or is killed, `restore` does again.
        """
        self.history.append(row)
        self.keep()
        if better:
            self._save()
        self._decorate()
        say(
            f"epoch {row['epoch']:3d}  loss {row['train_loss']:.3f}  val loss {row['val_loss']:.3f}"
            f"  weighted F1 {row['weighted_f1']:.4f}" + ("  best" if better else "")
        )

    def _decorate(self) -> None:
        """Write the metrics and draw the curves, of all epochs so far."""
        write_history(self.run, self.history)
        try:
            draw_curves(self.history, self.contract.note, self.run / CURVES)
        except (LesionliteError, OSError):
            raise
        except Exception as error:  # matplotlib's are many; no picture is worth a training
            say(f"{CURVES} could not be drawn ({type(error).__name__}: {error})")
