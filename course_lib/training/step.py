"""One update of the weights (chapter 4)."""

import contextlib

import torch

from course_lib.machine.distributed import World, share


def train_step(model, optimizer, batch, rate, clip, micro_rows=None,
               precision=None, scaler=None, loss_of=None):
    """One update from (ids, targets), each (rows, T); returns the loss in
    nats per token and the gradient's norm before clipping, both scalars
    that are still on the device.

    `rate` is the learning rate of this step, `clip` the largest norm of the
    gradient over all weights, `precision` a context such as
    torch.autocast's. More than `micro_rows` rows (all, without) are done in
    turns, whose gradients add up to those of the whole batch. With a norm
    that is NaN or infinite nothing is updated: that is decided on the device,
    which need not be waited for. `scaler`, a torch.amp.GradScaler, lifts
    float16's small gradients into its range and lowers them again
    (Micikevicius et al. 2018). `loss_of(ids, targets, last)` is
    `distributed.share`'s, by default the model's own loss.
    """
    ids, targets = batch
    micro_rows = micro_rows or len(ids)
    precision = precision or contextlib.nullcontext()
    scaler = scaler or torch.amp.GradScaler(ids.device.type, enabled=False)
    loss_of = loss_of or share(model, World())
    loss = torch.zeros((), device=ids.device)
    for start in range(0, len(ids), micro_rows):
        part = ids[start:start + micro_rows]
        with precision:
            piece = loss_of(part, targets[start:start + micro_rows],
                            last=start + micro_rows >= len(ids)
                            ) * (len(part) / len(ids))
        scaler.scale(piece).backward()
        loss += piece.detach()
    scaler.unscale_(optimizer)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    for group in optimizer.param_groups:
        group["lr"] = rate
    if not scaler.is_enabled():  # the optimizers look at this by themselves
        optimizer.found_inf = (~norm.isfinite()).float()
        optimizer.grad_scale = None
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad(set_to_none=True)
    return loss, norm
