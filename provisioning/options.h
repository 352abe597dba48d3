/* The command line of tre-provision: options that every command takes, and those of its own. */
#pragma once

#include "base/program.h"
#include "provisioning/command.h"

typedef struct Command {
    const char *name;
    const char *synopsis;  /* what follows the name, for its usage; NULL for nothing */
    const char *summary;   /* a line of the program's help, and the first of the command's */
    const char *more;      /* the next lines of that; NULL: none */
    const char *argument;  /* what follows the name, for messages: "one file"; NULL for nothing */
    bool several;          /* one or more of them */
    unsigned exactly;      /* so many of them; 0: one, or `several` */
    bool optional;         /* one of them, or none */
    const char *options;   /* letters of the options that are this command's own */
    const char *mandatory; /* those that it can't do without */
    bool fleet;            /* it is about many devices: each fills in the profile's patterns */
    int (*check)(const char *argument); /* complains of one that there is not; NULL: it is a file */
    int (*run)(const ProvisionOptions *options);
} Command;

/* What the command line says, and what stands behind it: the profile, and texts made of it. */
typedef struct ProvisionCommandLine {
    const Command *command;
    ProvisionOptions options;
    const char *profile_path; /* or NULL */
    bool owner_given;
    ProvisionProfile profile;
    char *state_dir, *fqdn; /* made of the profile's patterns */
} ProvisionCommandLine;

/* Reads the command line by the table of `count` commands. COMMANDLINE_GO_ON, or the exit status
 * where all has been said. In any case command_line_deinit() it. */
int command_line_read(int argc, char **argv, const Command *commands, size_t count,
                      ProvisionCommandLine *ret);
void command_line_deinit(ProvisionCommandLine *line);

/* Reads the profile that it names, and gives what neither says its default. 0, or -errno after a
 * complaint. */
int command_line_complete(ProvisionCommandLine *line);
