"""Where a corpus comes from: one module per ``corpus.kind``, each with the same three functions of the corpus settings.

* ``names(corpus)``: the names of its files, as its description lists them;
* ``files(corpus, download)``: their local paths, fetched first with ``download``;
* ``documents(corpus)``: its documents, a stream with the single column ``text``.

They raise CorpusError, with a message that says what to do.
"""

from spikesink.data.kinds import bigram_backcopy, embedded, files, hub
from spikesink.study.kinds import Kinds

KINDS = Kinds(
    "corpus.kind",
    __name__,
    {
        "embedded": embedded,
        "hub": hub,
        "files": files,
        "bigram_backcopy": bigram_backcopy,
    },
)
