# shellcheck shell=bash disable=SC2154
# Does traffic cross the tunnel by the kernel's ESP, and is nothing left when it goes?

product_configure kernel "$segw_direct"
need "the tunnel comes up with the kernel's data plane" tunnel_up
check "tred says that the kernel carries the traffic" tre_shows DataPlane '"kernel"'
both_ways "no NAT"
check "six pings and their answers are in clear on the tunnel's interface" in_clear segw0 12
check "none of them is in clear on the wire" in_clear henb0 0

check "ikeclient stops" systemctl stop ikeclient
check "no state, policy or interface is left" eventually 30 traceless
