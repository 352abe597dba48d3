# shellcheck shell=bash disable=SC2154
# Does trectl doctor see what stands in the way on a whole machine, with its real devices?

# doctor_says TEXT: it finds a problem, in these words, and ends with 1.
doctor_says() {
    local said status=0
    said=$(trectl doctor) || status=$?
    grep "^problem" <<< "$said" | grep -F -e "$1" && [[ $status == 1 ]] || { echo "$said" && false; }
}

systemctl stop tred
check "an IKE client that is enabled and does not run is named" doctor_says "ikeclient: is not running, although it is enabled"
systemctl disable --quiet ikeclient
check "nothing stands in the way of a machine that is provisioned" trectl doctor

chmod 600 /dev/tpmrm0
check "a TPM device that is closed to tred is named, with the group to be in" \
    doctor_says "no permission to use /dev/tpmrm0; run as a member of its group (usually tss)"
chmod 660 /dev/tpmrm0

chgrp tss /dev/tpm0
printf '[tpm]\ntcti = device:/dev/tpm0\n' >> /etc/tred/tred.conf
exec 9<> /dev/tpm0
check "a TPM that another process holds is named, with the resource manager" \
    doctor_says "/dev/tpm0 is in use by another program; use the kernel's resource manager, /dev/tpmrm0"
exec 9>&-

policy=$(find /etc/dbus-1 /usr/share/dbus-1 -name org.tred.TrE1.conf)
mv "$policy" /run/policy
systemctl reload dbus
check "a bus without the policy is named, with the policy" doctor_says "org.tred.TrE1.conf"
mv /run/policy "$policy"
systemctl reload dbus

# A kernel without them: their modules can't be loaded, and are not there from an earlier tunnel.
modprobe --remove tun xfrm_interface
printf 'install %s /bin/false\n' tun xfrm_interface > /etc/modprobe.d/lacking.conf
product_configure kernel "$segw_direct"
check "a kernel without the XFRM interface is named, with the modules" \
    doctor_says "This kernel lacks ESP, AES-GCM or the XFRM interface"
product_configure user "$segw_direct"
check "a kernel without TUN is named, with the module" doctor_says "Load the module tun"
rm /etc/modprobe.d/lacking.conf
systemctl enable --quiet ikeclient
