# shellcheck shell=bash disable=SC2154
# Does the TPM decide whether this platform may be the device?

product_configure kernel "$segw_direct"
need "the tunnel comes up under the policy signed at the factory" tunnel_up
cp /var/lib/tred/device.pem /run/device.pem

check "another firmware extends a PCR" extend 11
check "the client connects anew" systemctl restart ikeclient
check "tred withholds the key" eventually 60 tre_is integrity-failed
check "its reason names the PCR" tre_shows StateReason ".*PCR 11: expected .*"
check "the bus shows what was expected and what was found" tre_shows PcrMismatch '1 11 "[0-9a-f]*" "[0-9a-f]*"'
check "the journal names it as well" journal_has tred "^PCR 11 .*expected [0-9a-f]*, found [0-9a-f]*"
check "no exchange can be begun" refused begin_exchange henb-ike
check "the client says why it has no tunnel" journal_has ikeclient "PCR 11"
check "doctor says so too" refused trectl doctor
restart_tred
check "a restart changes nothing" eventually 60 tre_is integrity-failed

check "the vendor signs for the new firmware's state" vendor_approves
check "the signature is installed in the field" tre-provision install-policy "$vendor/approved.json"
check "tred has looked again" tre_is ready
check "the tunnel is up again by itself" eventually 120 client_is established
check "the HeNB reaches the core, IPv4 and IPv6" core_answers
check "the device key is the one that it was" cmp /run/device.pem /var/lib/tred/device.pem

# The kernel's resource manager: what signing for years leaves in the TPM. The host says how many times.
signatures=$(cat signatures)
systemctl stop ikeclient
sleep 1
before=$(tpm_handles)
check "$signatures signatures under the policy, through the resource manager" \
    runuser -u henb-ike -- ./sign_many "$signatures"
systemctl is-active --quiet tred
check "the TPM holds what it held before, and no handle more" matches_text "$before" tpm_handles

# Another program, through the resource manager too, which gives each what it needs. The owner hierarchy is closed to it.
busy() {
    while tpm2_createprimary --hierarchy n --quiet --key-context /run/other.ctx; do :; done
}
busy &
other=$!
check "tred signs while another program uses the TPM" runuser -u henb-ike -- ./sign_many 10
check "which it has done all the while" kill $other
wait $other 2> /dev/null
sleep 1 # the last one that it started

# Around the resource manager: the TPM's slots are full, and stay so until somebody flushes them.
fill() {
    local TPM2TOOLS_TCTI=device:/dev/tpm0
    while tpm2_createprimary --hierarchy n --quiet --key-context /run/full.ctx; do :; done
    [[ $(tpm2_getcap handles-transient | wc -l) == 3 ]]
}
check "another program fills all transient slots of the TPM" fill
check "tred can't sign meanwhile, and lives" refused runuser -u henb-ike -- ./sign_many 1
check "the slots are freed" env TPM2TOOLS_TCTI=device:/dev/tpm0 tpm2_flushcontext --transient-object
check "tred signs again, by itself" eventually 30 runuser -u henb-ike -- ./sign_many 1
check "and is ready" tre_is ready
