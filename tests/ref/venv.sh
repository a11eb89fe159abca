#!/bin/sh
# venv.sh FOLDER - makes a Python 3.11 environment with the exact versions the vectors were made by.
# The product never needs it; keep it outside the repository. About 6 GB, most of it CUDA
# libraries that the torch wheel on PyPI brings along.
set -eu
[ $# = 1 ] || { echo "usage: venv.sh FOLDER" >&2; exit 2; }
python3 -m venv "$1"
"$1/bin/pip" install --no-input --progress-bar off \
  torch==2.15.0 \
  diffusers==0.42.1 \
  transformers==5.23.0 \
  tokenizers==0.23.3 \
  safetensors==0.8.0 \
  accelerate==1.15.0 \
  huggingface-hub==2.4.0 \
  numpy==2.4.6 \
  pillow==13.0.0 \
  scipy==1.17.1 \
  sentencepiece==0.2.3
# torchaudio asks for torch's own CUDA version when it is imported, and transformers imports it where
# it can: it lies apart, and media.py alone looks there.
exec "$1/bin/pip" install --no-input --progress-bar off --no-deps --target "$1/audio" torchaudio==2.11.0
