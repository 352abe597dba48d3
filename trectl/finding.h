/* One thing that was looked at, as a person reads it: a line with its name, its verdict, and for a
 * problem what was found and what to do. */
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
