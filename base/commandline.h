/* A command line by the table of its options: how these are read, what --help says of them, and one
 * form of error. */
#pragma once

typedef struct CommandOption {
    const char *name;     /* "config"; NULL ends the table */
    const char *argument; /* "FILE"; NULL: it takes none */
    int value;            /* what it is told by; if that is a letter, this is its short form */
    const char *help;     /* "tred's configuration" */
} CommandOption;

typedef struct CommandLine {
    const char *program;          /* "tred"; "trectl status" for a command of a program */
    const char *usage;            /* what --help prints before the table */
    const CommandOption *options; /* NULL: --help and --version are all */
    const char *more;             /* what --help prints after the table; NULL: nothing */
} CommandLine;

enum { COMMANDLINE_GO_ON = -1 };

/* An option of the table was given; `argument` is argv's or NULL. Returns 0, or an exit status that
 * ends the program, having said why on standard error. */
typedef int (*CommandOptionTaken)(int value, const char *argument, void *userdata);

/* Reads the options of the table, and --help (-h), and --version where `program` is one word, in
 * any order. Arguments that are no options are left from argv[optind] on. Returns
 * COMMANDLINE_GO_ON, or the exit status. */
int commandline_read(const CommandLine *line, int argc, char **argv, CommandOptionTaken taken,
                     void *userdata);

/* Where the name of a command is in argv, as options may stand before it: the first argument that
 * is neither an option of the table nor an option's value; argc where there is none. What is wrong
 * is left for commandline_read() to find. */
int commandline_command(const CommandLine *line, int argc, char **argv);

/* Says on standard error what is wrong with the command line, and who knows better:
 * "trectl status: --colour is no option; see trectl status --help". Returns EX_USAGE. */
int commandline_error(const CommandLine *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* After commandline_read(), for a program that takes no arguments: COMMANDLINE_GO_ON, or the exit
 * status where an argument is left, which is named on standard error. */
int commandline_end(const CommandLine *line, int argc, char **argv);

/* The command line of a helper, which takes nothing else, and is started by tred alone, with a
 * socket as descriptor `channel`. Returns COMMANDLINE_GO_ON where it was, or the exit status,
 * having said what it has to. */
int commandline_helper(const CommandLine *line, int argc, char **argv, int channel);
