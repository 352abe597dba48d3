# shellcheck shell=bash disable=SC2154
# Do HeNB and SeGW authenticate each other, with the services as installed?

systemctl stop tred
need "systemctl start ikeclient succeeds" systemctl start ikeclient
need "the SeGW and the HeNB have authenticated each other" eventually 90 client_is established
check "tred runs because the bus was asked for it" systemctl is-active tred
check "the SeGW sees one HeNB" segw_has 1
check "it knows the HeNB by its name" grep -q "remote '$henb_name'" <(segw_control --list-sas)
check "the HeNB knows the SeGW by the name that it proved" client_shows SegwIdentity "\"$segw_name\""
check "it was given an IPv4 and an IPv6 address" client_shows Addresses '.*"10\.210\.0\..*"fd00:210::.*'
check "there is no NAT in between, and the client knows" client_shows NatDetected false

check "ikeclient runs as henb-ike" runs_as ikeclient henb-ike
check "ikeclient has no capability" process_shows ikeclient CapPrm 0000000000000000
check "tred runs as tred" runs_as tred tred
check "tred may have no capability" process_shows tred CapBnd 0000000000000000
check "ikeclient can gain no right" process_shows ikeclient NoNewPrivs 1
check "tred can gain no right" process_shows tred NoNewPrivs 1

# watched UNIT: systemd knows when it is ready, and restarts it when it hangs.
watched() {
    systemctl show --property Type --value "$1" | matches notify &&
        systemctl show --property WatchdogUSec --value "$1" | matches "[1-9].*"
}
for unit in tred ikeclient; do
    check "$unit says when it is ready, and is watched" watched $unit
done

check "henb-ike may begin an exchange" begin_exchange henb-ike
check "another user may not" refused begin_exchange nobody
check "nor may root, who has no business in it" refused begin_exchange root
check "but everybody may read the TrE's state" \
    runuser -u nobody -- busctl get-property org.tred.TrE1 /org/tred/TrE1 org.tred.TrE1.Manager State

for step in {1..6}; do
    check "the journal's call flow has step $step" journal_has ikeclient "^step $step "
done
check "the journal names both ends" journal_has ikeclient "^established  $henb_name <-> $segw_name "

check "ikeclient stops" systemctl stop ikeclient
check "it has told the SeGW" eventually 30 segw_has 0
