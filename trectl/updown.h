/* trectl up and trectl down. */
#pragma once

/* Each returns the exit status: 0 done, or with --wait that there is a tunnel, or none any more; 1
 * with --wait: there is no tunnel, and why is said; 69 ikeclient does not run; 77 only root may. */
int up_main(int argc, char **argv);
int down_main(int argc, char **argv);
