/* trectl doctor, and what it finds. */
#pragma once

typedef enum FindingVerdict {
    FINDING_OK,
    FINDING_WARNING, /* works, but not as it should */
    FINDING_PROBLEM, /* stands between this machine and a working TrE */
} FindingVerdict;

/* Counts what has been printed. */
typedef struct Findings {
    unsigned n_warnings;
    unsigned n_problems;
} Findings;

/* Prints "ok|warning|problem  NAME: text" on standard output, and counts it. */
void findings_add(Findings *findings, FindingVerdict verdict, const char *name, const char *format,
                  ...) __attribute__((format(printf, 4, 5)));

/* Runs every check and prints the findings. Returns the exit status: 0 nothing stands in the way, 1
 * something does, 2 for wrong usage. */
int doctor_main(int argc, char **argv);
