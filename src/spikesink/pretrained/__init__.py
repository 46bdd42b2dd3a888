"""Hugging Face checkpoints into our decoder, and ours out again. Needs no ``transformers``."""
