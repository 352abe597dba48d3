# shellcheck shell=bash disable=SC2154
# Does traffic cross a NAT, as ESP in UDP?

product_configure kernel "$segw_behind_nat"
if check "the tunnel comes up through a NAT" tunnel_up; then
    check "the client knows of the NAT" client_shows NatDetected true
    both_ways "NAT"
    check "the SeGW has its ESP in UDP" grep -q "encap type espinudp" <(ip -n segw xfrm state)
fi
