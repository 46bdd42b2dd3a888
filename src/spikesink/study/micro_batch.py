"""How many sequences a device computes at once."""

from spikesink.study.settings import Training


def micro_batch(training: Training, devices: int) -> int:
    """Sequences of one forward pass on one device.

    The largest divisor of a device's share of batch_size that training.micro_batch_size allows: all micro-batches
    are equal, so the mean of their losses is the loss of the batch. Raises ValueError when devices cannot have equal
    shares.
    """
    share, rest = divmod(training.batch_size, devices)
    if rest or not share:
        raise ValueError(
            f"training.batch_size = {training.batch_size} cannot be shared equally by {devices} devices: "
            "make it a multiple of their number, or change resources.train.nodes or gpus_per_node"
        )
    limit = min(training.micro_batch_size or share, share)
    return next(size for size in range(limit, 0, -1) if share % size == 0)
