# shellcheck shell=bash disable=SC2154
# Do the kernel's pairs of SAs change over without the loss of a packet, and move with the numbers and keys that they have?
# The data plane alone, tred-net with static keys at both ends.

near=10.211.0.1 far=10.211.0.2 port=4700
folder=$(mktemp -d)

# end_up a|b NAMESPACE OUTER-OWN OUTER-OTHER INNER-OWN INNER-OTHER
end_up() {
    mkfifo "$folder/$1"
    ip netns exec "$2" ./static_tunnel /usr/libexec/tred-net kernel "$1" aes128gcm16 "$3" "$4" $port "$5" "$6" "$folder/$1" \
        > "$folder/$1.log" 2>&1 &
    echo $! > "$folder/$1.pid"
    eventually 20 grep -qx ready "$folder/$1.log" || { cat "$folder/$1.log" && false; }
}

# does a|b COMMAND...: one of static_tunnel's.
does() {
    local line="${*:2}"
    : > "$folder/$1.log"
    echo "$line" > "$folder/$1"
    eventually 20 grep -q "^$line: " "$folder/$1.log"
    grep -qx "$line: done" "$folder/$1.log" || { cat "$folder/$1.log" && false; }
}

# end_down a|b: what it has counted is in its log then.
end_down() {
    kill "$(cat "$folder/$1.pid")"
    eventually 20 grep -q "^packets in" "$folder/$1.log"
}

# counted a|b NAME: how many it says, of packets "in" and "out" for one.
counted() {
    sed -n "s/^packets.*\b$2 \([0-9]*\).*/\1/p" "$folder/$1.log"
}

# shown FIELD FILTER...: of what the kernel shows of the first such state.
shown() {
    ip -s xfrm state list "${@:2}" | sed -n "s/.*\b$1 \([^ ,]*\).*/\1/p" | head -n 1
}

pings_up() {
    ping -i 0.05 -W "$patience" $far > "$folder/pings" &
    pings=$!
    eventually 10 grep -q "bytes from" "$folder/pings"
}

# pings_lost: how many were not answered.
pings_lost() {
    sleep 0.5
    kill -INT "$pings"
    wait "$pings"
    sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/echo $((\1 - \2))/p' "$folder/pings" | bash
}

# rekeyed NUMBER INITIATOR RESPONDER: as RFC 7296 2.8 and 1.3.3 have it.
rekeyed() {
    does "$3" standby "$1" && does "$2" add "$1" && does "$3" use "$1" &&
        does "$2" remove $(($1 - 1)) && does "$3" remove $(($1 - 1))
}

rekeyed_ten_times() {
    local number
    for number in 2 4 6 8 10; do
        rekeyed $number a b && rekeyed $((number + 1)) b a || return
    done
}

systemctl stop ikeclient tred
need "the SeGW's end is up" end_up b segw $segw_direct 192.0.2.2 $far $near
need "the HeNB's end is up" end_up a henb 192.0.2.2 $segw_direct $near $far
check "pings cross" pings_up
check "ten rekeys from either side are carried out" rekeyed_ten_times
check "no packet is lost" eval 'pings_lost | matches 0'

# By its template, whatever else there is: the kernel by itself would take the newest state.
names_the_state() {
    ip xfrm policy list dir out | grep -c "spi 0x0b0b0b0b" | matches 1
}
check "the policy names the state that sends" names_the_state

# moves PORT: both ends do, and packets cross again.
moves() {
    does a move 192.0.2.2 "$1" $segw_direct $port && does b move $segw_direct $port 192.0.2.2 "$1" &&
        ping -c 3 -i 0.2 -W "$patience" $far
}

# sent: how many packets the HeNB's state has counted.
sent() {
    ip -s xfrm state list src 192.0.2.2 | sed -n 's/^ *[0-9]*(bytes), \([0-9]*\)(packets).*/\1/p'
}

# went_on BEFORE AFTER: the numbers have, by what is skipped at least.
went_on() {
    (($2 >= $1 + 65536 && $2 < $1 + 65536 + 1000))
}
before=$(shown oseq src 192.0.2.2)
key=$(ip xfrm state list src 192.0.2.2 | grep aead)
lasts=$(ip -s xfrm state list src 192.0.2.2 | grep "add ")
packets=$(sent)
check "the tunnel moves to another port, and packets cross" moves 4800
check "its sequence numbers have gone on" went_on "$before" "$(shown oseq src 192.0.2.2)"
check "it has the same key" eval '[[ $(ip xfrm state list src 192.0.2.2 | grep aead) == "$key" ]]'
check "it is as old as it was" eval 'ip -s xfrm state list src 192.0.2.2 | grep -F "${lasts%% use*}"'
check "and has counted on" eval '(($(sent) >= packets + 3))'
check "it moves on, and packets cross" moves 4900
ip address add 192.0.2.77/24 dev henb0
moves_away() {
    does a move 192.0.2.77 4900 $segw_direct $port && does b move $segw_direct $port 192.0.2.77 4900 &&
        ping -c 3 -i 0.2 -W "$patience" $far
}
check "it moves to another address, and packets cross" moves_away
check "nothing is left where it was" eval 'ip xfrm state list src 192.0.2.2 | wc -l | matches 0'
check "the HeNB's end ends" end_down a
check "the SeGW's end ends" end_down b
check "no number was seen twice, and nothing was forged" eval 'counted a replays | matches 0 && counted b replays | matches 0 && counted a authentic | matches 0'
check "no state is left" eval 'ip xfrm state list | wc -l | matches 0'
ip address delete 192.0.2.77/24 dev henb0
rm -r "$folder"
