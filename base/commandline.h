/* What the daemons' command lines have in common: --version, --help, and nothing but options. */
#pragma once

typedef struct CommandLine {
    const char *program; /* "tred" */
    const char *usage;   /* what --help prints */
} CommandLine;

enum { COMMANDLINE_GO_ON = -1 };

/* What getopt_long() gave that is no option of the program's own: 'v' and 'h' print version and
 * usage; anything else is an error, which getopt_long() has told. Returns the exit status. */
int commandline_other(const CommandLine *line, int option);

/* After getopt_long() is through: COMMANDLINE_GO_ON, or the exit status where an argument is left,
 * which is named on standard error. */
int commandline_end(const CommandLine *line, int argc, char **argv);
