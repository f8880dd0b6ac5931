#!/usr/bin/env bash
# Build mmcv's operators and install them, for the CPU or also for NVIDIA GPUs; runs in the build stage of images/Dockerfile.
# usage: install.sh cuda|cpu ARCHITECTURES       (as TORCH_CUDA_ARCH_LIST takes them, for example "8.0;9.0+PTX")
set -euo pipefail
here=$(dirname "$0")
# Needed while compiling only; the libraries that torch runs with stay.
toolchain=(nvidia-cuda-cccl nvidia-cuda-crt nvidia-cuda-nvcc nvidia-nvvm)

if [ "$1" = cuda ]; then
    CUDA_HOME=$(python -c "import nvidia; print(nvidia.__path__[0])")/cu13
    export CUDA_HOME FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST="$2" PATH="$CUDA_HOME/bin:$PATH"
    ln --symbolic --force libcudart.so.13 "$CUDA_HOME/lib/libcudart.so" # the linker asks for the name without version
fi
wheel=$(python "$here/build_wheel.py" | tail -n 1)
pip install --no-deps "$wheel"
if [ "$1" = cuda ]; then
    rm "$CUDA_HOME/lib/libcudart.so"
    pip uninstall --yes "${toolchain[@]}"
fi
