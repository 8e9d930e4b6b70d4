#!/usr/bin/env bash
# fetch_vocabs.sh [FOLDER]: puts llama.cpp's vocabulary-only GGUF files and their tokenizer tests (NAME.gguf, .inp, .out)
# into FOLDER (default .cache/vocabs in the repository), from the source archive of the PyPI package llama-cpp-python.
# They are model files and are not committed; tests/train/t_tokenizer_vocabs.c skips without them. Needs python3 with pip.
set -euo pipefail

version=0.3.9
sha256=a3a985f558385e2f5de5b663f4e9b0817506d6af98122450142cd98e79216370
names="llama-spm llama-bpe qwen2 deepseek-llm deepseek-coder phi-3 gpt-2 starcoder refact command-r falcon mpt"
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=${1:-$root/.cache/vocabs}

complete() {
    for name in $names; do
        for end in gguf gguf.inp gguf.out; do [ -s "$folder/ggml-vocab-$name.$end" ] || return 1; done
    done
}
if complete; then exit 0; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "fetching llama-cpp-python $version (68 MB) for its tokenizer tests" >&2
python3 -m pip download -q --no-deps --no-binary :all: -d "$work" "llama-cpp-python==$version"
archive=$work/llama_cpp_python-$version.tar.gz
echo "$sha256  $archive" | sha256sum --quiet -c
mkdir -p "$folder"
models=llama_cpp_python-$version/vendor/llama.cpp/models
members=()
for name in $names; do
    for end in gguf gguf.inp gguf.out; do members+=("$models/ggml-vocab-$name.$end"); done
done
tar -xzf "$archive" -C "$work" "${members[@]}"
mv "$work/$models"/* "$folder/"
complete
