"""The token embedding."""

from torch import Tensor, nn

from spikesink.study.settings import Model


class ScaledEmbedding(nn.Embedding):
    """Embeddings times sqrt(d_model), as in the first Transformer and in Gemma. A tied head is not scaled."""

    def forward(self, tokens_BT: Tensor) -> Tensor:
        return super().forward(tokens_BT) * self.embedding_dim**0.5


def build_embedding(settings: Model, vocabulary: int) -> nn.Embedding:
    """The embedding [V, D] that these settings ask for."""
    kind = ScaledEmbedding if settings.scaled_embeddings else nn.Embedding
    return kind(vocabulary, settings.d_model)
