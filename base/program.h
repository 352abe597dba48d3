/* What a program of ours does at its beginning and its end: reads its command line by the table of
 * its options (how these are read, what --help says of them, one form of error), opens its standard
 * streams, gives back memory that it needs no more, and says by its exit status how it went. */
#pragma once

#include <stdbool.h>
#include <sysexits.h>

/* ---- the command line ---- */

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
    bool arguments;               /* it takes some that are no options */
} CommandLine;

enum { COMMANDLINE_GO_ON = -1 };

/* An option of the table was given; `argument` is argv's or NULL. Returns 0, or an exit status that
 * ends the program, having said why on standard error. */
typedef int (*CommandOptionTaken)(int value, const char *argument, void *userdata);

/* Reads the options of the table, and --help (-h), and --version where `program` is one word, in
 * any order; an argument that is no option is refused, or left from argv[optind] on where it takes
 * such. Returns COMMANDLINE_GO_ON, or the exit status, having said why on standard error. */
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

/* The command line of a helper, which takes nothing else, and is started by tred alone, with a
 * socket as descriptor `channel`. Returns COMMANDLINE_GO_ON where it was, or the exit status,
 * having said what it has to. */
int commandline_helper(const CommandLine *line, int argc, char **argv, int channel);

/* ---- standard input, output and error ---- */

/* Opens those of the three that are closed, so that no file that the program opens gets their
 * numbers, and what is printed ends up in it. What stands in for them can't be read or written.
 * First of all in main(); ends the program with EX_OSERR where /dev/null can't be opened. */
void standard_open(void);

/* Last of all in main(): returns `status`, or EX_IOERR, having said why on standard error, if what
 * was printed did not get where it was to go (a full disk, a closed descriptor). */
int standard_finish(const char *program, int status);

/* ---- memory ---- */

/* Gives back what is not needed for now: heap that is free again, and pages of code and constants,
 * of the program and its libraries, unless they are locked. What is needed of these again comes
 * back by itself. To be called when there is time (base/rest.h, base/rest_poll.h). Fails at
 * nothing; calls madvise(), brk() and munmap() alone. */
void memory_give_back(void);

/* How long to have done nothing before that: longer than the first pauses between an attempt to
 * connect and the next, which are not to fetch again what was given back a moment ago; far shorter
 * than a tunnel is up. */
enum { MEMORY_REST_MS = 3000 };

/* After mlockall(): unlocks the code and constants of what is loaded. They hold no secret, and the
 * kernel has them in files. */
void memory_unlock_code(void);

/* Locks what this process has and will have, but for code and constants, where no limit is in the
 * way: else a line says that it is not. A process that will give CAP_IPC_LOCK up does so before:
 * once it is gone what is locked counts against the limit, and allocations fail.
 * Keys live in the secure heap, which is locked by itself; this is for what libraries copy to stack
 * and heap. */
void memory_lock_all(void);

/* ---- the exit status ---- */

/* One convention for all programs: that of sysexits.h, and 1 where the program did its work and the
 * answer is no. */

/* EX_OK for 0 or more; for a negative errno
 *   EX_NOPERM       the right is missing: -EACCES, -EPERM
 *   EX_OSERR        memory, descriptors, room on the disk: -ENOMEM, -EMFILE, -ENFILE, -ENOSPC
 *   EX_UNAVAILABLE  something that others provide is not there, or others have it: -ENODEV, -ENXIO,
 *                   -ENOTCONN, -ECONNREFUSED, -ECONNRESET, -ETIMEDOUT, -EBUSY, -EEXIST, -EADDRINUSE
 *   `other`         any other */
int exit_status(int r, int other);

/* Of a program that can't read its configuration: EX_OSERR for -ENOMEM, -EMFILE and -ENFILE, which
 * have passed when systemd starts it anew; EX_CONFIG for all else, with which it does not. */
int config_status(int r);
