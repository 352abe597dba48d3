/* trectl doctor. */
#pragma once

/* Runs every check and prints the findings. Returns the exit status: 0 nothing stands in the way, 1
 * something does, 2 for wrong usage. */
int doctor_main(int argc, char **argv);
