# shellcheck shell=bash disable=SC2154
# Does traffic cross the tunnel by the kernel's ESP, and is nothing left when it goes?

product_configure kernel "$segw_direct"
need "the tunnel comes up with the kernel's data plane" tunnel_up
check "tred says that the kernel carries the traffic" tre_shows DataPlane '"kernel"'
# 1500 less IPv4 20, ESP header and IV 16, Pad Length and Next Header 2, ICV 16.
check "the interface's MTU is what fits the path" grep "mtu 1446 " <(ip link show segw0)
check "a packet of that size crosses whole" ping -c 1 -W $patience -M do -s $((1446 - 28)) "$core_ipv4"
check "tred-net runs, started by its socket, and not as tred" refused runs_as tred-net tred
# Bit 12.
check "tred-net may configure the network, and nothing else" process_shows tred-net CapBnd 0000000000001000
check "its system calls are filtered" process_shows tred-net Seccomp 2
both_ways "no NAT"
check "six pings and their answers are in clear on the tunnel's interface" in_clear segw0 12
check "none of them is in clear on the wire" in_clear henb0 0

check "ikeclient stops" systemctl stop ikeclient
check "no state, policy or interface is left" eventually 30 traceless
