#!/bin/sh
# Makes the virtual environment, or brings it up to date: make_venv.sh FOLDER UV_VERSION
# PYTHON names the interpreter, python3 when unset.
set -eu
venv=$1
uv=$2
python=${PYTHON:-python3}

say() {
    echo "setup: $*" >&2
}

command -v "$python" >/dev/null || {
    say "no $python: install Python 3.11 or later, or name it with make PYTHON=/path/to/python3"
    exit 1
}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    say "$("$python" --version) is too old: Python 3.11 or later is needed."
    say "Name another one with make PYTHON=/path/to/python3"
    exit 1
}
if ! [ -x "$venv/bin/python" ]; then
    "$python" -c 'import ensurepip, venv' 2>/dev/null || {
        say "$python comes without venv or ensurepip. On Debian and Ubuntu:"
        say "    apt-get install python3-venv"
        exit 1
    }
    say "making $venv with $("$python" --version)"
    "$python" -m venv "$venv" || {
        # A half-made one would be taken for a whole one the next time.
        rm -rf "$venv"
        say "$python couldn't make a virtual environment (on Debian: apt-get install python3-venv)"
        exit 1
    }
fi
if ! [ -x "$venv/bin/uv" ]; then
    "$venv/bin/python" -m pip install --quiet "uv==$uv"
fi
# Without this, an environment that happens to be active would draw a warning.
unset VIRTUAL_ENV
say "installing the locked versions"
UV_PROJECT_ENVIRONMENT="$venv" "$venv/bin/uv" sync --quiet --locked --no-python-downloads
