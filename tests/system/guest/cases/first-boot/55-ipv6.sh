# shellcheck shell=bash disable=SC2154
# Does the tunnel come up over IPv6 as well?

product_configure kernel "$segw_ipv6"
if check "the tunnel comes up over IPv6" tunnel_up; then
    check "the HeNB reaches the core, IPv4 and IPv6" core_answers
    check "the core reaches the HeNB, IPv4 and IPv6" henb_answers
fi
