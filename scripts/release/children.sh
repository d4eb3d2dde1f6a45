#!/usr/bin/env bash
# Programs that take long, run so that a signal to the script ends them and what they started.
#
# usage: . scripts/release/children.sh

# attended COMMAND...: runs it in a process group of its own. While bash waits for a program in the
# foreground it handles no signal; it does while it waits for one in the background.
attended() {
    local status=0
    set -m
    "$@" </dev/null &
    set +m
    wait "$!" || status=$?
    return "$status"
}

# end_children: ends the groups that still run, and returns when they are gone.
end_children() {
    local group tries
    for group in $(jobs -p); do
        kill -TERM -- "-$group" 2>/dev/null || continue
        for ((tries = 0; tries < 50; tries++)); do
            kill -0 -- "-$group" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL -- "-$group" 2>/dev/null || true
    done
}
