#!/usr/bin/env bash
# house_rules.sh: the rules of the house that a compiler does not check (ARCHITECTURE.md).
#
# Usage: house_rules.sh [ROOT]   checks the tree at ROOT (default: the current folder) and then itself: it plants one
# violation of each rule in a small tree and wants each to be found. One line per violation, "RULE: FILE:LINE: what".
# Comments are free: names in them are no violation. Needs bash, awk and find; clang-format 14 when it is installed.
set -uo pipefail
export LC_ALL=C

# rule|file|reason. An exception that nothing needs any more is a violation itself.
EXCEPTIONS=(
    "exit|base/fault.c|a misspelt fault must end the program that is tested; not in release builds"
)

ROOMS="base kernels autograd checkpoints data configs train"

# Names that hold a family's name but mean something else, as lower-case regular expressions.
NOT_FAMILIES='llama\\.cpp|rope_scaling_llama3|llama3_scaled|"llama3"|\\(default, linear and llama3 are\\)|bool llama3|\\(llama3 &&|is_llama_config'

source_files() {
    find $ROOMS tests -type f \( -name '*.c' -o -name '*.h' -o -name '*.cu' -o -name '*.def' \) 2>/dev/null | sort
}

text_files() {
    find . \( -name .git -o -name 'build*' \) -prune -o -type f \( -name '*.c' -o -name '*.h' -o -name '*.cu' -o \
        -name '*.def' -o -name '*.cmake' -o -name CMakeLists.txt -o -name CMakePresets.json -o -name '*.sh' -o \
        -name '*.py' -o -name '*.md' -o -name '*.yaml' -o -name '*.yml' \) ! -path ./tests/house_rules.sh -print | sort
}

# ---- rules on sources: one pass, comments removed (code) and the insides of strings too (bare) ------------------------
read -r -d '' SOURCE_RULES <<'AWK' || true
function report(rule, line, text) { printf "%s: %s:%d: %s\n", rule, F, line, text }

BEGIN {
    allowed["base"] = " base "
    allowed["kernels"] = " kernels base "
    allowed["autograd"] = " autograd kernels base "
    allowed["checkpoints"] = " checkpoints kernels base "
    allowed["data"] = " data base "
    allowed["configs"] = " configs base "
    allowed["train"] = " train configs data checkpoints autograd kernels base "
    rooms = allowed["train"] "tests "
    n = split("complex ctype errno fenv float inttypes limits locale math setjmp signal stdalign stdarg stdatomic stdbool " \
              "stddef stdint stdio stdlib stdnoreturn string tgmath time wchar arm_neon cpuid dirent dlfcn fcntl immintrin poll " \
              "pthread sched strings termios unistd x86intrin langinfo glob regex spawn", names, " ")
    for (i = 1; i <= n; i++) system_header[names[i] ".h"] = 1
    owner_of["yajl/yajl_parse.h"] = "base/json.c"
    owner_of["xxhash.h"] = "base/hash.c"
    owner_of["sha2.h"] = "base/hash.c"
    owner_of["hdf5.h"] = "base/h5.c"
    owner_of["zlib.h"] = "data/bytes_gzip.c"
    owner_of["zstd.h"] = owner_of["zstd_errors.h"] = "data/bytes_zstd.c"
    owner_of["yaml.h"] = "configs/yaml.c"
    owner_of["pcre2.h"] = "data/"
    owner_of["utf8proc.h"] = "data/"
    owner_of["cmocka.h"] = "tests/"
    owner_of["oneapi/dnnl/dnnl.h"] = owner_of["cblas.h"] = "tests/bench/yardstick.c"
    owner_of["cuda.h"] = owner_of["cuda_runtime.h"] = owner_of["cublasLt.h"] = owner_of["cudnn.h"] = "kernels/cuda/"
    owner_of["cuda_bf16.h"] = owner_of["cuda_fp16.h"] = owner_of["nccl.h"] = "kernels/cuda/"
}

