#!/usr/bin/env bash
# Everything that is measured on a GPU, in one go, on a bare machine with Python, torch for CUDA or ROCm, Triton and e3nn.
# Peers take part where they are installed: cuequivariance-torch with its ops, openequivariance.
#     benchmarks/gpu.sh [seconds]      results in benchmarks/results/<gpu>/
set -uo pipefail
cd "$(dirname "$0")/.."
limit=${1:-540}
python=${PYTHON:-python3}
$python -c 'import torch; assert torch.cuda.is_available(), "torch sees no GPU"' || exit 1
$python -m pip install --quiet --no-deps --no-build-isolation -e . || export PYTHONPATH="$PWD:$PWD/plugins:$PWD/adapters:${PYTHONPATH:-}"
name=$($python -c 'import torch; print(torch.cuda.get_device_name().replace(" ", "-").lower())')
out=benchmarks/results/$name
mkdir -p "$out"
began=$SECONDS
# Each step has what is left of the time; one that is cut short leaves the others' results alone.
step() { timeout $((limit - SECONDS + began)) "$@" 2>&1 | tail -n 60 | tee -a "$out/log.txt"; }
: > "$out/log.txt"
step $python benchmarks/kernels.py --device cuda --batch 10000 --dtype float32 --rounds 5 --only mace --name kernels-mace --results "$out"
step $python benchmarks/convolutions.py --device cuda --size 3 --only mace --results "$out"
step $python benchmarks/kernels.py --device cuda --batch 10000 --dtype float32 --rounds 5 --only nequip --name kernels-nequip --results "$out"
step $python benchmarks/kernels.py --device cuda --batch 10000 --dtype float64 --rounds 5 --only mace --name kernels-float64 --results "$out"
step $python benchmarks/convolutions.py --device cuda --size 3 --only sevennet --name convolutions-sevennet --results "$out"
ls -l "$out"
