# shellcheck shell=bash disable=SC2154
# Does the kernel's ESP show DSCP and ECN outside as it is configured?

# outside_is OCTET: ESP packets have it while packets within have DSCP EF and ECT(0).
outside_is() {
    local folder tcpdump
    folder=$(mktemp -d)
    tcpdump -n -v -l --immediate-mode -i henb0 "ip proto 50 and dst $segw_direct" > "$folder/seen" 2> "$folder/log" &
    tcpdump=$!
    eventually 10 grep -q "listening on" "$folder/log"
    ping -q -c 3 -i 0.2 -W $patience -Q 0xba "$core_ipv4"
    ping -q -c 3 -i 0.2 -W $patience -Q 0xba "$core_ipv6"
    sleep 0.5
    kill $tcpdump
    wait $tcpdump
    sed -n 's/.*tos \(0x[0-9a-f]*\),.*/\1/p' "$folder/seen" | sort | uniq -c | matches " *6 $1" || { cat "$folder"/* && false; }
}

product_configure kernel "$segw_direct"
check "the tunnel comes up" tunnel_up
check "ESP packets show DSCP and ECN of what is inside" outside_is 0xba
product_configure kernel "$segw_direct" "copy-dscp = no"
check "the tunnel comes up without copy-dscp" tunnel_up
check "ESP packets show ECN alone" outside_is 0x2
product_configure kernel "$segw_direct" "ecn = no"
check "the tunnel comes up without ecn" tunnel_up
check "ESP packets show DSCP alone" outside_is 0xb8
