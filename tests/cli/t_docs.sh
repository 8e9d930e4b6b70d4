#!/usr/bin/env bash
# t_docs.sh LORAC: every ```sh block of docs/*.md runs, in order, a page in its own copy of what the pages use; the manual page
# names every command and option of the help texts, and no other option.
set -euo pipefail
lorac=$(realpath "$1")
cd "$(dirname "$0")/../.."
command -v python3 >/dev/null || { echo "python3 is not here"; exit 77; }
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONDONTWRITEBYTECODE=1
mkdir "$work/bin"
ln -s "$lorac" "$work/bin/lorac"
export PATH=$work/bin:$PATH

blocks=0
for page in docs/*.md; do
    name=$(basename "$page" .md)
    copy=$work/$name
    mkdir -p "$copy/data"
    cp -r configs "$copy/"
    cp -r data/tiny data/manual "$copy/data/"
    { echo "set -euo pipefail"; awk '/^```sh$/ { on = 1; next } /^```$/ { on = 0 } on' "$page"; } >"$work/$name.sh"
    blocks=$((blocks + $(grep -c '^```sh$' "$page" || true)))
    if ! (cd "$copy" && bash "$work/$name.sh") >"$work/$name.log" 2>&1 </dev/null; then
        echo "a command of $page failed:"
        tail -20 "$work/$name.log"
        exit 1
    fi
done
[ "$blocks" -ge 10 ] || { echo "only $blocks blocks were found in docs/"; exit 1; }

# Pages that links lead to are there.
grep -o '](\([^)#]*\))' README.md CONTRIBUTING.md ARCHITECTURE.md | sed 's/.*](\(.*\))/\1/' | while read -r target; do
    case $target in http*) continue ;; esac
    [ -e "$root/$target" ] || { echo "a link leads to $target, which is not there"; exit 1; }
done

# The manual page and the help texts name the same things.
man=docs/lorac.1
commands=$("$lorac" --help | sed -n '/^commands:/,/^$/p' | awk 'NF > 1 { print $1 }')
failed=0
for command in $commands; do
    grep -q "^\.Ic $command" "$man" || { echo "$man lacks the command $command"; failed=1; }
    # the section of the command in the page, with its options
    awk -v c="$command" '/^\.Sh/ { on = 0 } $0 ~ "^\\.Ss lorac " c "$" { on = 1; next } /^\.Ss/ { on = 0 } on' "$man" >"$work/section"
    "$lorac" "$command" --help | grep -oE -- '--[a-z][a-z-]*[a-z]' | sort -u >"$work/help" || true # a command without options
    grep -oE 'Fl Fl [a-z][a-z-]*[a-z]|\\-\\-[a-z][a-z-]*[a-z]' "$work/section" | sed 's/Fl Fl /--/; s/\\-\\-/--/' | sort -u >"$work/page" || true
    for option in $(grep -vxE -- '--(some-key|help)' "$work/help"); do
        grep -qx -- "$option" "$work/page" || { echo "$man, lorac $command: lacks $option"; failed=1; }
    done
    for option in $(cat "$work/page"); do
        grep -qx -- "$option" "$work/help" || { echo "$man, lorac $command: $option is not in the help"; failed=1; }
    done
done
if command -v mandoc >/dev/null; then
    mandoc -T lint -W warning "$man" || failed=1
fi
[ $failed -eq 0 ] && echo "$blocks blocks of docs/ run, and $man agrees with the help"
exit $failed
