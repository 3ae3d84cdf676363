#!/usr/bin/env bash
# Everything that is measured on a GPU, in one go, on a bare machine with Python, torch for CUDA or ROCm, Triton and e3nn.
# Peers take part where they are installed: cuequivariance-torch with its ops, openequivariance; models likewise: sevenn, mace-torch
# (MACE pins another e3nn: MACE_PYTHON names the interpreter of an environment of its own).
# Nothing is fetched. WHEELS names a folder with wheels of what the machine lacks, such as hatchling, trove-classifiers, stevedore,
# platformdirs, ase. ARCHIVE names a file into which all results go too.
#     benchmarks/gpu.sh [seconds]                 results, plots and the README's section in benchmarks/results/<gpu>/
#     DEVICE=cpu benchmarks/gpu.sh [seconds]      the same steps, small, on a CPU, into .cache/gpu-dry: does everything run?
set -uo pipefail
cd "$(dirname "$0")/.."
limit=${1:-500} python=${PYTHON:-python3} device=${DEVICE:-cuda}
mace_python=${MACE_PYTHON:-$python}
[ -z "${WHEELS:-}" ] || $python -m pip install --quiet --no-index --no-deps "$WHEELS"/*.whl || exit 1
$python -m pip install --quiet --no-deps --no-build-isolation -e . || echo "not installed: what is installed already is measured"
$python benchmarks/gpu_ready.py || exit 1
if [ "$device" = cuda ]; then
    name=$($python -c 'import torch; print(torch.cuda.get_device_name().replace(" ", "-").lower())') || exit 1
    out=${RESULTS:-benchmarks/results/$name} batch=10000 rounds=5 cells=5 size=3
    first=mace-mp-0 others="sevennet-0.inner nequip.with sevennet-l3i5" compiled=cg-triton
else
    out=${RESULTS:-.cache/gpu-dry} batch=20 rounds=2 cells=1 size=1
    first=mace.layer.1 others=sevennet-0.inner compiled=cg-llvm
fi
mkdir -p "$out" && : > "$out/log.txt"
began=$SECONDS failed=0
left() { echo $((limit - SECONDS + began)); }
# A step begins nothing new after its share of the time; one that hangs is ended; one that fails leaves the others alone.
step() {
    echo "== $*" | tee -a "$out/log.txt"
    [ "$(left)" -gt 5 ] || { echo "no time left" | tee -a "$out/log.txt"; return; }
    timeout --kill-after=5 "$(left)" "$@" --device "$device" --results "$out" 2>&1 | tee -a "$out/log.txt" || failed=1
}
kernels() { step "$python" benchmarks/kernels.py --batch $batch --rounds $rounds --only "${1//./ }" --name "kernels-${2:-${1//./-}}" --seconds "$(left)" "${@:3}"; }
convolutions() { step "$python" benchmarks/convolutions.py --size $size --rounds $rounds --only "${1//./ }" --name "convolutions-${1//./-}" "${@:2}"; }
has() { "$1" -c "import $2" 2>/dev/null || { echo "== without $2: not importable" | tee -a "$out/log.txt"; return 1; }; }

kernels $first "" --dtype float32
convolutions $first --seconds $(($(left) / 3))
has "$python" sevenn && step "$python" benchmarks/model_step.py --model 7net-l3i5 --requests off auto $compiled --cells $cells --rounds $rounds
has "$mace_python" mace && step "$mace_python" benchmarks/model_step.py --model mace --requests off auto $compiled --cells $cells --rounds $rounds
kernels $first regret --dtype float32 --auto
kernels $first float64 --dtype float64
for each in $others; do # long kernels compile slowly: they have what time is left
    kernels "$each" "" --dtype float32
    convolutions "$each" --seconds "$(left)"
done
$python benchmarks/gpu_report.py "$out" > "$out/section.md" && cat "$out/section.md" || failed=1
ls -l "$out"
[ -z "${ARCHIVE:-}" ] || tar czf "$ARCHIVE" -C "$out" .
echo "took $((SECONDS - began)) s"
exit $failed
