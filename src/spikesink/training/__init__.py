"""Train one run with Lightning. ``python -m spikesink.training`` needs torch, lightning, numpy and safetensors only."""
