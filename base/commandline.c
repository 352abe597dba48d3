/* Answers --version and --help, and refuses what is no option. */
#include "base/commandline.h"

#include "base/standard.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
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

int commandline_helper(const CommandLine *line, int argc, char **argv, int channel)
{
    static const struct option options[] = {
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct stat status;

    int option = getopt_long(argc, argv, "h", options, NULL);
    if (option != -1)
        return standard_finish(line->program, commandline_other(line, option));
    int r = commandline_end(line, argc, argv);
    if (r != COMMANDLINE_GO_ON)
        return r;
    if (fstat(channel, &status) < 0 || !S_ISSOCK(status.st_mode)) {
        (void)fprintf(stderr, "%s: descriptor %d is no socket; tred starts this program\n",
                      line->program, channel);
        return EX_USAGE;
    }
    return COMMANDLINE_GO_ON;
}
