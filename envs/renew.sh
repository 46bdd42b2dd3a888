#!/bin/sh
# Renew the versions that the project is installed with:
#   envs/constraints.txt   name and version of every package
#   envs/locked-cuda.txt   what a study needs, with the SHA-256 of every file: torch's CUDA build, on macOS its Metal build
#   envs/locked-cpu.txt    the same with torch's CPU build for Linux
#   envs/locked-gguf.txt, locked-capabilities.txt, locked-dev.txt   what these layers of pyproject.toml need beyond that
# UPGRADE=--upgrade takes the newest versions that pyproject.toml allows. Without it the versions stay, and hashes of
# files that were added since are written down. CPU_TORCH is where torch's CPU wheels are: a page, or a folder; for the
# versions of Python that it has no wheel for, envs/locked-cpu.txt then has no sum. The digest of the base image in
# envs/spikesink.def is what `skopeo inspect --format '{{.Digest}}' docker://python:3.11-slim-bookworm` prints. Afterwards
# run the tests.
set -eu
cd "$(dirname "$0")/.."
CPU_TORCH="${CPU_TORCH:-https://download.pytorch.org/whl/cpu/torch/}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check uv==0.13.9

compile() {
  rm -f "$work/locked.txt"
  "$work/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-annotate --no-header pyproject.toml --output-file "$work/locked.txt" "$@"
}

compile --all-extras ${UPGRADE:---constraint envs/constraints.txt}
{ sed -n '/^#/p' envs/constraints.txt; sed -n 's/^\([A-Za-z0-9._-]*==[^ ;]*\).*/\1/p' "$work/locked.txt"; } > "$work/constraints.txt"
cp "$work/constraints.txt" envs/constraints.txt
compile --extra train --constraint envs/constraints.txt
{ echo "# pip install --require-hashes --no-deps --requirement: torch's CUDA build. Made by envs/renew.sh."
  cat "$work/locked.txt"; } > envs/locked-cuda.txt

# The layers above are the same for both builds: what the file has that locked-cuda.txt lacks.
for layer in gguf capabilities dev; do
  compile --extra train --extra "$layer" --constraint envs/constraints.txt
  { echo "# pip install --require-hashes --no-deps --requirement: the layer $layer above train. Made by envs/renew.sh."
    awk 'NR == FNR { if (/^[a-z0-9]/) known[$1] = 1; next } /^[a-z0-9]/ { kept = !($1 in known) } kept' \
      envs/locked-cuda.txt "$work/locked.txt"; } > "envs/locked-$layer.txt"
done

# The CPU build needs none of CUDA's libraries.
torch="$(sed -n 's/^torch==//p' envs/constraints.txt)"
echo "torch==$torch+cpu" > "$work/cpu.txt"
grep -vE '^(cuda-|nvidia-|triton=)' envs/constraints.txt | sed "s/^torch==.*/torch==$torch+cpu/" > "$work/versions.txt"
compile --extra train --constraint "$work/versions.txt" --override "$work/cpu.txt" --find-links "$CPU_TORCH"
{ echo "# pip install --require-hashes --no-deps --requirement: torch's CPU build. Made by envs/renew.sh."
  cat "$work/locked.txt"; } > envs/locked-cpu.txt
