# packages.sh: sourced by demo.sh and test.sh. need_packages NAME... installs what is missing (root or sudo), or prints
# the exact line to type and ends.
need_packages() {
    local missing=() p
    for p in "$@"; do
        dpkg-query -W -f='${db:Status-Abbrev}' "$p" 2>/dev/null | grep -q '^ii' || missing+=("$p")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    local line="apt-get install -y --no-install-recommends ${missing[*]}" sudo=""
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
            sudo="sudo"
        else
            echo "These Debian packages are missing. As root, run:" >&2
            echo "    apt-get update && $line" >&2
            exit 1
        fi
    fi
    echo "installing: ${missing[*]}"
    $sudo apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $sudo $line -qq >/dev/null
}

BUILD_PACKAGES=(gcc cmake ninja-build pkg-config libc6-dev libyaml-dev libhdf5-dev libyajl-dev libxxhash-dev libmd-dev
    libpcre2-dev libutf8proc-dev zlib1g-dev libzstd-dev libaec-dev)
