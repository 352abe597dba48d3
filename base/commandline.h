/* What the daemons' and helpers' command lines have in common: --version, --help, and nothing but
 * options. */
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

/* The command line of a helper, which takes nothing else, and is started by tred alone, with a
 * socket as descriptor `channel`. Returns COMMANDLINE_GO_ON where it was, or the exit status,
 * having said what it has to. */
int commandline_helper(const CommandLine *line, int argc, char **argv, int channel);
