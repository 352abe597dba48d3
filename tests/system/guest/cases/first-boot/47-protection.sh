# shellcheck shell=bash disable=SC2154
# Does what belongs into the tunnel stay in it where the kernel does ESP, whatever dies?

has_rules() { nft list table inet tred; }
dropped() { nft list counter inet tred "dropped_$1" | sed -n 's/.*packets \([0-9]*\).*/\1/p'; }

# drops_go_on: more are dropped from here on than are on their way.
drops_go_on() {
    local before
    before=$(dropped out)
    eventually 20 more_dropped $((before + 10))
}
more_dropped() { (($(dropped out) > $1)); }

ip route add default via "$segw_direct"
ip -6 route add default via "$segw_ipv6"

product_configure auto "$segw_direct" "$core_networks"
need "a tunnel for networks that are named comes up" tunnel_up
check "the rules are there" has_rules
check "tred says that it protects" tre_shows Protection '"yes"'
wire_begin
traffic_begin
systemctl stop ikeclient
check "without a tunnel packets for the core are dropped and counted" drops_go_on
systemctl start ikeclient
check "the tunnel comes up again" eventually 90 client_is established
kill -KILL "$(main_process tred)"
check "tred is killed: the tunnel comes up again" eventually 90 client_is established
kill -KILL "$(main_process tred-net)"
check "tred-net is killed: packets cross again" eventually 90 core_answers
restart_tred
check "tred is restarted: packets cross again" eventually 90 core_answers
systemctl stop tred-net
check "tred-net is stopped: packets cross again" eventually 90 core_answers
traffic_end
check "through all of this not one packet was in clear on the WAN" wire_is 0

# A cleartext packet from the home network, with a source of the core's.
ip -n nat address add 10.200.0.77/32 dev lo
ip -n nat route add "$(inner_address 4)" via 10.0.0.2
echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter
echo 0 > /proc/sys/net/ipv4/conf/henb1/rp_filter
before=$(tre_property CleartextDropsIn)
check "a packet to the inner address past the tunnel gets no answer" \
    refused ip netns exec nat ping -c 3 -i 0.2 -W 1 -I 10.200.0.77 "$(inner_address 4)"
check "and is counted" tre_shows CleartextDropsIn $((before + 3))
ip -n nat address del 10.200.0.77/32 dev lo

systemctl stop ikeclient tred
check "tred is stopped: the rules go" eventually 60 refused has_rules
wire_begin
check "and packets go where the routes lead" core_answers
check "which the wire shows" wire_is "[1-9][0-9]*"

# The kernel's ESP belongs to whoever sent what is inside, and passes by its addresses and ports.
for way in "$segw_direct" "$segw_behind_nat"; do
    product_configure kernel "$way" "protect = strict"
    if check "everything protected, strictly: the tunnel to $way comes up" tunnel_up; then
        check "packets cross" core_answers
        check "and none goes past it" refused ping -c 1 -W 1 192.0.2.1
    fi
done

ip route del default
ip -6 route del default
