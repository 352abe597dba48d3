# shellcheck shell=bash disable=SC2154
# Does provisioning work as at the factory, against the TPM's own device node?

need "there are certificate authorities, a network and a SeGW" lab_ready
product_configure none "$segw_direct"

# starts_nothing UNIT: asked for, and there is nothing to start with; no fault.
starts_nothing() {
    systemctl start "$1" && [[ $(systemctl show --property ActiveState,Result,ConditionResult --value "$1" |
        sort | xargs) == "inactive no success" ]]
}
check "without a device key tred is not started" starts_nothing tred
check "without a device certificate ikeclient is not started" starts_nothing ikeclient

need "the vendor has a key to sign for platform states" policy_key $vendor
need "the operator has a key to sign for anchors" policy_key $operator
need "the vendor signs for the state that this device is in" vendor_approves
need "the operator signs for the first anchors" operator_signs 1 "$pki/operator-ca.crt" --first
factory_profile
need "provisioning runs, as a profile says" tre-provision run --profile /etc/tre-provision.profile
check "the bus starts tred on demand; without a certificate, it says so" eventually 60 tre_is unprovisioned
check "its reason says what to do" tre_shows StateReason ".*tre-provision install-cert.*"
cp /var/lib/tred/device.csr "$pki/henb.csr"
check "the CSR that it left is signed by the device key" openssl req -in "$pki/henb.csr" -verify -noout
need "the vendor's CA issues the device certificate" pki_issue henb vendor-ca "$henb_name"
check "a certificate for another key is refused" refused tre-provision install-cert "$pki/segw.crt"
need "tre-provision install-cert takes the device certificate" tre-provision install-cert "$pki/henb.crt"
check "an anchor that is no CA is refused" refused tre-provision install-anchors "$pki/segw.crt"

# run_again: and nothing is left to do but to look.
run_again() {
    tre-provision run --profile /etc/tre-provision.profile > /run/again &&
        refused grep -E '^[^ ]+ +(done|failed) ' <(grep -v '^check-tpm ' /run/again)
}
check "a second run finds everything done" run_again
check "tre-provision verify finds that all fits together" tre-provision verify
check "root can not take the anchors' guard out of the TPM" refused tpm2_nvundefine -C o 0x01801101

restart_tred
need "tred is ready" eventually 60 tre_is ready
check "its key is under the vendor's policy" tre_shows KeyPolicy '"signed"'
check "its identity is the name in the device certificate" tre_shows Identity "\"$henb_name\""
