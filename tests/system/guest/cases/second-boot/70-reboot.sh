# shellcheck shell=bash
# Does the tunnel come back by itself after a reboot?

check "the tunnel is up, though nobody started it" eventually 120 client_is established
check "the device key is still usable in the TPM" tre_is ready
check "the journal of this boot has the call flow" journal_has ikeclient "^established "
check "the HeNB reaches the core, IPv4 and IPv6" core_answers
