/* trectl check-peer: tred's own verdict on a SeGW's certificate, without a handshake. */
#pragma once

/* Makes the checks of VerifyPeer on files and prints each. Returns the exit status: 0 accepted, 1
 * refused, 2 if it could not judge (usage, a file that can't be used). */
int check_peer_main(int argc, char **argv);
