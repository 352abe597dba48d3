# shellcheck shell=bash disable=SC2154
# Does IPv6 cross lines that have less room than it asks for, by the kernel's ESP? (RFC 2473 7.1)

# narrow MTU: the direct line to the SeGW.
narrow() {
    ip link set henb0 mtu "$1" && ip -n segw link set direct0 mtu "$1"
}

# crosses ADDRESS SIZE: a probe of so many octets in one packet, or in as many as it takes.
crosses() {
    ping -c 1 -W $patience -s "$2" "$1"
}

# 1280 octets less IPv6 40 and ICMP 8; and more than any of these lines has room for.
largest=1232
narrow_line() {
    if check "$1: the tunnel comes up" tunnel_up; then
        check "$1: the interface has the MTU that IPv6 asks for" grep "mtu 1280 " <(ip link show segw0)
        check "$1: 1280 octets cross by IPv6" crosses "$core_ipv6" $largest
        check "$1: and by IPv4" crosses "$core_ipv4" $largest
        check "$1: 4000 octets cross by IPv6" crosses "$core_ipv6" 4000
        check "$1: and by IPv4" crosses "$core_ipv4" 4000
        check "$1: 4 MB cross by IPv6" transfer henb segw "$core_ipv6"
        check "$1: 4 MB cross by IPv4" transfer henb segw "$core_ipv4"
    fi
}

need "the line becomes narrow" narrow 1300
product_configure kernel "$segw_direct"
narrow_line "1300 octets over IPv4"
need "the line becomes as narrow as IPv6 allows" narrow 1280
ip address replace 2001:db8::2/64 dev henb0 nodad
ip -n segw address replace 2001:db8::1/64 dev direct0 nodad
product_configure kernel "$segw_ipv6"
narrow_line "1280 octets over IPv6"
need "the line becomes wide" narrow 1500

product_configure kernel "$segw_behind_nat"
if check "the tunnel comes up on a wide path" tunnel_up; then
    need "the path becomes narrow, and its router says so" eval \
        "ip -n nat link set outside0 mtu 1300 && ip -n segw link set behind0 mtu 1300"
    check "1400 octets cross the path by IPv6" eventually 20 crosses "$core_ipv6" 1350
    check "and by IPv4" eventually 20 crosses "$core_ipv4" 1350
    check "1280 octets cross the path by IPv6" eventually 20 crosses "$core_ipv6" $largest
    ip -n nat link set outside0 mtu 1500
    ip -n segw link set behind0 mtu 1500
fi
