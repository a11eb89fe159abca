#!/bin/sh
# venv.sh [FOLDER] - the Python that `make bench-peers` measures beside weft; prints its path.
# It is made where it is not there yet, outside the tree: $WEFT_PEERS, or ~/.cache/weft-peers.
# About 6 GB, most of it CUDA libraries that the torch wheel on PyPI brings along.
set -eu

folder=${1:-${WEFT_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/weft-peers}}
if ! [ -e "$folder/ready" ]; then
  python3 -m venv "$folder" >&2
  "$folder/bin/pip" install --no-input --progress-bar off --quiet \
    torch==2.15.0 diffusers==0.42.1 transformers==5.23.0 >&2
  touch "$folder/ready"
fi
echo "$folder/bin/python"
