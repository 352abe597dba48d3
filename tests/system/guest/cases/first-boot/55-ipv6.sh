# shellcheck shell=bash disable=SC2154
# Does the tunnel come up over IPv6 as well?

# goes_before UNIT OTHER: of two that are stopped at once. Who is first by chance is not seen by stopping them.
goes_before() {
    systemctl show --property After --value "$1" | tr ' ' '\n' | matches "$2.service"
}

# lost_since SECONDS: tred has lost a helper since then.
lost_since() {
    journalctl --boot --since "@$1" --unit tred --output cat --grep "has ended"
}

product_configure kernel "$segw_ipv6"
if check "the tunnel comes up over IPv6" tunnel_up; then
    check "the HeNB reaches the core, IPv4 and IPv6" core_answers
    check "the core reaches the HeNB, IPv4 and IPv6" henb_answers
    check "ikeclient ends before tred, which seals its Delete" goes_before ikeclient tred
    check "tred ends before tred-net" goes_before tred tred-net
    stopped=$(date +%s)
    check "all services are stopped at once" systemctl stop ikeclient tred tred-net
    check "the SeGW has been told" eventually 30 segw_has 0
    check "tred has lost nothing" refused lost_since "$stopped"
fi
