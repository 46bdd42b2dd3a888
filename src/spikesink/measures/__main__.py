"""Answer one group of questions about a trained run or a pretrained model: one tidy table per question."""

import argparse
import sys
from pathlib import Path

import torch

from spikesink.measures.answering import measure
from spikesink.measures.groups import DESCRIPTIONS, GROUPS
from spikesink.measures.table import FORMATS
from spikesink.runs.command import number_from, one_line_errors, stay_offline


@one_line_errors(TypeError, ValueError)
def main() -> None:
    options = arguments()
    stay_offline()
    torch.set_num_threads(options.threads)
    measure(options)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m spikesink.measures", description=__doc__)
    about = "; ".join(f"{name}: {text} ({', '.join(GROUPS[name].questions)})" for name, text in DESCRIPTIONS.items())
    parser.add_argument("group", choices=GROUPS, help=about)
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--run", type=Path, help="the trained run's folder")
    model.add_argument("--pretrained", type=Path, help="the file that `python -m spikesink.pretrained fetch` wrote")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the packed tokens")
    parser.add_argument("--tokenizer", type=Path, help="tokenizer.json of a run's tokens, if not beside them")
    parser.add_argument("--settings", required=True, help="the measures section of the config, as JSON")
    parser.add_argument("--output", type=Path, help="folder for the tables; by default measures/ of the model's folder")
    parser.add_argument("--format", choices=FORMATS, default="parquet")
    parser.add_argument(
        "--gpus", type=number_from(0), default=1, help="0 measures on the CPU, as does a machine without a GPU"
    )
    parser.add_argument("--threads", type=number_from(1), default=1, help="CPU threads")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
