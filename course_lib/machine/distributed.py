"""More than one GPU or machine: torchrun and PyTorch's DDP (chapter 4).

    torchrun --nproc-per-node=8 -m course_lib train RUN

Every process holds the whole model and takes its share of each batch's rows;
gradients are averaged before the update, so all stay equal. Source: Li et
al. 2020 (PyTorch Distributed).
"""

import atexit
import os
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class World:
    """This process among its likes: its `rank` of `size`. The first one
    writes; alone, every method does nothing."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """The mean over all processes, in place."""
        if self.size > 1:
            distributed.all_reduce(value)
            value /= self.size
        return value

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process; each of them must ask."""
        if self.size == 1:
            return flag
        answers = [None] * self.size
        distributed.all_gather_object(answers, flag)
        return any(answers)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            distributed.barrier()


def first_process() -> bool:
    """Whether this is the only process, or torchrun's first: what `join`
    will say, known before the processes have met."""
    return _size() == 1 or os.environ.get("RANK") == "0"


def _size() -> int:
    return int(os.environ.get("WORLD_SIZE") or 1)


def join(device: str) -> World:
    """Meet the other processes that torchrun started, if it did."""
    size = _size()
    if size == 1:
        return World()
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device == "cuda" else "gloo")
        atexit.register(distributed.destroy_process_group)
    return World(distributed.get_rank(), size)


class _Loss(nn.Module):
    """DDP listens to `forward`; this one's is the model's loss."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids, targets):
        return self.model.loss(ids, targets)


def share(model, world: World):
    """`loss(ids, targets, last)` of this process's rows. The gradients
    that its backward pass leaves are the mean over all processes, once a
    micro-batch has come that is the `last` of its step."""
    if world.size == 1:
        return lambda ids, targets, last=True: model.loss(ids, targets)
    parallel = DistributedDataParallel(_Loss(model))

    def loss(ids, targets, last=True):
        with nullcontext() if last else parallel.no_sync():
            return parallel(ids, targets)

    return loss
