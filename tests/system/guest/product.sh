# shellcheck shell=bash disable=SC2154
# How is the product installed, configured and asked? Sourced, not run.

# The packages, and what a version before them would be.
packages=/run/payload/packages
packages_before=/run/payload/packages-before

# readme HEADING [NUMBER]: the commands below this heading of the README, or only its NUMBERth block.
readme() {
    awk -v heading="### $1" -v wanted="${2:-0}" '
        /^#/ && !inside { here = $0 == heading }
        /^```$/ { inside = 0 }
        inside && here && (!wanted || wanted == block) { print }
        /^```sh$/ { inside = 1; if (here) block++ }' /run/payload/README.md
}

# follow FOLDER HEADING [NUMBER]: runs them there; a block that there is not fails.
follow() {
    local commands
    commands=$(readme "${@:2}")
    [[ -n $commands ]] && (cd "$1" && DEBIAN_FRONTEND=noninteractive bash -ec "$commands" < /dev/null)
}

product_install() {
    follow "$packages" Install 2
}

# What ikeclient proposes for ESP.
esp_proposals=aes128gcm16-esn

# product_configure DATA-PLANE SEGW-ADDRESS [LINE]...: each LINE goes into tred.conf, section data-plane.
product_configure() {
    cat > /etc/tred/tred.conf << CONF
[segw]
name = $segw_name
[data-plane]
mode = $1
$(printf '%s\n' "${@:3}")
CONF
    cat > /etc/tred/ikeclient.conf << CONF
[segw]
address = $2
[ike]
proposals = aes128gcm16-prfsha256-ecp256
[child]
proposals = $esp_proposals
request-address = both
[connection]
reconnect = yes
CONF
}

# restart_tred: oftener than its unit lets a person (StartLimitBurst): a quick machine reaches that within a few cases.
restart_tred() {
    systemctl reset-failed tred
    systemctl restart tred
}

# tunnel_up: establishes the tunnel from nothing, with the present configuration.
tunnel_up() {
    systemctl stop ikeclient
    restart_tred && systemctl start ikeclient && eventually 90 client_is established
}

# tunnel_again: the same with the tred that runs, for a change of ikeclient's configuration alone.
tunnel_again() {
    systemctl restart ikeclient && eventually 90 client_is established
}

# tre_property NAME, client_property NAME: as busctl prints it, without its type.
tre_property() {
    busctl get-property org.tred.TrE1 /org/tred/TrE1 org.tred.TrE1.Manager "$1" | cut -d ' ' -f 2-
}

client_property() {
    busctl get-property org.tred.IkeClient1 /org/tred/IkeClient1 org.tred.IkeClient1 "$1" | cut -d ' ' -f 2-
}

# tre_shows NAME PATTERN, client_shows NAME PATTERN: the whole property is as grep's basic PATTERN.
tre_shows() {
    tre_property "$1" | matches "$2"
}

client_shows() {
    client_property "$1" | matches "$2"
}

# matches PATTERN: on failure it shows what there was instead.
matches() {
    local text
    text=$(cat)
    grep -qx -e "$1" <<< "$text" || { echo "$text" && false; }
}

# tre_is STATE, client_is STATE; on failure they say what is the matter instead.
tre_is() {
    tre_shows State "\"$1\"" || { tre_property StateReason && false; }
}

client_is() {
    client_shows State "\"$1\"" || { client_property LastError && false; }
}

# inner_address 4|6: what the SeGW assigned, without prefix length.
inner_address() {
    local separator=.
    [[ $1 == 4 ]] || separator=:
    client_property Addresses | tr '"' '\n' | grep -F "$separator" | cut -d / -f 1
}

# child_property NAME: a number out of what tred shows of the newest Child SA.
child_property() {
    local exchange
    exchange=$(busctl tree --list org.tred.TrE1 | grep 'exchange/[0-9]' | sort --version-sort | tail -n 1)
    busctl --json=short get-property org.tred.TrE1 "$exchange" org.tred.TrE1.Exchange Children |
        sed -n "s/.*\"$1\":{\"type\":\"[a-z]\",\"data\":\([0-9]*\)}.*/\1/p"
}

# child_shows NAME NUMBER
child_shows() {
    child_property "$1" | matches "$2"
}

# main_process UNIT: its number; fails where there is none.
main_process() {
    local pid
    pid=$(systemctl show --property MainPID --value "$1")
    [[ $pid != 0 ]] && echo "$pid"
}

# main_process_is UNIT PID: also while it has none, so that "not" means that there is a new one.
main_process_is() {
    local pid
    pid=$(main_process "$1") || return 0
    [[ $pid == "$2" ]]
}

# process_shows UNIT FIELD PATTERN: a line of the main process's /proc/PID/status.
process_shows() {
    local pid
    pid=$(main_process "$1") && sed -n "s/^$2:[[:space:]]*//p" "/proc/$pid/status" | matches "$3"
}

# runs_as UNIT USER
runs_as() {
    local pid
    pid=$(main_process "$1") && ps --no-headers -o user:32 --pid "$pid" | tr -d ' ' | matches "$2"
}

# journal_has UNIT PATTERN: in this boot.
journal_has() {
    journalctl --boot --unit "$1" --output cat --grep "$2" ||
        { journalctl --boot --unit "$1" --output cat && false; }
}

# matches_text TEXT COMMAND...: COMMAND prints just that.
matches_text() {
    local text
    text=$("${@:2}")
    [[ $text == "$1" ]] || { printf 'expected:\n%s\nfound:\n%s\n' "$1" "$text" && false; }
}
