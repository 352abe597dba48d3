# shellcheck shell=bash disable=SC2154
# Can anybody but the operator change whom this device trusts?

product_configure kernel "$segw_direct"
need "the tunnel comes up with the anchors of the factory" tunnel_up
cp $anchors /run/anchors.pem
check "tred knows that the TPM guards them, as version 1" tre_shows AnchorsVersion 1

check "root puts other anchors on the disk" cp "$pki/vendor-ca.crt" $anchors
restart_tred
check "tred does not trust them" eventually 60 tre_is integrity-failed
check "no exchange can be begun" refused begin_exchange henb-ike
check "root can not make the TPM vouch for them" \
    refused tpm2_nvwrite -C o -i "$pki/vendor-ca.crt" 0x01801101
check "the operator's anchors come back" cp /run/anchors.pem $anchors
systemctl reload tred
check "tred is ready again" eventually 60 tre_is ready
need "the tunnel is up again" eventually 120 client_is established

cat "$pki/operator-ca.crt" "$pki/vendor-ca.crt" > /run/both.pem
check "the operator signs for new anchors" operator_signs 2 /run/both.pem
before=$(main_process tred)
check "they are installed in the field" tre-provision install-anchors "$operator/anchors-2.pem"
check "the TPM vouches for version 2" tre_shows AnchorsVersion 2
check "tred was not restarted" main_process_is tred "$before"
check "the tunnel has stood all the while" core_answers
check "the older anchors, signed as they are, are refused" \
    refused tre-provision install-anchors "$operator/anchors-1.pem"
check "the TPM still vouches for version 2" tre_shows AnchorsVersion 2
check "the tunnel comes up with the new anchors" tunnel_up
