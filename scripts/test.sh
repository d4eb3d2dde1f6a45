#!/usr/bin/env bash
# Runs every test as an ordinary user; needs Rust and Python 3 only. Tests whose programs or rights
# are missing say `skipped: NAME: REASON`. The last line printed is
# `N passed, N failed, N skipped` over all runners; the exit status is 0 only if none failed.
#
# usage: scripts/test.sh            runs them
#        scripts/test.sh --python   sets up the Python packages and prints the Python that has them
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# Debian keeps nginx and haproxy where an ordinary user's PATH does not look.
export PATH="$PATH:/usr/sbin:/sbin"

passed=0 failed=0 skipped=0

# run NAME COUNT COMMAND...: shows the output live; COUNT prints "passed failed skipped" of a log.
run() {
    local name=$1 count=$2 log="$logs/$1" status good bad left
    shift 2
    printf '== %s\n' "$name"
    "$@" 2>&1 </dev/null | tee "$log"
    status=${PIPESTATUS[0]}
    read -r good bad left < <("$count" "$log")
    if ((status != 0 && bad == 0)); then
        printf '%s: ended with status %d, perhaps without running its tests\n' "$name" "$status"
        bad=1
    fi
    ((passed += good, failed += bad, skipped += left))
}

# A test that skips itself passes in libtest's eyes: it is counted as skipped instead.
count_cargo() {
    awk '
        /^test result: / {
            for (i = 2; i <= NF; i++) {
                if ($i == "passed;") passed += $(i - 1)
                if ($i == "failed;") failed += $(i - 1)
                if ($i == "ignored;") ignored += $(i - 1)
            }
        }
        # Alone on its line, or behind "test NAME ... " with a single test thread.
        /^(test .* \.\.\. )?skipped: [^ ]+: / { skips++ }
        END { print passed - skips + 0, failed + 0, ignored + skips }
    ' "$1"
}

count_unittest() {
    awk '
        /^Ran [0-9]+ tests? in / { ran += $2 }
        /^(OK|FAILED) \(/ {
            gsub(/[(),]/, " ")
            for (i = 2; i <= NF; i++) {
                split($i, pair, "=")
                if (pair[1] == "failures" || pair[1] == "errors") failed += pair[2]
                if (pair[1] == "skipped") skipped += pair[2]
            }
        }
        END { print ran - failed - skipped + 0, failed + 0, skipped + 0 }
    ' "$1"
}

# Names, in SLB_TEST_PYTHON, a Python with tests/requirements.txt, set up once per build directory
# and requirements. Without a package index the tests that need it skip themselves.
set_up_python() {
    local python="${CARGO_TARGET_DIR:-target}/venv/bin/python" wanted=tests/requirements.txt mark
    mark="${CARGO_TARGET_DIR:-target}/venv/requirements.txt"
    if ! cmp -s "$wanted" "$mark"; then
        printf '== setting up Python packages for the tests\n' >&2
        python3 -m venv --clear "${python%/bin/python}" &&
            "$python" -m pip install --quiet --disable-pip-version-check -r "$wanted" &&
            cp "$wanted" "$mark" || return
    fi
    SLB_TEST_PYTHON=$(realpath -s "$python")
}

export SLB_TEST_PYTHON=${SLB_TEST_PYTHON:-}
[[ -n $SLB_TEST_PYTHON ]] || set_up_python
if [[ ${1:-} == --python ]]; then
    [[ -n $SLB_TEST_PYTHON ]] && printf '%s\n' "$SLB_TEST_PYTHON"
    exit
fi

run cargo-test count_cargo cargo test --workspace --locked --no-fail-fast
run side-by-side count_unittest \
    python3 -m unittest discover -v -s benches/side_by_side/tests -t benches
run ship count_unittest \
    "${SLB_TEST_PYTHON:-python3}" -m unittest discover -v -s tests/ship -t tests

# Those of cargo as they are, those of unittest (`NAME (ID) ... skipped 'REASON'`) in the same form.
skips=$(sed -nE \
    -e "s/^(test .* \.\.\. )?(skipped: [^ ]+: .*)/\2/p" \
    -e "s/^.*\((.*)\)( .*)? \.\.\. skipped ['\"](.*)['\"]$/skipped: \1: \3/p" "$logs"/*)
if [[ -n $skips ]]; then
    printf '== skipped\n%s\n' "$skips"
fi
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
((failed == 0))
