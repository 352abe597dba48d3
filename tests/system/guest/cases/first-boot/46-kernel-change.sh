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
    ping -i 0.05 -W "$patience" $far > "$folder/pings" 2>&1 &
    echo $! > "$folder/pings.pid"
    eventually 10 grep -q "bytes from" "$folder/pings"
}

# pings_lost: how many were not answered.
pings_lost() {
    local sent received
    sleep 0.5
    kill -INT "$(cat "$folder/pings.pid")"
    eventually 20 grep -q "packets transmitted" "$folder/pings" > "$folder/ended"
    read -r sent received < <(sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\1 \2/p' "$folder/pings")
    echo $((sent - received))
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
need "the SeGW's end is up" end_up b segw "$segw_direct" 192.0.2.2 $far $near
need "the HeNB's end is up" end_up a henb 192.0.2.2 "$segw_direct" $near $far
check "pings cross" pings_up
check "ten rekeys from either side are carried out" rekeyed_ten_times
none_lost() {
    pings_lost | matches 0 || { cat "$folder/pings" && false; }
}
check "no packet is lost" none_lost

# By its template, whatever else there is: the kernel by itself would take the newest state.
names_the_state() {
    ip xfrm policy list dir out | grep -c "spi 0x0b0b0b0b" | matches 1
}
check "the policy names the state that sends" names_the_state

# moves PORT: both ends do, and packets cross again.
moves() {
    does a move 192.0.2.2 "$1" "$segw_direct" $port && does b move "$segw_direct" $port 192.0.2.2 "$1" &&
        ping -c 3 -i 0.2 -W "$patience" $far
}

# sent: how many packets the HeNB's state has counted.
sent() {
    ip -s xfrm state list src 192.0.2.2 | sed -n 's/^[[:space:]]*[0-9]*(bytes), \([0-9]*\)(packets).*/\1/p'
}

key_of() {
    ip xfrm state list src 192.0.2.2 | grep aead
}

# added: when it was, by the kernel.
added() {
    ip -s xfrm state list src 192.0.2.2 | sed -n 's/.*\(add [0-9-]* [0-9:]*\) .*/\1/p'
}

# went_on BEFORE AFTER: the numbers have, by what is skipped at least.
went_on() {
    (($2 >= $1 + 65536 && $2 < $1 + 65536 + 1000))
}
before=$(shown oseq src 192.0.2.2)
key=$(key_of)
added=$(added)
packets=$(sent)
check "the tunnel moves to another port, and packets cross" moves 4800
check "its sequence numbers have gone on" went_on "$before" "$(shown oseq src 192.0.2.2)"
check "it has the same key" matches_text "$key" key_of
check "it is as old as it was" matches_text "$added" added
counted_on() {
    (($(sent) >= packets + 3)) || { sent && false; }
}
check "and has counted on" counted_on
check "it moves on, and packets cross" moves 4900
ip address add 192.0.2.77/24 dev henb0
moves_away() {
    does a move 192.0.2.77 4900 "$segw_direct" $port && does b move "$segw_direct" $port 192.0.2.77 4900 &&
        ping -c 3 -i 0.2 -W "$patience" $far
}
check "it moves to another address, and packets cross" moves_away
# states SELECTION...: how many the kernel has.
states() {
    ip xfrm state list "$@" | grep -c "proto esp"
}
check "nothing is left where it was" matches_text 0 states src 192.0.2.2
check "the HeNB's pair is removed" does a remove 11
check "no state is left" matches_text 0 states
check "the HeNB's end ends" end_down a
check "the SeGW's end ends" end_down b
check "the HeNB's has seen no number twice" matches_text 0 counted a replays
check "nor has the SeGW's" matches_text 0 counted b replays
check "nothing that came in was not authentic" matches_text 0 counted a authentic
ip address delete 192.0.2.77/24 dev henb0

# With selectors that take in the SeGW itself, as 0.0.0.0/0 does: its own packets are not to enter the tunnel, also after a move.
rm "$folder"/?
check "the SeGW's end is up once more" end_up b segw "$segw_direct" 192.0.2.2 $far $near
check "an end for all addresses is up" end_up a henb 192.0.2.2 "$segw_direct" $near any
way_to_segw() {
    ip route get "$segw_direct" | grep -q "dev henb0" || { ip route get "$segw_direct" && false; }
}
all_moves() {
    moves "$1" && way_to_segw
}
check "packets cross, and those for the SeGW go around the tunnel" all_moves 4801
ip address add 192.0.2.77/24 dev henb0
all_moves_away() {
    moves_away && way_to_segw
}
check "it moves to another address, and packets cross" all_moves_away
check "its pair is removed" does a remove 1
check "the end for all addresses ends" end_down a
check "the other one ends" end_down b
check "no state of theirs is left" matches_text 0 states
ip address delete 192.0.2.77/24 dev henb0
rm -r "$folder"
