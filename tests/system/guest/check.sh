# shellcheck shell=bash
# How does a case say what it found? In TAP lines, which the host numbers and counts. Sourced, not run.

# check TEXT COMMAND...: the case TEXT passes if COMMAND does; what COMMAND wrote is shown only if it does not.
check() {
    local text=$1 output
    shift
    if output=$("$@" 2>&1); then
        echo "ok - $text"
    else
        echo "not ok - $text"
        echo "# failed: $*"
        tail -n 30 <<< "$output" | sed 's/^/#   /'
        return 1
    fi
}

# need TEXT COMMAND...: a check without which the rest would show nothing; the run ends with it.
need() {
    check "$@" || {
        echo "Bail out! All that follows needs this."
        exit 1
    }
}

# eventually SECONDS COMMAND...: tries COMMAND until it succeeds; fails, with its last output, after SECONDS.
eventually() {
    local deadline=$((SECONDS + $1)) output
    shift
    until output=$("$@" 2>&1); do
        if ((SECONDS >= deadline)); then
            echo "$output"
            return 1
        fi
        sleep 0.2
    done
    echo "$output"
}

# refused COMMAND...: passes if COMMAND fails.
refused() {
    ! "$@"
}
