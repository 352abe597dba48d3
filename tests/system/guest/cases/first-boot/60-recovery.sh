# shellcheck shell=bash disable=SC2154
# Does all recover when a process dies?

product_configure kernel "$segw_direct"
need "the tunnel comes up" tunnel_up
need "the SeGW has an IKE SA for this tunnel and no older one" eventually 30 segw_has 1

# recovered: there is a tunnel that works, and no other.
recovered() {
    client_is established && segw_has 1 && core_answers
}

# states COUNT: so many ESP states of tred's are here.
states() {
    ip xfrm state list | grep -c "if_id 0x74726564" | matches "$1"
}

# What somebody else has set up. Whoever clears up after a crash is to leave it alone.
others_set_up() {
    ip xfrm state add src 192.0.2.2 dst 192.0.2.77 proto esp spi 0x777 mode tunnel \
        aead "rfc4106(gcm(aes))" "0x$(printf '%040d' 0)" 128 &&
        ip xfrm policy add src 10.77.0.0/24 dst 10.78.0.0/24 dir out \
            tmpl src 192.0.2.2 dst 192.0.2.77 proto esp mode tunnel &&
        ip link add others0 type xfrm dev henb0 if_id 7 &&
        ip route add 192.0.2.77/32 dev henb0
}

others_have_all() {
    ip xfrm state get src 192.0.2.2 dst 192.0.2.77 proto esp spi 0x777 &&
        ip xfrm policy get src 10.77.0.0/24 dst 10.78.0.0/24 dir out &&
        ip link show others0 &&
        ip route show 192.0.2.77/32 | grep henb0
}

need "somebody else has ESP, an XFRM interface and a route here too" others_set_up

for unit in tred tred-net ikeclient; do
    before=$(main_process $unit)
    check "$unit is killed" systemctl kill --signal KILL $unit
    check "it comes back as another process" eventually 60 refused main_process_is $unit "$before"
    check "the tunnel comes back without anybody's help" eventually 120 recovered
    check "of the tunnel that died no ESP state is left" states 2
    check "what is somebody else's is as it was" others_have_all
done

# client_told PATTERN SINCE
client_told() {
    journalctl --since "@$2" --unit ikeclient --output cat | grep -e "$1"
}

# segw_sas: the SeGW's own numbers of the IKE SAs that are up.
segw_sas() {
    segw_control --list-sas | sed -n "s/^henb: #\([0-9]*\), ESTABLISHED.*/\1/p"
}

# exchanges_are STATE: each exchange of tred's, of which there is one.
exchanges_are() {
    local exchange
    exchange=$(busctl tree --list org.tred.TrE1 | grep 'exchange/[0-9]') &&
        busctl get-property org.tred.TrE1 "$exchange" org.tred.TrE1.Exchange State | matches "s \"$1\""
}

# tred-tpm has no key of the tunnel, which goes on without it. Who needs the TPM is told, and served by the next one.
tred=$(main_process tred)
tunnel=$(segw_sas)
before=$(main_process tred-tpm)
since=$(date +%s)
check "tred-tpm is killed with a tunnel up" systemctl kill --signal KILL tred-tpm
check "tred says that it ended" eventually 10 journal_has tred "tred-tpm, which has the TPM, failed: it ended"
check "it comes back as another process" eventually 60 refused main_process_is tred-tpm "$before"
check "tred has its identity again" eventually 60 tre_is ready
check "tred is the process that it was" matches_text "$tred" main_process tred
check "the tunnel is the one that it was" matches_text "$tunnel" segw_sas
check "it carries packets" core_answers
check "the client was told of nothing" refused client_told . "$since"

# Stopped first, so that the signature is certainly under way when it is killed.
systemctl stop ikeclient
before=$(main_process tred-tpm)
since=$(date +%s)
check "tred-tpm is stopped" systemctl kill --signal STOP tred-tpm
systemctl start --no-block ikeclient
check "a connect gets as far as the signature" eventually 12 exchanges_are agreed
check "tred-tpm is killed then" systemctl kill --signal KILL tred-tpm
check "the client is told what became of its signature" eventually 10 client_told "tred-tpm, which has the TPM, failed" "$since"
check "it comes back as another process" eventually 60 refused main_process_is tred-tpm "$before"
check "the tunnel comes up without anybody's help" eventually 120 recovered
check "tred is the process that it was" matches_text "$tred" main_process tred

# told_and_recovered PATTERN COMMAND...: after COMMAND tred tells the client why, and the tunnel comes back.
told_and_recovered() {
    local since
    since=$(date +%s)
    "${@:2}"
    eventually 10 client_told "$1" "$since" && eventually 120 recovered
}
check "a foreign flush of the ESP states closes the tunnel, which comes back" \
    told_and_recovered "an ESP state was removed" ip xfrm state flush
check "a foreign flush of the policies closes the tunnel, which comes back" \
    told_and_recovered "an IPsec policy was removed" ip xfrm policy flush
check "a deleted interface closes the tunnel, which comes back" \
    told_and_recovered "the tunnel's interface was deleted" ip link delete segw0

# A watchdog of 5 seconds instead of the unit's minute.
mkdir -p /run/systemd/system/tred.service.d
printf '[Service]\nWatchdogSec=5\n' > /run/systemd/system/tred.service.d/watchdog.conf
systemctl daemon-reload
check "the tunnel comes up with a shorter watchdog" tunnel_up
before=$(main_process tred)
check "tred hangs" systemctl kill --signal STOP tred
check "it comes back as another process" eventually 60 refused main_process_is tred "$before"
check "the tunnel comes back without anybody's help" eventually 120 recovered
check "the journal says that the watchdog did it" journal_has tred "Watchdog timeout"
rm /run/systemd/system/tred.service.d/watchdog.conf
systemctl daemon-reload
