"""Train one run with Lightning. ``python -m spikesink.training`` needs torch, lightning, numpy and safetensors only."""

from spikesink.training.without_metrics import leave_out_torchmetrics

leave_out_torchmetrics()
