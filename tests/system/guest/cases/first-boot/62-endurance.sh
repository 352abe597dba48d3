# shellcheck shell=bash disable=SC2154
# Does the tunnel carry every packet while it is rekeyed again and again, and come back whatever happens to it?

read -r endurance cycles rate < endurance

# memory PROCESS: what it has written to, in kB. Pages of code come and go, as they are given back while nothing is asked
# (base/rest.h) and fetched by the next rekeying.
memory() {
    awk '$1 == "Pss_Anon:" { print $2 }' "/proc/$1/smaps_rollup"
}

# memories: of every process of the product.
memories() {
    local name pid
    for name in tred tred-net tred-tpm tred-verify tred-esp ikeclient; do
        for pid in $(pgrep --exact "$name"); do
            echo "$name $(memory "$pid")"
        done
    done
}

# are_flat BEFORE AFTER: no process that is in both has 200 kB and a tenth more.
are_flat() {
    local name before after flat=0
    while read -r name before; do
        after=$(awk -v name="$name" '$1 == name { print $2; exit }' <<< "$2")
        echo "$name: $before kB, then ${after:-none}"
        ((before > 0)) && { [[ -z $after ]] || ((after <= before + before / 10 + 200)); } || flat=1
    done <<< "$1"
    return $flat
}

sent() { sed -n 's/^\([0-9]*\) packets transmitted.*/\1/p' "$1"; }
received() { sed -n 's/.* \([0-9]*\) received.*/\1/p' "$1"; }

# dropped: what the kernel has thrown away by IPsec, at either end, by its reason (Documentation/networking/xfrm_proc.rst).
dropped() {
    awk '{ print "henb", $1, $2 }' /proc/net/xfrm_stat
    ip netns exec segw awk '{ print "segw", $1, $2 }' /proc/net/xfrm_stat
}

# more BEFORE AFTER: what has been counted between.
more() {
    awk 'NR == FNR { was[$1 $2] = $3; next } $3 != was[$1 $2] { print "# " $1 ": " $2 " " $3 - was[$1 $2] }' "$1" "$2"
}

# overflows PROCESS: answers that came when its sockets had no more room, once it has ended.
overflows() {
    local drops=0 now
    while now=$(awk 'FNR > 1 { drops += $NF } END { print drops + 0 }' /proc/net/icmp /proc/net/raw) && kill -0 "$1" 2> /dev/null; do
        drops=$now
        sleep 0.5
    done
    echo "$drops"
}

# gaps FILE: when an answer was the first after one that is not there, by the clock of the journal.
gaps() {
    awk -v offset="$(awk -v now="$EPOCHREALTIME" '{ printf "%.6f", now - $1 }' /proc/uptime)" '
        match($0, /icmp_seq=[0-9]+/) {
            seq = substr($0, RSTART + 9, RLENGTH - 9)
            if (n++ && seq != (last + 1) % 65536)
                printf "# [%.3f] %d came after %d\n", substr($1, 2) - offset, seq, last
            last = seq
        }' "$1" | head -n 40
}

# lived SECONDS: so many packets a second, of a size that crosses the line whole, go through the tunnel, and are answered, each of
# them. Where not, it says what the kernel knows of those that are missing.
lived() {
    local seen before after ike_before ike_after pinging full octets=1300
    seen=$(mktemp) before=$(mktemp) after=$(mktemp)
    ike_before=$(newest_exchange)
    dropped > "$before"
    ping -D -s $octets -i "$(awk "BEGIN { print 1 / $rate }")" -c $(($1 * rate)) -W $patience "$core_ipv4" > "$seen" 2>&1 &
    pinging=$!
    full=$(overflows $pinging)
    wait $pinging
    dropped > "$after"
    ike_after=$(newest_exchange)
    echo "# $(sent "$seen") packets sent, $(received "$seen") answered, $(($(received "$seen") * (octets + 28) * 2)) octets in all;" \
        "$((ike_after - ike_before)) IKE SAs taken over; $full answers too many for ping's socket" > /run/lived
    more "$before" "$after" >> /run/lived
    if [[ -n $(sent "$seen") && $(sent "$seen") == "$(received "$seen")" ]] && client_is established; then
        rm "$seen" "$before" "$after"
    else
        gaps "$seen"
        tail -n 4 "$seen" && journalctl --boot --unit ikeclient --unit tred --output cat | tail -n 60 && false
    fi
}

