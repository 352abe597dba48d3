/* Answers --version and --help, and refuses what is no option. */
#include "base/commandline.h"

#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

int commandline_other(const CommandLine *line, int option)
{
    switch (option) {
    case 'v':
        (void)printf("%s " TRED_VERSION "\n", line->program);
        return EX_OK;
    case 'h':
        (void)fputs(line->usage, stdout);
        return EX_OK;
    default:
        return EX_USAGE;
    }
}

int commandline_end(const CommandLine *line, int argc, char **argv)
{
    if (optind >= argc)
        return COMMANDLINE_GO_ON;
    (void)fprintf(stderr, "%s: unexpected argument \"%s\"; see %s --help\n", line->program,
                  argv[optind], line->program);
    return EX_USAGE;
}
