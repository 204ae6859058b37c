#!/bin/sh
# Coverage-guided fuzzing of everything that reads untrusted bytes.
# usage: scripts/fuzz.sh [--seconds N] [--target NAME]
set -eu
cd "$(dirname "$0")/.."

# Next to the environment, not in it: the tests do not need it.
tools=.cache/fuzz/tools
if ! PYTHONPATH=$tools .venv/bin/python -c 'import atheris' 2>/dev/null; then
    echo "fuzz: installing atheris into $tools" >&2
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-input \
        --target "$tools" 'atheris>=2.3'
fi
PYTHONPATH=$tools${PYTHONPATH:+:$PYTHONPATH} exec nice -n 19 .venv/bin/python -m tests.fuzz "$@"
