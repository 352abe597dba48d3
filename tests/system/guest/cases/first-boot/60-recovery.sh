# shellcheck shell=bash disable=SC2154
# Does all recover when a process dies?

product_configure kernel "$segw_direct"
need "the tunnel comes up" tunnel_up

# recovered: there is a tunnel that works, and no other.
recovered() {
    client_is established && segw_has 1 && core_answers
}

# states COUNT: so many ESP states are here.
states() {
    ip xfrm state count | matches ".*SAD count $1"
}

for unit in tred ikeclient; do
    before=$(main_process $unit)
    check "$unit is killed" systemctl kill --signal KILL $unit
    check "it comes back as another process" eventually 60 refused main_process_is $unit "$before"
    check "the tunnel comes back without anybody's help" eventually 120 recovered
    check "of the tunnel that died no ESP state is left" states 2
done
