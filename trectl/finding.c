/* How is a finding shown? */
#include "trectl/finding.h"

#include <stdarg.h>
#include <stdio.h>

void findings_add(Findings *findings, FindingVerdict verdict, const char *name, const char *format,
                  ...)
{
    static const char *const words[] = {
        [FINDING_OK] = "ok", [FINDING_WARNING] = "warning", [FINDING_PROBLEM] = "problem"};
    va_list arguments;

    (void)printf("%-8s %s: ", words[verdict], name);
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    (void)putchar('\n');
    findings->n_warnings += verdict == FINDING_WARNING;
    findings->n_problems += verdict == FINDING_PROBLEM;
}
