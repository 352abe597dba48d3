# shellcheck shell=bash disable=SC2154
# Do the README's commands take the packages through their life: first steps, upgrade, removal, purge?

need "there are certificate authorities, a network and a SeGW" lab_ready
here=$(mktemp -d)

# installed VERSION: of all five packages.
installed() {
    local found
    found=$(dpkg-query --show --showformat '${Version} ${db:Status-Status}\n' \
        henb-tre tred ikeclient tre-provision trectl 2>&1 | sort -u)
    [[ $found == "$1 installed" ]] || { echo "$found" && false; }
}

version_of() {
    dpkg-deb --field "$1"/tred_*.deb Version
}

# left_of_packages: what a purge is to leave nothing of. Users stay.
left_of_packages() {
    find / -xdev \( -path /proc -o -path /run/payload -o -path "$here" -o -path "$pki" -o -path /usr/share/doc \) -prune -o \
        \( -name '*tred*' -o -name '*ikeclient*' -o -name '*henb-tre*' -o -name 'tre-provision*' -o -name 'trectl*' \) -print
    find /run -name '*tred*' -not -path '/run/payload/*' -print
    dpkg-query --list henb-tre tred ikeclient tre-provision trectl 2> /dev/null | grep '^[a-z][a-z] ' | grep -v '^un'
}

# nothing_runs: no process of the product's.
nothing_runs() {
    refused pgrep -l '^(tred|ikeclient)'
}

need "what is there is removed" follow "$here" Remove 1
need "and purged after that" follow "$here" Remove 2
check "a purge of what was never provisioned leaves nothing" matches_text "" left_of_packages

need "the packages of the version before are installed" follow "$packages_before" Install 2
need "they are of that version" installed "$(version_of $packages_before)"
need "the first step makes a device key and a CSR" follow "$here" "First steps" 1
cp /var/lib/tred/device.csr "$pki/henb.csr"
need "the vendor's CA signs" pki_issue henb vendor-ca "$henb_name"
cp "$pki/henb.crt" "$here/henb.pem"
cp "$pki/operator-ca.crt" "$here/segw-roots.pem"
need "the next steps install what came back, configure and start" follow "$here" "First steps" 2
need "the device connects" eventually 90 client_is established
check "the last steps say so, and find nothing in the way" follow "$here" "First steps" 3
check "packets cross the tunnel" ping -c 3 -i 0.2 -W $patience "$core_ipv4"

cp /etc/tred/tred.conf "$here/"

# said ID [FIELD=VALUE]: how many messages of this id the journal has of this boot.
said() {
    journalctl --sync
    journalctl --boot --quiet --output cat "MESSAGE_ID=$1" "${@:2}" | grep -c ''
}
# systemd's for a unit that was started, and ikeclient's (tred-journal(7)).
message_started=39f53479d3a045ac8e11786248231fbf
message_established=5cd59867a7834bd2b399b79646d33083
message_lost=22dfad0f65b74398b10e25ae4c8a8ede
services="tred.service tred-net.service tred-tpm.service ikeclient.service"

# course: what has become of services and tunnel since the boot, in numbers.
course() {
    local service
    for service in $services; do
        echo "$service started $(said $message_started UNIT="$service")"
    done
    echo "tunnel established $(said $message_established)"
    echo "tunnel lost $(said $message_lost)"
}

# packets_begin NAME, packets_end: the HeNB asks the core ten times a second; the answers are in $here/NAME.
packets_begin() {
    timeout 600 ping -i 0.1 -W 1 -D -O "$core_ipv4" > "$here/$1" &
    ping=$!
}
packets_end() {
    kill -INT $ping
    wait $ping
}

# gap NAME: the longest time between two of them.
gap() {
    awk -F '[][]' '/bytes from/ { if (last && $2 - last > gap) gap = $2 - last; last = $2 } END { printf "%.1f s", gap }' "$here/$1"
}

one_more=$(course | awk '!/lost/ { $NF = $NF + 1 } { print }')
# Where packets would go that nothing holds back.
ip route add default via "$segw_direct"
wire_begin
packets_begin upgrade
need "the upgrade runs" follow "$packages" Upgrade 1
need "all packages are of the new version" installed "$(version_of $packages)"
check "what was configured stays" cmp /etc/tred/tred.conf "$here/tred.conf"
check "the new version's file is beside it" grep -q '^#name' /etc/tred/tred.conf.dpkg-dist
check "the device is connected" eventually 90 client_is established
check "packets cross the tunnel" ping -c 3 -i 0.2 -W $patience "$core_ipv4"
packets_end
check "while it ran, not one packet for the core left in clear" wire_is 0
ip route del default
check "each service was restarted once, the tunnel was made once, and none was lost by the end of tred" \
    matches_text "$one_more" course

# What a reconnect takes: the same services begin anew, and no package is unpacked meanwhile.
packets_begin restart
need "all services are restarted at once" systemctl restart henb-tre.target
check "the device is connected" eventually 90 client_is established
check "packets cross the tunnel" ping -c 3 -i 0.2 -W $patience "$core_ipv4"
packets_end
packets_begin restart-of-tred
need "tred is restarted by itself" restart_tred
check "the device is connected" eventually 90 client_is established
check "packets cross the tunnel" ping -c 3 -i 0.2 -W $patience "$core_ipv4"
packets_end
# Figures and no test.
echo "# packets were kept from crossing for at most: $(gap upgrade) by the upgrade, $(gap restart) by a restart of all services,"
echo "# $(gap restart-of-tred) by a restart of tred alone, which its client sees"

# What is stopped and still enabled is started by an upgrade, as Debian's services are. The same version, as another would do.
need "the client is stopped for longer" follow "$here" Upgrade 2
need "its package is upgraded" dpkg --install "$packages"/ikeclient_*.deb
check "it stays stopped" matches_text inactive systemctl show --property ActiveState --value ikeclient
need "it is wanted again" follow "$here" Upgrade 3
check "the device is connected" eventually 90 client_is established

need "the packages are removed" follow "$here" Remove 1
check "no process of theirs is left" nothing_runs
check "nothing of the tunnel is left" traceless
check "nothing has failed" matches_text "" systemctl list-units --failed --no-legend --plain
check "configuration and device key stay" test -e /var/lib/tred/device.pem -a -e /etc/tred/tred.conf
check "the programs are gone" matches_text "" find /usr/bin /usr/sbin /usr/libexec -name 'tre*' -o -name ikeclient

need "installed again" follow "$packages" Install 2
check "the device connects by itself" eventually 90 client_is established

follow "$here" Remove 2 > "$here/purge" 2>&1
check "a purge takes away all" matches_text "" left_of_packages
check "the purge says what the TPM still holds" grep -q "0x81000001, and the NV indices 0x01801101" "$here/purge"
check "the TPM still holds that" tpm2_readpublic -Q -c 0x81000001
check "the purge says how to remove it" grep -q "tpm2_clear (package tpm2-tools)" "$here/purge"
check "and that removes it" tpm2_clear
check "the TPM holds nothing more" matches_text "" tpm2_getcap handles-persistent
need "the packages are installed once more" follow "$packages" Install 2
rm -r "$here"
