# shellcheck shell=bash disable=SC2154
# Where the kernel lacks a part of ESP, does the user plane carry the traffic, to the kernel's ESP at the SeGW?

# lacks MODULE: it isn't loaded and can't be.
lacks() {
    echo "install $1 /bin/false" > /etc/modprobe.d/lacking.conf
    modprobe --remove "$1" && refused modprobe "$1"
}

# helper_shows FIELD PATTERN: a line of /proc/PID/status of the process that holds the ESP keys.
helper_shows() {
    sed -n "s/^$1:[[:space:]]*//p" "/proc/$(pgrep -x tred-esp)/status" | matches "$2"
}

systemctl stop ikeclient tred
need "the kernel lacks the XFRM interface" lacks xfrm_interface
product_configure auto "$segw_direct"
if check "the tunnel comes up with auto" tunnel_up; then
    check "auto takes the user plane" tre_shows DataPlane '"user"'
    check "the SeGW's ESP has extended sequence numbers" grep -q "flag .*esn" <(ip -n segw xfrm state)
    check "tred-esp has no capability" helper_shows CapPrm 0000000000000000
    check "its system calls are filtered" helper_shows Seccomp 2
    both_ways "user plane"
    check "ikeclient stops" systemctl stop ikeclient
    check "no interface is left" eventually 30 traceless
fi
rm /etc/modprobe.d/lacking.conf
