"""Single-device PyTorch: a Llama-style decoder composed from the parts that ablations swap.

Shape letters: B batch, T positions, D d_model, N query heads, K key-value heads, H head dimension, F feed-forward
width, V vocabulary.
"""
