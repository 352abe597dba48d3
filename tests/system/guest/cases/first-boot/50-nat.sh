# shellcheck shell=bash disable=SC2154
# Does traffic cross a NAT, as ESP in UDP?

# Without ESN, as a SeGW may have it.
esp_proposals=aes128gcm16
product_configure kernel "$segw_behind_nat"
if check "the tunnel comes up through a NAT" tunnel_up; then
    check "the client knows of the NAT" client_shows NatDetected true
    check "the interface's MTU leaves room for UDP" grep "mtu 1438 " <(ip link show segw0)
    both_ways "NAT"
    check "the SeGW has its ESP in UDP" grep -q "encap type espinudp" <(ip -n segw xfrm state)
fi
esp_proposals=aes128gcm16-esn
