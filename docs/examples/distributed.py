"""One training step on two processes ends with the weights of one process on the whole batch.

DistributedDataParallel gives every process a copy of the model and a part of the batch, and
averages the gradients of all before the optimizer's step. The mean of the means over equal parts
is the mean over the whole batch, so all copies take the step that one process would have taken.
"""

from __future__ import annotations

import tempfile

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from reference.models import SimpleLSTM

PROCESSES, STEPS = 2, 5


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 6, 3, dtype=torch.float64, generator=generator)
    return x, x[:, :, :1].mean(dim=1)


def fresh() -> SimpleLSTM:
    torch.manual_seed(1)
    return SimpleLSTM(3, 4, 1, dtype=torch.float64)


def train(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(STEPS):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=PROCESSES)
    model = fresh()
    x, y = (part.chunk(PROCESSES)[rank] for part in data())
    train(DistributedDataParallel(model), x, y)
    if rank == 0:
        torch.save(model.state_dict(), f"{folder}/weights.pt")
    dist.destroy_process_group()


def main() -> None:
    alone = fresh()
    train(alone, *data())
    with tempfile.TemporaryDirectory() as folder:
        # Forked processes have what this one has loaded; spawned ones would load PyTorch again.
        options = {"nprocs": PROCESSES, "start_method": "fork"}
        torch.multiprocessing.start_processes(worker, (folder,), **options)
        together = torch.load(f"{folder}/weights.pt")
    apart = max(float((together[k] - v).abs().max()) for k, v in alone.state_dict().items())
    assert apart < 1e-12, apart
    print(f"{STEPS} steps, {PROCESSES} processes: the weights of one process on the whole batch")


if __name__ == "__main__":
    main()
