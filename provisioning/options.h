/* The command line of tre-provision: options that every command takes, and those of its own. */
#pragma once

#include "provisioning/command.h"

typedef struct Command {
    const char *name;
    const char *argument;  /* what follows the name, for messages: "one file"; NULL for nothing */
    bool several;          /* one or more of them */
    unsigned exactly;      /* so many of them; 0: one, or `several` */
    bool optional;         /* one of them, or none */
    const char *options;   /* letters of the options that are this command's own */
    const char *mandatory; /* those that it can't do without */
    bool fleet;            /* it is about many devices: each fills in the profile's patterns */
    int (*run)(const ProvisionOptions *options);
} Command;

/* What the command line says, and what stands behind it: the profile, and texts made of it. */
typedef struct ProvisionCommandLine {
    const Command *command; /* NULL where help or the version was asked for, and printed */
    ProvisionOptions options;
    const char *profile_path; /* or NULL */
    bool owner_given;
    ProvisionProfile profile;
    char *state_dir, *fqdn; /* made of the profile's patterns */
} ProvisionCommandLine;

/* Reads the command line by the table of `count` commands; `usage` prints the help. 0, or -EINVAL
 * after a complaint. In any case command_line_deinit() it. */
int command_line_read(int argc, char **argv, const Command *commands, size_t count,
                      void (*usage)(FILE *stream), ProvisionCommandLine *ret);
void command_line_deinit(ProvisionCommandLine *line);

/* Reads the profile that it names, and gives what neither says its default. 0, or -errno after a
 * complaint. */
int command_line_complete(ProvisionCommandLine *line);

/* A user by name, or by number if the system does not know it. 0, or -EINVAL after a complaint. */
int owner_parse(const char *text, uid_t *ret_user, gid_t *ret_group);
