# shellcheck shell=bash
# Is the HeNB left as an installer leaves it, to start by itself?

check "ikeclient is enabled" systemctl enable ikeclient