newest_exchange() {
    busctl tree --list org.tred.TrE1 | sed -n 's,.*exchange/\([0-9]*\)$,\1,p' | sort -n | tail -n 1
}

product_configure kernel "$segw_direct" "soft-lifetime-seconds = 10" "hard-lifetime-seconds = 60"
sed -i '/^\[ike\]/a lifetime = 60' /etc/tred/ikeclient.conf
need "a tunnel with Child SAs of 10 and IKE SAs of 60 seconds comes up" tunnel_up
check "it carries packets for a quarter of the time" lived $((endurance / 4))
cat /run/lived
before=$(memories)
check "and for the rest of it" lived $((endurance - endurance / 4))
cat /run/lived
check "no process has grown" are_flat "$before" "$(memories)"

# What happens to a tunnel. Each leaves the world as it was, and the tunnel where it may be.
address_changes() {
    ip address add 192.0.2.3/24 dev henb0 && ip address delete 192.0.2.2/24 dev henb0 && sleep 1 &&
        ip address add 192.0.2.2/24 dev henb0 && ip address delete 192.0.2.3/24 dev henb0
    ip route replace default via "$segw_direct"
}
link_goes() {
    ip link set henb0 down && sleep 2 && ip link set henb0 up &&
        ip address replace 2001:db8::2/64 dev henb0 nodad && ip route replace default via "$segw_direct" &&
        ip -6 route replace default via "$segw_ipv6"
}
gateway_restarts() { systemctl restart segw; }
tred_dies() { systemctl kill --signal KILL tred; }
tred_net_dies() { systemctl kill --signal KILL tred-net; }
ikeclient_dies() { systemctl kill --signal KILL ikeclient; }
verifier_dies() { pkill --exact --signal KILL tred-verify; ikeclient_dies; }
bus_restarts() { systemctl restart dbus; }
line_is_bad() {
    tc qdisc add dev henb0 root netem loss 30% delay 20ms 10ms reorder 25% duplicate 10% || return
    sleep 5
    busctl call org.tred.IkeClient1 /org/tred/IkeClient1 org.tred.IkeClient1 RekeyIkeSa > /dev/null 2>&1
    sleep 10
    tc qdisc delete dev henb0 root
}
events=(address_changes link_goes gateway_restarts tred_dies tred_net_dies ikeclient_dies verifier_dies bus_restarts line_is_bad)

works() {
    client_is established && ping -c 1 -W 2 "$core_ipv4"
}

ip route replace default via "$segw_direct"
ip -6 route replace default via "$segw_ipv6"
wire_begin
traffic_begin
product_configure kernel "$segw_direct" "$core_networks"
need "a tunnel with protection comes up" tunnel_up
RANDOM=$cycles
longest=0
for ((cycle = 0; cycle < cycles; cycle++)); do
    event=${events[cycle < ${#events[@]} ? cycle : RANDOM % ${#events[@]}]}
    $event > /dev/null 2>&1
    over=$SECONDS
    check "cycle $((cycle + 1)): ${event//_/ }, and the tunnel is back" eventually 150 works ||
        journalctl --boot --unit ikeclient --unit tred --unit tred-net --unit tred-tpm --output cat | tail -n 60 | sed 's/^/# /'
    ((SECONDS - over <= longest)) || longest=$((SECONDS - over))
done
echo "# at the most $longest s from the end of what happened to the tunnel's being back"
traffic_end
check "no packet for the core was on the WAN in clear" wire_is 0
ip route del default
ip -6 route del default
