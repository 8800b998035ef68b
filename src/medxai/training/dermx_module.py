"""What Lightning is told about the training of DermX. Importing it takes seconds: `dermx_training` does when it trains.

All that is random in an epoch is drawn from torch's global generator, seeded by the seed and the epoch. An epoch so
depends on nothing but the state at its start, and that is what a checkpoint holds.
"""

from collections.abc import Callable

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

from medxai.models.dermx import DermX, DermXOutput
from medxai.training import dermx_examples as drawing
from medxai.training.augmentation import augmented
from medxai.training.dermx_examples import Examples
from medxai.training.guidance import attention_loss, characteristic_loss, diagnosis_loss

FIRST_PERIOD, LONGER = 3, 2
"""Epochs until the first restart, and how many times as long each next period is (erratum D22)."""

Judge = Callable[[DermXOutput, Examples], dict[str, float]]


class DermXModule(pl.LightningModule):
    """DermX with its losses, its optimiser and what is logged; parameters as of `dermx_training.train_dermx`."""

    def __init__(
        self,
        model: DermX,
        data: Examples,
        held_out: Examples,
        *,
        late: torch.nn.Sequential | None,
        seed: int,
        guidance: str | None,
        weight: float,
        class_weights: Tensor | None,
        rate: float,
        batch: int,
        judge: Judge | None,
        kept: dict | None,
        keep: Callable[[dict], None],
    ) -> None:
        super().__init__()
        self.model, self.late, self.data, self.held_out = model, late, data, held_out
        self.seed_, self.guidance, self.weight, self.rate = seed, guidance, weight, rate
        self.class_weights, self.judge, self.kept, self.keep = class_weights, judge, kept, keep
        self.batches = -(-len(data) // batch)
        self.done = kept["epoch"] if kept else 0
        self.records: list[list] = kept["records"] if kept else []
        self.sums: dict[str, list[float]] = {}
        self.found: list[DermXOutput] = []

    def configure_optimizers(self) -> dict:
        """Return AdamW with cosine warm restarts after 3, 6, 12 ... epochs, as a checkpoint left them."""
        trained = [self.model] if self.late is None else [self.late, self.model.reduction, self.model.diagnosis]
        if self.late is not None and self.model.explanation is not None:
            trained.append(self.model.explanation)
        optimiser = torch.optim.AdamW([weight for part in trained for weight in part.parameters()], lr=self.rate)
        schedule = CosineAnnealingWarmRestarts(optimiser, FIRST_PERIOD * self.batches, LONGER)
        if self.kept:
            optimiser.load_state_dict(self.kept["optimiser"])
            schedule.load_state_dict(self.kept["schedule"])
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        """Seed the epoch, and shuffle the images; early blocks that are not trained stay in evaluation mode."""
        torch.manual_seed(int(np.random.SeedSequence([self.seed_, self.done]).generate_state(1)[0]))
        self.order = torch.randperm(len(self.data)).tensor_split(self.batches)
        self.sums = {}
        self.model.train()
        if self.late is not None:
            self.model.backbone.eval()
            self.late.train()

    def training_step(self, number: int, _: int) -> Tensor:
        """Return the loss of one step, which is the entry ``number`` of the order of this epoch."""
        rows = self.order[number].numpy()
        some = self.data.rows(rows)
        maps = torch.from_numpy(some.maps)
        if self.late is not None:
            flips = torch.randint(len(drawing.FLIPS), (len(rows),))
            seen, maps = some.pictures[flips, torch.arange(len(rows))], drawing.flipped(maps, flips)
        else:
            seen, maps = augmented(some.pictures, maps, self.model.normalisation)
        output = drawing.run(self.model, self.late, seen.to(self.device))
        losses = self._losses(output, some, maps)
        for name, value in {**_finite(losses, self.done, "training"), **_silent(output)}.items():
            self.sums.setdefault(name, []).append(float(value.detach()) * len(rows) / len(self.data))
        return losses["total"]

    def validation_step(self, number: int, _: int) -> None:
        """Run some held-out images, as they are."""
        rows = np.array_split(np.arange(len(self.held_out)), self.chunks)[number]
        seen = drawing.unflipped(self.held_out.rows(rows), self.model)
        self.found.append(drawing.run(self.model, self.late, seen.to(self.device)))

    @property
    def chunks(self) -> int:
        """Number of steps in which the held-out images are run."""
        return -(-len(self.held_out) // drawing.CHUNK)

    def on_validation_epoch_end(self) -> None:
        """Note the losses of all held-out images, and what the judge says."""
        output, self.found = drawing.joined(self.found), []
        losses = self._losses(output, self.held_out, torch.from_numpy(self.held_out.maps).to(self.device))
        scores = {**_finite(losses, self.done, "held out"), **_silent(output)}
        if self.judge:
            scores |= self.judge(DermXOutput(*(None if one is None else one.cpu() for one in output)), self.held_out)
        self._note("held out", scores)

    def on_train_epoch_end(self) -> None:
        """Keep the state after the epoch: Lightning has validated before."""
        self._note("training", {name: sum(values) for name, values in self.sums.items()})
        self.done += 1
        state = {"epoch": self.done, "records": self.records, "weights": self.model.state_dict()}
        optimiser, schedule = self.trainer.optimizers[0], self.lr_schedulers()
        self.keep(state | {"optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()})

    def _note(self, split: str, scores: dict[str, float]) -> None:
        self.records += [[self.done + 1, split, name, float(value)] for name, value in scores.items()]

    def _losses(self, output: DermXOutput, some: Examples, maps: Tensor) -> dict[str, Tensor]:
        """Return the losses by name, and their ``total``; without guidance that of attention (Dice) is only watched."""
        labels, known = torch.from_numpy(some.labels).long().to(self.device), torch.from_numpy(some.explained)
        losses = {"diagnosis loss": diagnosis_loss(output.diagnosis_logits, labels, self._class_weights())}
        losses["total"] = losses["diagnosis loss"]
        if output.attention is None:
            return losses
        if known.any():
            present = torch.from_numpy(some.present)[known].to(self.device)
            losses["characteristic loss"] = characteristic_loss(output.characteristic_logits[known], present)
            losses["total"] = losses["total"] + losses["characteristic loss"]
        counted = (torch.from_numpy(some.counted) * known[:, None]).to(self.device)
        attention = output.attention if self.guidance else output.attention.detach()
        maps = drawing.shrunk(maps.to(self.device), attention.shape[2:])
        losses["attention loss"] = attention_loss(attention, maps, counted, self.guidance or "dice")
        if self.guidance:
            losses["total"] = losses["total"] + self.weight * losses["attention loss"]
        return losses

    def _class_weights(self) -> Tensor | None:
        return None if self.class_weights is None else self.class_weights.to(self.device)


def _finite(losses: dict[str, Tensor], done: int, split: str) -> dict[str, Tensor]:
    for name, value in losses.items():
        if not value.isfinite():
            raise FloatingPointError(
                f"the {name} of {split} images is {value.item()} in epoch {done + 1}: expected a finite number; "
                "a lower rate may help"
            )
    return losses


def _silent(output: DermXOutput) -> dict[str, Tensor]:
    """Return the share of maps of attention that are zero everywhere: no guidance can wake these."""
    if output.attention is None:
        return {}
    return {"silent maps": (output.attention.detach().amax((2, 3)) == 0).float().mean()}
