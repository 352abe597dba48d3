# shellcheck shell=bash disable=SC2034,SC2154
# Who decides from afar? The vendor, who signs for platform states, and the operator, who signs for anchors. Sourced, not
# run.

vendor=/etc/lab-vendor     # neither of them is on a device; here they are for want of another machine
operator=/etc/lab-operator
policy_pcrs=0,2,4,7,11
another_firmware=$(printf '%064d' 1)
states=/var/lib/tred/pcr-signatures
anchors=/var/lib/tred/segw-anchors.pem
export TPM2TOOLS_TCTI=device:/dev/tpmrm0

# policy_key FOLDER: a key to approve of policies with.
policy_key() {
    mkdir -p "$1" &&
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1/policy.key" &&
        openssl pkey -in "$1/policy.key" -pubout -out "$1/policy.pem"
}

# The vendor notes down the state that this device is in, and approves of it beside those before.
vendor_approves() {
    rm -f "$vendor/state.json"
    tre-provision read-pcrs --pcrs $policy_pcrs --output "$vendor/state.json" &&
        tre-provision sign-policy --key "$vendor/policy.key" --output "$vendor/approved.json" "$vendor/state.json"
}

# operator_signs VERSION FILE [OPTION]...: a new set of anchors.
operator_signs() {
    cp "$2" "$operator/anchors-$1.pem" &&
        tre-provision sign-anchors --key "$operator/policy.key" --anchors-version "$1" "${@:3}" \
            "$operator/anchors-$1.pem"
}

# The profile of the manufacturing line.
factory_profile() {
    cat > /etc/tre-provision.profile << PROFILE
[device]
fqdn = $henb_name
[policy]
kind = signed
key = $vendor/policy.pem
states = $vendor/approved.json
[anchors]
file = $operator/anchors-1.pem
operator-key = $operator/policy.pem
PROFILE
}

# begin_exchange USER
begin_exchange() {
    runuser -u "$1" -- \
        busctl call org.tred.TrE1 /org/tred/TrE1 org.tred.TrE1.Manager BeginExchange q 19
}

# extend PCR: as another firmware would.
extend() {
    tpm2_pcrextend "$1:sha256=$another_firmware"
}

# tpm_handles: what the TPM itself holds, without the resource manager between.
tpm_handles() {
    local kind
    for kind in transient loaded-session saved-session persistent; do
        echo "$kind: $(TPM2TOOLS_TCTI=device:/dev/tpm0 tpm2_getcap handles-$kind | tr '\n' ' ')"
    done
}
