# shellcheck shell=bash
# Does an installation leave a system that is complete, and locked down?

need "the packages are installed by the README's command over a running system" product_install

# states_of UNIT...: one word a line.
states_of() {
    systemctl is-active "$@" || :
}

# loads PROGRAM: all the libraries that it was linked to are here.
loads() {
    local libraries
    libraries=$(ldd "/usr/sbin/$1") && refused grep "not found" <<< "$libraries"
}
for program in tred ikeclient tre-provision; do
    check "$program is installed and finds its libraries" loads $program
done

check "sysusers.d makes the user tred, who is in no group but its own" test "$(id --name --groups tred)" = tred
check "sysusers.d makes the user tred-tpm, who may use the TPM" grep -qw tss <(id --name --groups tred-tpm)
check "it may read what is tred's" grep -qw tred <(id --name --groups tred-tpm)
check "sysusers.d makes the user henb-ike, who is in no group but its own" \
    test "$(id --name --groups henb-ike)" = henb-ike
check "tmpfiles.d makes /var/lib/tred, for tred and its group alone" \
    test "$(stat --format '%U:%G %a' /var/lib/tred)" = "tred:tred 770"
check "the TPM's device node admits tred-tpm by its group" \
    runuser -u tred-tpm -- test -r /dev/tpmrm0 -a -w /dev/tpmrm0
check "the TPM's device node does not admit tred" refused runuser -u tred -- test -r /dev/tpmrm0
check "the TPM's device node does not admit henb-ike" \
    refused runuser -u henb-ike -- test -r /dev/tpmrm0
check "the bus can activate the TrE" grep -q "^org.tred.TrE1 " <(busctl list --activatable --no-legend)
check "systemd finds no fault in the units" systemd-analyze verify --man=no \
    henb-tre.target tred.service tred-net.service tred-net.socket tred-tpm.service tred-tpm.socket ikeclient.service

# hardened UNIT TENTHS: systemd's score, 0 best to 10 worst, is at most that.
hardened() {
    systemd-analyze security --offline=true --threshold="$2" --no-pager "$1"
}
check "systemd-analyze security gives tred.service at most 1.1" hardened tred.service 11
check "systemd-analyze security gives tred-net.service at most 1.5" hardened tred-net.service 15
check "systemd-analyze security gives tred-tpm.service at most 1.5" hardened tred-tpm.service 15
check "systemd-analyze security gives ikeclient.service at most 1.5" hardened ikeclient.service 15
check "the services are enabled, and the sockets of tred-net and tred-tpm are there" \
    matches_text $'enabled\nenabled\nenabled\nenabled\nenabled' \
    systemctl is-enabled henb-tre.target tred ikeclient tred-net.socket tred-tpm.socket
check "nothing has been started that would have nothing to do" \
    matches_text $'inactive\ninactive\nactive\nactive' states_of tred ikeclient tred-net.socket tred-tpm.socket
check "nothing has failed" matches_text "" systemctl list-units --failed --no-legend --plain
for socket in tred-net tred-tpm; do
    check "the socket of $socket is for tred alone" test "$(stat --format '%U %a' /run/$socket.socket)" = "tred 600"
done
