# shellcheck shell=bash disable=SC2034
# What do the cases need around the product? The certificates, the SeGW and questions to it. Sourced, not run.

henb_name=henb-0001.vendor.example
segw_name=segw.operator.example
segw_direct=192.0.2.1
segw_behind_nat=198.51.100.1
segw_ipv6=2001:db8::1
core_ipv4=10.200.0.1
core_ipv6=fd00:200::1
pki=/etc/lab-pki

# pki_root NAME SUBJECT
pki_root() {
    openssl req -new -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 3650 \
        -subj "$2" -keyout "$pki/$1.key" -out "$pki/$1.crt" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}

# pki_issue NAME ISSUER FQDN: signs $pki/NAME.csr
pki_issue() {
    openssl x509 -req -in "$pki/$1.csr" -CA "$pki/$2.crt" -CAkey "$pki/$2.key" -days 825 -out "$pki/$1.crt" \
        -extfile <(printf '%s\n' basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature \
            "subjectAltName=DNS:$3" subjectKeyIdentifier=hash authorityKeyIdentifier=keyid)
}

# Two hierarchies, as 3GPP has them: the vendor's for HeNBs, the operator's for gateways.
pki_up() {
    mkdir -p "$pki" &&
        pki_root vendor-ca "/O=Vendor/CN=Vendor root" &&
        pki_root operator-ca "/O=Operator/CN=Operator root" &&
        openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc \
            -subj "/O=Operator/CN=$segw_name" -keyout "$pki/segw.key" -out "$pki/segw.csr" &&
        pki_issue segw operator-ca "$segw_name"
}

# Puts the network and the SeGW in place as units, so that they are there after a reboot too.
lab_up() {
    mkdir -p /usr/local/lib/system-test /etc/segw/{x509,x509ca,private}
    cp -r network segw /usr/local/lib/system-test/
    cp segw/swanctl.conf /etc/segw/
    cp "$pki/segw.crt" /etc/segw/x509/
    cp "$pki/segw.key" /etc/segw/private/
    cp "$pki/vendor-ca.crt" "$pki/operator-ca.crt" /etc/segw/x509ca/
    cp units/* /etc/systemd/system/
    systemctl enable --quiet --now segw lab-network
}

# lab_ready: all of it, once.
lab_ready() {
    [[ -e $pki/segw.crt ]] || { pki_up && lab_up; }
}

segw_control() {
    STRONGSWAN_CONF=/usr/local/lib/system-test/segw/strongswan.conf \
        swanctl "$@" --uri unix:///run/segw.vici
}

# The number of HeNBs that the SeGW has an IKE SA with.
segw_count() {
    segw_control --list-sas | grep -c "^henb: #[0-9]*, ESTABLISHED"
}

# segw_counted in|out: the packets of the only Child SA, as the SeGW counts them.
segw_counted() {
    segw_control --list-sas | sed -n "s/^ *$1 .* \([0-9]*\) packets.*/\1/p"
}

# segw_has COUNT
segw_has() {
    [[ $(segw_count) == "$1" ]] || { segw_control --list-sas && false; }
}
