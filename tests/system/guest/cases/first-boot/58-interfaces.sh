# shellcheck shell=bash disable=SC2154
# Does each tunnel of several keep to its own interface, with the kernel's ESP?

# Two connections to one SeGW, which is to take a second IKE SA of this HeNB's for another: one has the core's IPv4 network, and
# the other its IPv6 network.
interfaces_configure() {
    product_configure "$1" "$segw_direct"
    cat > /etc/tred/tred.conf << CONF
[segw]
name = $segw_name
allowed-remote = 10.200.0.0/24
interface = core0
[segw other]
name = $segw_name
allowed-remote = fd00:200::/64
interface = other0
[data-plane]
mode = $1
allowed-remote = 10.200.0.0/24, fd00:200::/64
CONF
    cat > /etc/tred/ikeclient.conf << CONF
[ike]
proposals = aes128gcm16-prfsha256-ecp256
[child]
proposals = $esp_proposals
[connection]
reconnect = yes
[connection default]
address = $segw_direct
request-address = ipv4
remote-ts = 10.200.0.0/24
[connection other]
address = $segw_direct
request-address = ipv6
remote-ts = fd00:200::/64
CONF
}

# connection_is NAME STATE
connection_is() {
    busctl get-property org.tred.IkeClient1 "/org/tred/IkeClient1/connection/$1" org.tred.IkeClient1 State |
        matches "s \"$2\""
}
both_are() {
    connection_is default "$1" && connection_is other "$1"
}
both_up() {
    systemctl stop ikeclient
    restart_tred && systemctl start ikeclient && eventually 120 both_are established
}

# if_ids OBJECT: those of all states or policies, each with their number.
if_ids() {
    ip xfrm "$1" list | grep -o "if_id 0x[0-9a-f]*" | sort | uniq -c | tr -s ' \n' ' '
}

# spi_of ID: what leaves by the interface of that id.
spi_of() {
    ip xfrm state list src 192.0.2.2 | awk -v id="$1" '/proto esp spi/ { spi = $4 } $0 ~ "if_id " id { print spi }'
}

# crossed INTERFACE: how many packets have left by it.
crossed() {
    cat "/sys/class/net/$1/statistics/tx_packets"
}

# goes_by OWN OTHER ADDRESS: three pings are answered, and leave by OWN and not by OTHER.
goes_by() {
    local own other
    own=$(crossed "$1") && other=$(crossed "$2") && ping -c 3 -i 0.2 -W $patience "$3" &&
        crossed "$1" | matches $((own + 3)) && crossed "$2" | matches "$other"
}

# comes_back COMMAND...: after it the other tunnel ends and comes up anew, and the core's stays as it is.
comes_back() {
    local core other
    core=$(spi_of 0x74726564) && other=$(spi_of 0x74726565) && "$@" && eventually 120 is_another "$other" &&
        [[ $(spi_of 0x74726564) == "$core" ]] && core_answers
}
is_another() {
    local now
    now=$(spi_of 0x74726565) && [[ -n $now && $now != "$1" ]] && connection_is other established
}

# delete_policies ID: those of one interface. The next tunnel's may be there before this ends: comes_back sees whether they went.
delete_policies() {
    local line dir
    ip xfrm policy list | grep "^src" | while read -r line; do
        for dir in in out fwd; do
            # shellcheck disable=SC2086
            ip xfrm policy delete $line dir $dir if_id "$1" 2> /dev/null
        done
    done
    true
}
traceless_both() {
    ! { ip xfrm state && ip xfrm policy && ip -oneline link show | grep -E "core0|other0"; } | grep .
}

sed -i 's/unique = replace/unique = never/' /etc/segw/swanctl.conf
check "the SeGW takes several IKE SAs of one HeNB" systemctl restart segw
interfaces_configure kernel
check "both tunnels come up with the kernel's ESP" both_up || journalctl --boot --unit tred --unit tred-net --unit ikeclient --output cat | tail -n 40 | sed 's/^/# /'
check "it is the kernel's" tre_shows DataPlane '"kernel"'
check "each interface has an id of its own" eventually 10 matches_text \
    "if_id 0x74726564 if_id 0x74726565" eval \
    'echo $(ip -d link show core0 | grep -o "if_id 0x[0-9a-f]*") $(ip -d link show other0 | grep -o "if_id 0x[0-9a-f]*")'
check "so have two states each" matches_text " 2 if_id 0x74726564 2 if_id 0x74726565 " if_ids state
check "and three policies each" matches_text " 3 if_id 0x74726564 3 if_id 0x74726565 " if_ids policy
check "core0 has the address, and the route to the IPv4 network" \
    eval 'ip -4 address show core0 | grep -q "10\.210\.0\." && ip -4 route show dev core0 | grep -q "10.200.0.0/24"'
check "other0 has the address, and the route to the IPv6 network" \
    eval 'ip -6 address show other0 | grep -q "fd00:210::" && ip -6 route show dev other0 | grep -q "fd00:200::/64"'
check "IPv4 goes by core0 alone" goes_by core0 other0 "$core_ipv4"
check "IPv6 goes by other0 alone" goes_by other0 core0 "$core_ipv6"
check "an interface that is deleted ends its own tunnel alone" comes_back ip link delete other0
check "so do policies that are deleted" comes_back delete_policies 0x74726565
wire_begin
check "the other connection is taken down" trectl down --connection other --wait
check "its interface is gone" refused ip link show other0
check "core0 goes on" ping -c 3 -i 0.2 -W $patience "$core_ipv4"
check "what belongs into the other tunnel leaves by no way" refused ping -c 3 -i 0.2 -W 1 "$core_ipv6"
check "the wire has seen nothing in clear" wire_is 0
check "the other one comes up again" trectl up --connection other --wait

for unit in tred tred-net; do
    before=$(main_process $unit)
    check "$unit is killed" systemctl kill --signal KILL $unit
    check "it comes back as another process" eventually 60 refused main_process_is $unit "$before"
    check "both tunnels come back" eventually 180 eval 'both_are established && core_answers'
    check "nothing is left of those that died" matches_text " 2 if_id 0x74726564 2 if_id 0x74726565 " if_ids state
done
systemctl stop ikeclient
check "after the end nothing is left of either" eventually 30 traceless_both

sed -i 's/unique = never/unique = replace/' /etc/segw/swanctl.conf
systemctl restart segw
