# shellcheck shell=bash disable=SC2154
# Does provisioning work as at the factory, against the TPM's own device node?

need "throw-away certificate authorities are made" pki_up
need "the network and the SeGW come up" lab_up
product_configure none "$segw_direct"

check "the bus starts tred on demand; unprovisioned, it says so" eventually 60 tre_is unprovisioned
check "its reason says what to do" tre_shows StateReason ".*tre-provision init.*"

need "tre-provision init makes the device key in the TPM" tre-provision init --fqdn "$henb_name"
cp /var/lib/tred/device.csr "$pki/henb.csr"
check "the CSR that it left is signed by the device key" openssl req -in "$pki/henb.csr" -verify -noout
need "the vendor's CA issues the device certificate" pki_issue henb vendor-ca "$henb_name"
check "a certificate for another key is refused" refused tre-provision install-cert "$pki/segw.crt"
need "tre-provision install-cert takes the device certificate" tre-provision install-cert "$pki/henb.crt"
check "an anchor that is no CA is refused" refused tre-provision install-anchors "$pki/segw.crt"
need "tre-provision install-anchors takes the operator's root" tre-provision install-anchors "$pki/operator-ca.crt"

systemctl restart tred
need "tred is ready" eventually 60 tre_is ready
check "its identity is the name in the device certificate" tre_shows Identity "\"$henb_name\""
