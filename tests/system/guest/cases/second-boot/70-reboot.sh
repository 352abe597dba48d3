# shellcheck shell=bash
# Does the tunnel come back by itself after a reboot?

check "the tunnel is up, though nobody started it" eventually 120 client_is established
# PCRs start anew: the state that the vendor signed for at the factory is the one that fits again.
check "the device key is still usable in the TPM" tre_is ready
check "the TPM still guards the anchors" tre_shows AnchorsGuarded true
check "the journal of this boot has the call flow" journal_has ikeclient "^established "
check "the HeNB reaches the core, IPv4 and IPv6" core_answers
