# shellcheck shell=bash disable=SC2154
# Does the tunnel carry traffic, and nothing else the traffic? Sourced, not run.

# For how many seconds a packet may be under way: emulation is slow, and the host may have more to do.
patience=5

# core_answers: the HeNB reaches the core network by IPv4 and by IPv6.
core_answers() {
    ping -c 3 -i 0.2 -W $patience "$core_ipv4" && ping -c 3 -i 0.2 -W $patience "$core_ipv6"
}

# henb_answers: the core network reaches the HeNB at its inner addresses.
henb_answers() {
    local ipv4 ipv6
    ipv4=$(inner_address 4) && ipv6=$(inner_address 6) &&
        ip netns exec segw ping -c 3 -i 0.2 -W $patience -I "$core_ipv4" "$ipv4" &&
        ip netns exec segw ping -c 3 -i 0.2 -W $patience -I "$core_ipv6" "$ipv6"
}

# The namespaces as `ip netns exec` knows them; the machine itself is the HeNB's.
ip netns attach henb $$ 2> /dev/null

# transfer SENDER RECEIVER ADDRESS: 4 MB (tests/bench/endurance has a gigabyte) by TCP from one namespace to ADDRESS in the other arrive as they were.
transfer() {
    local folder receiver
    [[ -n $3 ]] || { echo "there is no address" && return 1; }
    folder=$(mktemp -d)
    head -c 4M /dev/urandom > "$folder/sent"
    timeout 60 ip netns exec "$2" nc -l "$3" 9000 > "$folder/received" < /dev/null &
    receiver=$!
    eventually 5 listens "$2"
    timeout 60 ip netns exec "$1" nc -N "$3" 9000 < "$folder/sent"
    wait $receiver
    cmp "$folder/sent" "$folder/received" && rm -r "$folder"
}

# listens NAMESPACE: nc is there.
listens() {
    ip netns exec "$1" ss --no-header --listening --tcp --numeric "sport = 9000" | grep .
}

# in_clear INTERFACE PATTERN: the number of ICMP packets of the core network that INTERFACE carries while the HeNB
# asks the core matches grep's PATTERN.
in_clear() {
    local folder tcpdump
    folder=$(mktemp -d)
    tcpdump -n --immediate-mode -i "$1" "net 10.200.0.0/24 or net fd00:200::/64" \
        > "$folder/seen" 2> "$folder/log" &
    tcpdump=$!
    eventually 10 grep -q "listening on" "$folder/log"
    core_answers > "$folder/ping"
    sleep 0.5
    kill $tcpdump
    wait $tcpdump
    grep -c ICMP "$folder/seen" | matches "$2" || { cat "$folder"/* && return 1; }
    rm -r "$folder"
}

# both_ways WHERE: all that is to cross a tunnel that is up.
both_ways() {
    check "$1: the HeNB reaches the core, IPv4 and IPv6" core_answers
    check "$1: the core reaches the HeNB, IPv4 and IPv6" henb_answers
    check "$1: 4 MB cross the tunnel to the core, IPv4" transfer henb segw "$core_ipv4"
    check "$1: 4 MB cross the tunnel to the core, IPv6" transfer henb segw "$core_ipv6"
    check "$1: 4 MB cross the tunnel from the core, IPv4" transfer segw henb "$(inner_address 4)"
    check "$1: 4 MB cross the tunnel from the core, IPv6" transfer segw henb "$(inner_address 6)"
}

# record_esp FILE: keeps an ESP packet that the SeGW sends to the HeNB.
record_esp() {
    local tcpdump
    timeout 60 ip netns exec segw tcpdump -Z root --immediate-mode -c 1 -w "$1" -i direct0 \
        "ip proto 50 and src $segw_direct" 2> "$1.log" &
    tcpdump=$!
    eventually 10 grep -q "listening on" "$1.log"
    core_answers
    wait $tcpdump
}

# send_esp_again FILE [AHEAD]: from the SeGW, with its sequence number moved AHEAD.
send_esp_again() {
    ip netns exec segw python3 resend.py direct0 "$@"
}

# traceless: nothing of the data plane is left.
traceless() {
    local left
    left=$(ip xfrm state && ip xfrm policy && ip -oneline link show | grep segw0)
    [[ -z $left ]] || { echo "$left" && false; }
}

# What belongs into the tunnel, for tred.conf.
core_networks="allowed-remote = 10.200.0.0/24, fd00:200::/64"

# wire_begin, wire_is PATTERN: the number of the core's packets that the WAN carried in clear between the two, IPv4 and IPv6, is as
# grep's PATTERN, and tcpdump was there from one to the other and missed none.
wire_begin() {
    wire=$(mktemp -d)
    tcpdump -n -l --immediate-mode -i henb0 "net 10.200.0.0/24 or net fd00:200::/64 or net 10.210.0.0/16 or net fd00:210::/64" \
        > "$wire/seen" 2> "$wire/log" &
    tcpdump=$!
    eventually 10 grep -q "listening on" "$wire/log"
}
wire_is() {
    sleep 0.5
    # One that was told to end says what it has seen; one that ended before that was not there to the end.
    if ! grep -q "listening on" "$wire/log" || grep -q "packets captured" "$wire/log" || ! kill $tcpdump ||
        ! eventually 10 grep -q "^0 packets dropped by kernel" "$wire/log"; then
        echo "tcpdump did not see all:" && cat "$wire/log"
        return 1
    fi
    grep -c "IP" "$wire/seen" | matches "$1" || { head -n 20 "$wire/seen" && false; }
}

# traffic_begin, traffic_end: packets for the core, twenty a second of each family, whether they arrive or not.
traffic_begin() {
    ping -q -i 0.05 "$core_ipv4" > /dev/null 2>&1 &
    pings=$!
    ping -q -i 0.05 "$core_ipv6" > /dev/null 2>&1 &
    pings="$pings $!"
}
traffic_end() {
    # shellcheck disable=SC2086
    kill $pings
}
