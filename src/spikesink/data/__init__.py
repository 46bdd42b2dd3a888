"""From text to a stream of token ids: corpora, tokenizer, packing, batches.

Nothing is imported here: :mod:`spikesink.data.batches` has to load on a machine that has numpy and nothing else.
"""