# Removes comments; in `bare` strings and characters are emptied as well.
function strip(line,   i, c, two, quote) {
    code = bare = ""
    if (!in_comment && line !~ /[\/"']/) {
        code = bare = line
        return
    }
    n_chars = length(line)
    quote = ""
    for (i = 1; i <= n_chars; i++) {
        c = substr(line, i, 1)
        two = substr(line, i, 2)
        if (in_comment) {
            if (two == "*/") { in_comment = 0; i++; code = code " "; bare = bare " " }
        } else if (quote != "") {
            code = code c
            if (c == "\\") { i++; code = code substr(line, i, 1) }
            else if (c == quote) { quote = ""; bare = bare c }
        } else if (two == "/*") { in_comment = 1; i++ }
        else if (two == "//") return
        else {
            code = code c
            bare = bare c
            if (c == "\"" || (c == "'" && substr(line, i - 1, 1) !~ /[0-9a-fA-F]/)) quote = c
        }
    }
}

function check_include(   name, target, owner, sub_, parts) {
    name = code
    if (name !~ /^[ \t]*#[ \t]*include[ \t]*["<]/) return
    sub(/^[ \t]*#[ \t]*include[ \t]*/, "", name)
    if (name ~ /^</) {
        sub(/^</, "", name); sub(/>.*/, "", name)
        if (name == "assert.h") report("assert", FNR, "assert.h: CHECK is for our bugs, FAIL for the world")
        else if (name in owner_of) {
            if (index(F, owner_of[name]) != 1) report("library", FNR, name " belongs to " owner_of[name])
        } else if (!(name in system_header) && name !~ /^sys\// && name !~ /^sanitizer\//)
            report("library", FNR, name " is no header of C11 or POSIX, and no library's place is known for it")
        return
    }
    sub(/^"/, "", name); sub(/".*/, "", name)
    split(name, parts, "/")
    target = parts[1]
    if (index(rooms, " " target " ") == 0) {
        if (R != "tests") report("include", FNR, "\"" name "\" does not start with a room")
        return
    }
    if (R == "tests") {
        owner = (S in allowed) ? S : S == "support" ? "base" : "train"
        if (target == "tests" && parts[2] != "support" && parts[2] != S)
            report("include", FNR, "\"" name "\": tests include their own folder and tests/support")
        if (target == "tests") return
    } else owner = R
    if (index(allowed[owner], " " target " ") == 0) report("include", FNR, owner " may not include \"" name "\"")
    if (R == "checkpoints" && target == "kernels" && name !~ /^kernels\/(quant\.h|quant\.def|dtype\.h)$/)
        report("include", FNR, "checkpoints sees types and quant traits of kernels only, not \"" name "\"")
    if (R == "kernels" && S ~ /^(reference|cpu|cuda)$/ && parts[2] ~ /^(reference|cpu|cuda)$/ && parts[2] != S)
        report("include", FNR, "kernels/" S " may not include \"" name "\"")
}

function check_words(   low) {
    if (bare ~ /(^|[^A-Za-z0-9_])assert[ \t]*\(/) report("assert", FNR, "assert: CHECK is for our bugs, FAIL for the world")
    if (R != "base" && R != "tests" &&
        (bare ~ /(^|[^A-Za-z0-9_.>])(malloc|calloc|realloc|aligned_alloc|posix_memalign|alloca)([^A-Za-z0-9_]|$)/ ||
         bare ~ /(^|[^A-Za-z0-9_.>])(free|strdup|strndup|asprintf|vasprintf|getline|getdelim)[ \t]*\(/))
        report("memory", FNR, "memory comes from an Arena")
    if (R != "tests" && F != "train/main.c" && bare ~ /(^|[^A-Za-z0-9_.>])(exit|_exit|_Exit|quick_exit|abort)[ \t]*\(/ &&
        !(F == "base/status.c" && bare !~ /exit/) && !(F == "base/signals.c" && bare ~ /_exit/))
        report("exit", FNR, "only train/main.c ends the program")
    if (code ~ /fast-math|Ofast|unsafe-math|associative-math/) report("fast-math", FNR, "sums keep their order")
    if (R == "tests") return
    low = tolower(code)
    if (F != "train/model/families.c" && F !~ /^data\/(tokenizer|template|chat)/) {
        gsub(not_families, "", low)
        if (low ~ /llama|mistral|mixtral|qwen|gemma|deepseek|smollm|falcon|internlm|(^|[^a-z])phi_?[0-9]/)
            report("family", FNR, "a family's name: " code)
    }
    if (R != "kernels" && F != "configs/schema.def" && tolower(code) ~ /cuda|cublas|cudnn/)
        report("device", FNR, "a device's name: " code)
}

# Brace depth; a function is what stands at depth 0 and has ")" before its "{".
function check_functions(   i, c, limit) {
    if (continued || bare ~ /^[ \t]*#/) {
        continued = bare ~ /\\$/
        return
    }
    if (bare !~ /[{}();]/ && depth > 0) return
    for (i = 1; i <= length(bare); i++) {
        c = substr(bare, i, 1)
        if (c == "{") {
            if (depth == 0 && head ~ /extern[ \t]*""[ \t]*$/) { wraps++; head = ""; continue }
            if (depth == 0) in_function = head ~ /\)[ \t]*$/ && head !~ /=/ &&
                head !~ /^[ \t]*((static|const|typedef)[ \t]+)*(struct|union|enum)[ \t]+__attribute__/
            depth++
        } else if (c == "}") {
            if (depth == 0 && wraps > 0) { wraps--; head = ""; continue }
            depth--
            if (depth == 0 && in_function) {
                limit = R == "kernels" ? 150 : 80
                if (FNR - head_line + 1 > limit)
                    report("length", head_line, "a function of " (FNR - head_line + 1) " lines, at most " limit)
                in_function = 0
            }
            if (depth == 0) head = ""
        } else if (depth == 0) {
            if (c == ";") head = ""
            else if (head != "" || c !~ /[ \t]/) {
                if (head == "") head_line = FNR
                head = head c
            }
        }
    }
    if (head != "") head = head " "
}

function check_guard(   want) {
    if (F !~ /\.h$/ || code !~ /^[ \t]*#/) return
    directives++
    want = "LORAC_" toupper(F)
    gsub(/[^A-Z0-9]/, "_", want)
    if (directives == 1 && code !~ "^#ifndef " want "[ \t]*$") guard = "missing"
    if (directives == 2 && code !~ "^#define " want "[ \t]*$") guard = "missing"
    if (guard == "missing") { guard = "reported"; report("guard", FNR, "a header opens with #ifndef and #define " want) }
}

function end_file() {
    if (F == "" || F ~ /\.def$/) return
    if (lines > 600) report("length", lines, "a file of " lines " lines, at most 600")
    if (depth != 0) report("length", lines, "braces do not balance, functions cannot be measured")
    if (F ~ /\.h$/ && guard != "reported" && directives < 2) report("guard", 1, "a header without a guard")
}

FNR == 1 {
    end_file()
    F = FILENAME
    split(F, path, "/")
    R = path[1]
    S = path[3] == "" ? "" : path[2]
    in_comment = depth = wraps = in_function = continued = directives = 0
    head = guard = ""
}
{
    lines = FNR
    strip($0)
    check_include()
    check_words()
    check_guard()
    if (F !~ /\.def$/) check_functions()
}
END { end_file() }
AWK

# ---- rules on all texts -----------------------------------------------------------------------------------------------
read -r -d '' TEXT_RULES <<'AWK' || true
{ file = FILENAME; sub(/^\.\//, "", file) }
/(^|[^A-Za-z0-9_])(TODO|FIXME)([^A-Za-z0-9_]|$)/ { printf "unfinished: %s:%d: %s\n", file, FNR, $0 }
/(^|[^A-Za-z0-9_.\/])\/(root|home)\// { printf "path: %s:%d: a path of one machine: %s\n", file, FNR, $0 }
file ~ /(CMakeLists\.txt|\.cmake|CMakePresets\.json|\.sh)$/ {
    text = $0
    if (file !~ /json$/) sub(/#.*/, "", text)
    if (text ~ /fast-math|Ofast|unsafe-math|associative-math/)
        printf "fast-math: %s:%d: sums keep their order\n", file, FNR
}
AWK

clang_format() {
    local name
    for name in clang-format-14 clang-format; do
        if command -v "$name" >/dev/null && "$name" --version | grep -q 'version 14\.'; then
            echo "$name"
            return
        fi
    done
}

format_rule() {
    local program
    program=$(clang_format)
    if [ -z "$program" ]; then
        echo "house_rules: clang-format 14 is not installed: the format is not checked (skip)" >&2
        return
    fi
    source_files | grep -v '\.def$' | xargs -r "$program" --dry-run -Werror 2>&1 |
        awk -F: '/clang-formatted/ && !seen[$1]++ { printf "format: %s:%d: run %s -i on it\n", $1, $2, program }' \
            program="$program"
}

all_rules() {
    source_files | xargs -r awk -v not_families="$NOT_FAMILIES" "$SOURCE_RULES"
    text_files | xargs -r awk "$TEXT_RULES"
    format_rule
}

# Prints what is left after the exceptions, and exceptions that nothing needed. Status 1 when there is any.
check_tree() {
    local found exception rule file left=0
    found=$(all_rules)
    for exception in ${EXCEPTIONS[@]+"${EXCEPTIONS[@]}"}; do
        IFS='|' read -r rule file _ <<<"$exception"
        if grep -q "^$rule: $file:" <<<"$found"; then
            found=$(grep -v "^$rule: $file:" <<<"$found")
        else
            echo "exception: tests/house_rules.sh:1: nothing needs '$rule|$file' any more"
            left=1
        fi
    done
    [ -n "$found" ] && printf '%s\n' "$found" && left=1
    return $left
}

# ---- the script checks itself -----------------------------------------------------------------------------------------
plant_clean_tree() {
    mkdir -p base kernels/cpu kernels/reference autograd checkpoints data configs train/model tests/kernels tests/support
    printf '%s\n' 'BasedOnStyle: LLVM' 'IndentWidth: 4' 'ColumnLimit: 120' >.clang-format
    printf '%s\n' '/* llama, cuda, exit(1) and assert(x) in a comment are free. */' '#include "base/x.h"' '' \
        '#include <stdlib.h>' '#include <yajl/yajl_parse.h>' '' 'void *x_new(void) { return malloc(1); }' >base/json.c
    printf '%s\n' '#ifndef LORAC_BASE_X_H' '#define LORAC_BASE_X_H' '' 'void *x_new(void);' '' '#endif' >base/x.h
    printf '%s\n' '#include <stdlib.h>' '' 'void check_failed(void) { abort(); }' >base/status.c
    printf '%s\n' '#include <stdlib.h>' '' 'int main(void) { exit(0); }' >train/main.c
    printf '%s\n' 'const char *const FAMILY = "llama";' >train/model/families.c
    printf '%s\n' 'K(add, (int a))' >kernels/kernels.def
    printf '%s\n' 'const char *const DEVICE = "cuda";' >kernels/backend.c
    printf '%s\n' '#include "kernels/x.h"' '' 'static const char *const A = "free(x) assert(x)";' '' \
        'const char *a(void) { return A; }' >kernels/cpu/a.c
    printf '%s\n' 'set(FLAGS -O2) # no -ffast-math' >CMakeLists.txt
}

function_of() { # lines
    echo 'int f(int x) {'
    for ((i = 2; i < $1; i++)); do echo '    x++;'; done
    echo '}'
}

# What must be found: "RULE FILE". All violations stand in one tree, each in a file of its own, and are looked for at once.
EXPECTED=()

# rule file: the text comes on stdin. A % in the file's name becomes a number.
plant() {
    local file=${2/\%/${#EXPECTED[@]}}
    mkdir -p "$(dirname "$file")"
    cat >"$file"
    EXPECTED+=("$1 $file")
}

plant_violations() {
    local room
    plant include base/a%.c <<<'#include "kernels/x.h"'
    plant include kernels/a%.c <<<'#include "autograd/x.h"'
    plant include autograd/a%.c <<<'#include "checkpoints/x.h"'
    plant include checkpoints/a%.c <<<'#include "data/x.h"'
    plant include checkpoints/a%.c <<<'#include "kernels/backend.h"'
    for room in kernels checkpoints configs train; do
        plant include data/a%.c <<<"#include \"$room/x.h\""
    done
    plant include configs/a%.c <<<'#include "train/x.h"'
    plant include kernels/cpu/b%.c <<<'#include "kernels/reference/x.h"'
    plant include kernels/reference/b%.c <<<'#  include "kernels/cpu/x.h"'
    plant include kernels/cuda/b%.cu <<<'#include "kernels/cpu/x.h"'
    plant include train/a%.c <<<'#include "x.h"'
    plant include tests/kernels/t_a%.c <<<'#include "autograd/x.h"'
    plant include tests/kernels/t_a%.c <<<'#include "tests/autograd/x.h"'
    plant library data/a%.c <<<'#include <yajl/yajl_parse.h>'
    plant library kernels/a%.c <<<'#include <omp.h>'
    plant library train/a%.c <<<'#include <hdf5.h>'
    plant library data/a%.c <<<'#include <zstd.h>'
    plant length base/a%.c < <(for ((i = 0; i < 601; i++)); do echo; done)
    plant length base/a%.c < <(function_of 81)
    plant length tests/kernels/t_a%.c < <(function_of 81)
    plant length kernels/a%.c < <(function_of 151)
    plant length kernels/a%.c < <(echo 'extern "C" {' && function_of 151 && echo '}')
    plant length train/a%.c < <(printf 'static const int A[] = {1, 2};\n\nstruct s {\n    int x;\n};\n\n' && function_of 81)
    plant memory train/a%.c <<<'void *a(void) { return malloc(1); }'
    plant memory kernels/a%.c <<<'void a(void *p) { free(p); }'
    plant memory data/a%.c <<<'static void *(*make)(unsigned long, unsigned long) = calloc;'
    plant memory configs/a%.c <<<'char *a(const char *s) { return strdup(s); }'
    plant exit train/a%.c <<<'void a(void) { exit(1); }'
    plant exit base/a%.c <<<'void a(void) { abort(); }'
    plant exit base/signals.c <<<'void a(void) { exit(1); }'
    plant exit base/status.c <<<'void a(void) { _exit(1); }'
    plant assert autograd/a%.c <<<'void a(int x) { assert(x); }'
    plant assert base/a%.c <<<'#include <assert.h>'
    plant unfinished base/a%.c <<<"/* TO""DO: more */"
    plant unfinished README.md <<<"FIX""ME"
    plant path tests/a%.py <<<"open('/ro""ot/x')"
    plant fast-math CMakeLists.txt <<<'add_compile_options(-ffast-math)'
    plant fast-math kernels/a%.c <<<'#pragma GCC optimize("fast-math")'
    plant family train/a%.c <<<'const char *const A = "Qwen3ForCausalLM";'
    plant family autograd/a%.c <<<'int gemma_scale;'
    plant family train/model/x%.def <<<'ROW(mistral)'
    plant family data/formats.c <<<'int llama_rows;'
    plant device train/a%.c <<<'const char *const A = "cuda";'
    plant device base/a%.c <<<'int useCuda; /* comment */'
    plant guard base/y%.h <<<'int y(void);'
    plant guard tests/support/y%.h <<<'#pragma once'
    plant guard base/y%.h < <(printf '#ifndef LORAC_BASE_X_H\n#define LORAC_BASE_X_H\n#endif\n')
    plant guard base/late.h < <(printf '#include <stdio.h>\n#ifndef LORAC_BASE_LATE_H\n#define LORAC_BASE_LATE_H\n#endif\n')
    if [ -n "$(clang_format)" ]; then plant format base/a%.c <<<'int  a( void ){return 1;}'; fi
}

plant_free_files() { # what is no violation
    function_of 80 >base/a.c
    function_of 150 >kernels/a.c
    { echo 'const int A[] = {' && for ((i = 0; i < 90; i++)); do echo '    1, //'; done && echo '};'; } >base/b.c
    printf '%s\n' '#include "autograd/x.h"' '#include "base/x.h"' '#include "checkpoints/x.h"' '#include "configs/x.h"' \
        '#include "data/x.h"' '#include "kernels/x.h"' '' 'typedef struct A {' '    int x;' '} A;' '' '/* qwen */' \
        'void a(A *b) { b->x = 1; } /* exit(1) */' >train/a.c
    printf '%s\n' '#include "kernels/quant.h"' >checkpoints/a.c
    printf '%s\n' '#include "kernels/x.h"' '#include "tests/support/x.h"' '' 'int *a(void) { return malloc(1); }' \
        >tests/kernels/t_a.c
    printf '%s\n' 'void *a(void) { return malloc(1); }' >train/excepted.c
}

self_test() (
    folder=$(mktemp -d) || exit 1
    trap 'rm -rf "$folder"' EXIT
    cd "$folder" || exit 1
    plant_clean_tree
    plant_free_files
    EXCEPTIONS=('memory|train/excepted.c|to see that exceptions work')
    if ! out=$(check_tree 2>/dev/null); then
        printf 'self-test: the clean tree is not clean:\n%s\n' "$out"
        exit 1
    fi
    EXCEPTIONS+=('memory|train/none.c|one that nothing needs')
    EXPECTED+=('exception tests/house_rules.sh')
    plant_violations
    out=$(check_tree 2>/dev/null) && echo "self-test: a tree full of violations passed" && exit 1
    missed=0
    for expected in "${EXPECTED[@]}"; do
        read -r rule file <<<"$expected"
        grep -q "^$rule: $file:" <<<"$out" && continue
        echo "self-test: the violation of '$rule' in $file was not found: $(cat "$file" 2>/dev/null | head -3)"
        missed=1
    done
    [ $missed -eq 0 ] && echo "house_rules: each of ${#EXPECTED[@]} planted violations was found"
    exit $missed
)

cd "${1:-.}" || exit 1
status=0
check_tree || status=1
self_test || status=1
exit $status
