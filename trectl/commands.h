/* The commands of trectl. Each is given its own arguments, argv[0] its name, and returns the exit
 * status. */
#pragma once

/* 0 the tunnel is up, 1 it is not. */
int status_main(int argc, char **argv);
int watch_main(int argc, char **argv);

/* 0 done, or with --wait that there is a tunnel, or none any more; 1 with --wait: there is no
 * tunnel, and why is said; 69 ikeclient does not run; 77 only root may. */
int up_main(int argc, char **argv);
int down_main(int argc, char **argv);

/* 0, 1 there is no exchange yet, 69 ikeclient does not run, 73 the file can't be written. */
int flow_main(int argc, char **argv);

/* 0, 69 the bus can't be reached, 73 the file can't be written. */
int metrics_main(int argc, char **argv);

/* Follows ikeclient until SIGTERM or SIGINT: 0, 69 the bus can't be reached or is gone, 78 the
 * configuration can't be used. */
int dns_main(int argc, char **argv);

/* Runs every check and prints the findings: 0 nothing stands in the way, 1 something does,
 * 64 wrong usage. */
int doctor_main(int argc, char **argv);

/* Makes the checks of VerifyPeer on files and prints each: 0 accepted, 1 refused, 2 if it could not
 * judge (usage, a file that can't be used). */
int check_peer_main(int argc, char **argv);
