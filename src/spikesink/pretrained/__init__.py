"""Hugging Face Llama and Qwen checkpoints into our decoder, and ours out again. Needs no ``transformers``."""
