#!/usr/bin/env bash
# Make .venv and install Motion, the fashion_search example and the tools, as constraints.txt pins them.
# 'make setup' calls this when a pin changed; 'make lock' makes the pins, with the argument 'lock'.
# PYTHON names the interpreter (default: python3).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=.venv
log=$venv/setup.log
started=$SECONDS

stop() {
    printf '\nsetup: %s\n' "$1" >&2
    shift
    (($# == 0)) || printf '       %s\n' "$@" >&2
    exit 1
}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# Print the Python that was asked for; if it was none in particular, the first that is 3.11 or newer.
find_python() {
    local asked=${PYTHON:-python3} candidates candidate
    candidates=("$asked")
    [[ $asked != python3 ]] || candidates+=(python3.11 python3.12 python3.13 python3.14)
    for candidate in "${candidates[@]}"; do
        if is_new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    stop "Python 3.11 or newer is needed; $asked is $("$asked" --version 2>/dev/null || echo missing)." \
        "Install one, then name it: make setup PYTHON=/path/to/python3"
}

can_make_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

# Install packages of Debian or Ubuntu; false where that cannot be done here, and what apt-get said is in its log.
apt_install() {
    command -v apt-get >/dev/null && ((EUID == 0)) || return
    echo "setup: installing Debian's $*"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends "$@"; } >"$scratch/apt.log" 2>&1 && return
    echo "setup: apt-get could not: $(tail -n 1 "$scratch/apt.log")"
    return 1
}

# Debian and Ubuntu keep venv's parts in a package of their own.
need_venv() {
    can_make_venv "$1" && return
    local package
    package=python$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv
    apt_install "$package" || true
    can_make_venv "$1" || stop "$1 cannot make virtual environments: it lacks venv or ensurepip." \
        "Debian, Ubuntu:  sudo apt-get install $package" \
        "elsewhere:       install Python 3.11 or newer with venv, then make setup PYTHON=/path/to/python3"
}

# The dashboard's tests look at it in a real browser. Where there is none, and it cannot be had, they are skipped by name.
need_browser() {
    command -v chromium >/dev/null || command -v chromium-browser >/dev/null && return
    apt_install chromium fonts-dejavu-core ||
        echo "setup: no Chromium here, so tests in a browser will be skipped; 'sudo apt-get install chromium' brings it"
}

# Tests of PostgreSQL behind a pooler have a real one. Its package starts a service, so it is installed in containers only.
need_pooler() {
    command -v pgbouncer >/dev/null || [[ -x /usr/sbin/pgbouncer ]] && return
    [[ ! -d /run/systemd/system ]] && apt_install pgbouncer ||
        echo "setup: no PgBouncer here, so tests behind a pooler will be skipped; 'sudo apt-get install pgbouncer' brings it"
}

# Run pip into the log. On a terminal, its last line shows what it is at.
pip_install() {
    local line
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off \
        --only-binary :all: --constraint constraints.txt "$@" 2>&1 | tee -a "$log" |
        while IFS= read -r line; do
            [[ -t 1 && $line =~ ^[[:space:]]*(Collecting|Downloading|Installing|Building|Preparing) ]] || continue
            printf '\r\033[K  %4ds  %.70s' "$((SECONDS - started))" "${line#"${line%%[![:space:]]*}"}"
        done || stop "pip failed; $log ends with:" "$(tail -n 8 "$log")" \
        "Is the network there, and 6 GB of free disk? Then 'make setup' goes on from what is downloaded."
    if [[ -t 1 ]]; then printf '\r\033[K'; fi
}

install() {
    is_new_enough "$venv/bin/python" || "$1" -m venv --clear "$venv"
    : >"$log"
    echo "setup: installing into $venv (the first time takes a few minutes, mostly PyTorch)"
    pip_install hatchling editables
    pip_install --no-build-isolation --editable '.[dev]' --editable examples/fashion_search
    "$venv/bin/python" -m pip check >>"$log" 2>&1 ||
        stop "the installed packages disagree:" "$(tail -n 5 "$log")"
    echo "setup: done in $((SECONDS - started)) s, $(du -sh "$venv" | cut -f1) on disk"
}

# Resolve anew, without the old pins, and write what comes out under constraints.txt's last comment. It is
# resolved for 3.11.0, the oldest Python we promise: newer releases of some packages ask for 3.11.5.
lock() {
    "$1" -m venv "$scratch/venv"
    "$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
        --python-version 3.11.0 --target "$scratch/target" --dry-run --report "$scratch/report.json" \
        '.[dev,docs,ray]' ./examples/fashion_search hatchling editables
    sed '/^# Resolved/q' constraints.txt >"$scratch/constraints.txt"
    "$1" - "$scratch/report.json" >>"$scratch/constraints.txt" <<'PYTHON'
import json, re, sys

found = [each["metadata"] for each in json.load(open(sys.argv[1]))["install"]]
pins = {each["name"].lower(): each["version"].partition("+")[0] for each in found}
for name in sorted(pins):
    if not re.match(r"motion-ml|fashion-search|cuda-|nvidia-|triton", name):
        print(f"{name}=={pins[name]}")
PYTHON
    cp "$scratch/constraints.txt" constraints.txt
    echo "lock: $(grep -c == constraints.txt) pins in constraints.txt; now 'make test'"
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

python=$(find_python)
need_venv "$python"
case ${1:-} in
    lock) lock "$python" ;;
    "")
        install "$python"
        need_browser
        need_pooler
        ;;
    *) stop "unknown argument $1; there are: (none), lock" ;;
esac
