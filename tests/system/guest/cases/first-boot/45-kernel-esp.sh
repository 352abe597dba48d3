# shellcheck shell=bash disable=SC2154
# Does the kernel's ESP keep what tred promises of every data plane?

product_configure auto "$segw_direct"
need "the tunnel comes up with auto" tunnel_up
check "auto takes the kernel's ESP" tre_shows DataPlane '"kernel"'

# both_states PATTERN: it is in what the kernel shows of either state.
both_states() {
    ip -s xfrm state list | grep -c -e "$1" | matches 2
}
check "both states have extended sequence numbers" both_states "flag .*esn"
check "both have an anti-replay window of 1,024 packets" both_states "replay_window 1024,"
check "both belong to the tunnel's interface" both_states "if_id 0x74726564"

# counts_agree NUMBER: since `before` so many packets went each way, as tred and as the SeGW have it.
counts_agree() {
    child_shows PacketsOut $((before + $1)) && child_shows PacketsIn $((before + $1)) &&
        segw_counted in | matches $((before + $1)) && segw_counted out | matches $((before + $1))
}
before=$(child_property PacketsOut)
check "six pings cross" core_answers
check "tred and the SeGW have counted six packets more each way" counts_agree 6

# idle_grows: tred's time since the last packet does so while none comes; the kernel knows it in seconds.
idle_grows() {
    local first second
    first=$(child_property IdleInMilliseconds)
    sleep 2.5
    second=$(child_property IdleInMilliseconds)
    ((second >= first + 2000 && second < first + 60000)) || { echo "$first, $second" && false; }
}
check "tred knows how long ago the last one came" idle_grows

packet=$(mktemp -d)/first
check "an ESP packet is recorded" record_esp "$packet"
check "it is sent again" send_esp_again "$packet"
check "tred counts one replay" eventually 10 child_shows Replays 1
check "it is sent again, changed" send_esp_again "$packet" 100
check "tred counts one authentication failure" eventually 10 child_shows AuthenticationFailures 1
check "neither crossed" counts_agree 12

# Without ESN a number left of the window can only be an old one.
esp_proposals=aes128gcm16
product_configure auto "$segw_direct"
check "the tunnel comes up without ESN" tunnel_again
check "no state has extended sequence numbers" refused both_states "flag .*esn"
packet=$(dirname "$packet")/second
check "an ESP packet is recorded" record_esp "$packet"
check "1,100 more follow" ping -q -c 1100 -i 0.002 -W $patience "$core_ipv4"
check "it is sent again" send_esp_again "$packet"
check "tred counts one replay, left of the window" eventually 10 child_shows Replays 1

# soft_packets: after how many packets the outbound state is due.
soft_packets() {
    ip -s xfrm state list src 192.0.2.2 | sed -n 's/.*limit: soft \([0-9]*\)(packets).*/\1/p'
}

# outbound_spi: what the HeNB sends by.
outbound_spi() {
    ip xfrm state list src 192.0.2.2 | sed -n 's/.*proto esp spi \(0x[0-9a-f]*\) .*/\1/p'
}

# seeded NUMBER: the outbound state has sent so many packets.
seeded() {
    ./seed_packets.py "$segw_direct" "$(outbound_spi)" "$1"
}

# due_in_time: 7/8 of 2^32, or up to a tenth less.
due_in_time() {
    local packets
    packets=$(soft_packets)
    ((packets <= 0xe0000000 && packets >= 0xe0000000 / 10 * 9)) || { ip -s xfrm state list && false; }
}

# replaced SPI: the pair that has it is not what the HeNB sends by any more.
replaced() {
    [[ $(outbound_spi | wc -l) == 1 && $(outbound_spi) != "$1" ]]
}
check "a state ends 2^20 packets before its numbers" both_states "hard 4293918720(packets)"
check "it is due an eighth before, and some at random" due_in_time
spi=$(outbound_spi)
check "it has sent nearly as many" seeded $(($(soft_packets) - 2))
answers_by_another() {
    core_answers && replaced "$spi"
}
check "then it is replaced" eventually 30 answers_by_another

# The IKE SA has AES-128.
product_configure auto "$segw_direct" "stronger-child = yes"
check "a tunnel may have a stronger cipher than its IKE SA" tunnel_up
for esp_proposals in aes256gcm16-esn aes128-sha256-esn aes256-sha256-esn chacha20poly1305-esn; do
    product_configure auto "$segw_direct" "stronger-child = yes"
    check "the tunnel comes up with $esp_proposals" tunnel_again
    check "packets cross, IPv4 and IPv6" core_answers
done
esp_proposals=aes128gcm16-esn

# child_now: the SPI of the Child SA; there is none while the next tunnel is on its way.
child_now() {
    child_property SpiIn | grep .
}

# answers_after SPI: by another Child SA.
answers_after() {
    local now
    core_answers && now=$(child_now) && [[ $now != "$1" ]]
}

# renewed HARD: while packets go through it a Child SA reaches a lifetime, tred says so, and ikeclient brings up the next one.
renewed() {
    local first monitor answered
    first=$(eventually 60 child_now)
    busctl monitor --match "type='signal',member='LifetimeReached'" > "$seen" 2>&1 &
    monitor=$!
    eventually 10 grep -q "^Monitoring" "$seen"
    ping -q -c 30 -i 0.1 -W $patience -s 1000 "$core_ipv4" > "$seen.ping"
    eventually 60 answers_after "$first"
    answered=$?
    kill $monitor
    ((answered == 0)) && grep "BOOLEAN $1" "$seen" || { cat "$seen" "$seen.ping" && false; }
}

# none_lost: the new Child SA receives before the SeGW sends by it, and the old one until that sends nothing more by it.
none_lost() {
    grep -q "30 packets transmitted, 30 received" "$seen.ping" || { cat "$seen" "$seen.ping" && false; }
}
seen=$(mktemp)
for unit in "bytes = 10000" "seconds = 2"; do
    product_configure auto "$segw_direct" "soft-lifetime-$unit"
    check "a tunnel has soft-lifetime-$unit" tunnel_up
    check "tred reports it, and the tunnel is renewed" renewed false
    check "with that no packet is lost" none_lost
    product_configure auto "$segw_direct" "soft-lifetime-${unit% = *} = 0" "hard-lifetime-$unit"
    check "a tunnel has hard-lifetime-$unit" tunnel_up
    check "tred reports it, and the tunnel comes up anew" renewed true
done
