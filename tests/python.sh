#!/bin/sh
# Prints the path of a Python with packages, which it installs into an environment of this name in the target folder:
# tests/python.sh NAME PACKAGE..., or -r FILE in place of packages.
# Exits with 75, and says why, if they cannot be installed here.
set -eu
environment=${CARGO_TARGET_DIR:-$(dirname "$0")/../target}/$1-venv
shift
python=$environment/bin/python
if ! { [ -x "$python" ] || python3 -m venv "$environment"; } >&2 ||
    ! "$python" -m pip install --quiet --disable-pip-version-check "$@" >&2; then
    echo "Python packages cannot be installed: $* (python3 with venv, Debian's python3-venv, and PyPI are needed)" >&2
    exit 75
fi
echo "$python"
