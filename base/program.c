/* Reads options by their table, answers --version and --help, and refuses what is no option; opens
 * standard streams that are closed, and says whether what was printed has arrived; locks memory and
 * gives it back; and has a status for each errno. */
#include "base/program.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <link.h>
#include <linux/capability.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

enum { OPTIONS_MAX = 32, NAME_WIDTH = 48 };

int commandline_error(const CommandLine *line, const char *format, ...)
{
    va_list arguments;

    (void)fprintf(stderr, "%s: ", line->program);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "; see %s --help\n", line->program);
    return EX_USAGE;
}

static bool is_letter(int value)
{
    return value > 0 && value < 128 && isalpha(value);
}

/* A program has a version, and a command of one does not. */
static bool has_version(const CommandLine *line)
{
    return strchr(line->program, ' ') == NULL;
}

/* "  -c, --config FILE" */
static int option_name(const CommandOption *option, char *ret)
{
    char letter[] = "-?, ";

    letter[1] = (char)option->value;
    return snprintf(ret, NAME_WIDTH, "  %s--%s%s%s", is_letter(option->value) ? letter : "    ",
                    option->name, option->argument ? " " : "",
                    option->argument ? option->argument : "");
}

static void option_print(const CommandOption *option, int width)
{
    char name[NAME_WIDTH];

    (void)option_name(option, name);
    (void)printf("%-*s  %s\n", width, name, option->help);
}

static const CommandOption *options_of(const CommandLine *line)
{
    static const CommandOption none = {NULL, NULL, 0, NULL};

    return line->options ? line->options : &none;
}

static int help_print(const CommandLine *line)
{
    static const CommandOption help = {"help", NULL, 'h', "print this and exit"};
    static const CommandOption version = {"version", NULL, 0, "print the version and exit"};
    char name[NAME_WIDTH];
    int width = option_name(has_version(line) ? &version : &help, name);

    (void)fputs(line->usage, stdout);
    (void)putchar('\n');
    for (const CommandOption *option = options_of(line); option->name; option++) {
        int length = option_name(option, name);
        width = length > width ? length : width;
    }
    for (const CommandOption *option = options_of(line); option->name; option++)
        option_print(option, width);
    option_print(&help, width);
    if (has_version(line))
        option_print(&version, width);
    if (line->more)
        (void)printf("\n%s", line->more);
    return EX_OK;
}

enum { VERSION = 1000 }; /* no table's value */

/* What getopt_long() wants to know: all options, and the letters among them. */
static void tables_fill(const CommandLine *line, struct option *options, char *letters)
{
    size_t n = 0;

    *letters++ = ':'; /* a missing argument is told from an unknown option */
    for (const CommandOption *option = options_of(line); option->name && n < OPTIONS_MAX;
         option++) {
        options[n++] = (struct option){
            option->name, option->argument ? required_argument : no_argument, NULL, option->value};
        if (!is_letter(option->value))
            continue;
        *letters++ = (char)option->value;
        if (option->argument)
            *letters++ = ':';
    }
    options[n++] = (struct option){"help", no_argument, NULL, 'h'};
    *letters++ = 'h';
    if (has_version(line))
        options[n++] = (struct option){"version", no_argument, NULL, VERSION};
    *letters = '\0';
    options[n] = (struct option){0};
}

int commandline_command(const CommandLine *line, int argc, char **argv)
{
    struct option options[OPTIONS_MAX + 3];
    char letters[2 * OPTIONS_MAX + 4] = "+"; /* up to the first that is none */

    tables_fill(line, options, letters + 1);
    opterr = 0;
    optind = 0;
    while (getopt_long(argc, argv, letters, options, NULL) != -1) {
    }
    return optind;
}

static int refuse(const CommandLine *line, int found, char **argv)
{
    const char *word = argv[optind - 1];
    char letter[] = "-?";

    if (word[0] != '-' || word[1] != '-') { /* a letter, perhaps of several in one word */
        letter[1] = (char)optopt;
        word = letter;
    }
    if (found == ':')
        return commandline_error(line, "%s needs a value", word);
    if (optopt != 0 && word != letter) /* it is known: what is wrong is "=value" */
        return commandline_error(line, "%s takes no value", word);
    return commandline_error(line, "%s is no option", word);
}

int commandline_read(const CommandLine *line, int argc, char **argv, CommandOptionTaken taken,
                     void *userdata)
{
    struct option options[OPTIONS_MAX + 3];
    char letters[2 * OPTIONS_MAX + 3];
    int found, r;

    tables_fill(line, options, letters);
    opterr = 0;
    optind = 0; /* glibc: begins anew, as a command's line is read after its program's */
    while ((found = getopt_long(argc, argv, letters, options, NULL)) != -1) {
        switch (found) {
        case 'h':
            return help_print(line);
        case VERSION:
            (void)printf("%s " TRED_VERSION "\n", line->program);
            return EX_OK;
        case '?':
        case ':':
            return refuse(line, found, argv);
        default:
            r = taken ? taken(found, optarg, userdata) : EX_USAGE; /* no table has one then */
            if (r != 0)
                return r;
        }
    }
    if (optind < argc && !line->arguments)
        return commandline_error(line, "unexpected argument \"%s\"", argv[optind]);
    return COMMANDLINE_GO_ON;
}

int commandline_helper(const CommandLine *line, int argc, char **argv, int channel)
{
    struct stat status;

    int r = commandline_read(line, argc, argv, NULL, NULL);
    if (r != COMMANDLINE_GO_ON)
        return standard_finish(line->program, r);
    if (fstat(channel, &status) < 0 || !S_ISSOCK(status.st_mode)) {
        (void)fprintf(stderr, "%s: descriptor %d is no socket; tred starts this program\n",
                      line->program, channel);
        return EX_USAGE;
    }
    return COMMANDLINE_GO_ON;
}

/* open() takes the lowest number that is free, so the three are taken in turn. */
void standard_open(void)
{
    static const int modes[] = {
        [STDIN_FILENO] = O_WRONLY, [STDOUT_FILENO] = O_RDONLY, [STDERR_FILENO] = O_RDONLY};

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) != fd)
            exit(EX_OSERR);
    }
}

int standard_finish(const char *program, int status)
{
    const int before = ferror(stdout);

    errno = 0;
    if (fflush(stdout) == 0 && before == 0)
        return status;
    (void)fprintf(stderr, "%s: standard output can't be written%s%s\n", program,
                  errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
    return EX_IOERR;
}

/* The pages of every segment that nobody may write to, and so are as they are in their file. What
 * the dynamic linker has written to and write-protected then (RELRO) is in segments that are
 * writable, and left alone. */
static int segments_each(struct dl_phdr_info *object, size_t size, void *userdata)
{
    void (*const *act)(void *start, size_t size) = userdata;
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    (void)size;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        const uintptr_t start = (object->dlpi_addr + segment->p_vaddr) / page * page;
        const uintptr_t end = object->dlpi_addr + segment->p_vaddr + segment->p_memsz;

        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_W) == 0) {
            /* NOLINTNEXTLINE(performance-no-int-to-ptr): the linker has addresses as numbers */
            (*act)((void *)start, end - start);
        }
    }
    return 0;
}

static void release(void *start, size_t size)
{
    (void)madvise(start, size, MADV_DONTNEED);
}

static void unlock(void *start, size_t size)
{
    (void)munlock(start, size);
}

void memory_give_back(void)
{
    void (*act)(void *, size_t) = release;

    (void)malloc_trim(0);
    (void)dl_iterate_phdr(segments_each, &act);
}

void memory_unlock_code(void)
{
    void (*act)(void *, size_t) = unlock;

    (void)dl_iterate_phdr(segments_each, &act);
}

static bool may_lock_all(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
    struct rlimit limit;

    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY)
        return true;
    return syscall(SYS_capget, &header, data) == 0 &&
           (data[0].effective & CAP_TO_MASK(CAP_IPC_LOCK)) != 0;
}

/* Asked for only where nothing limits it: under a limit, MCL_FUTURE makes later allocations fail.
 */
void memory_lock_all(void)
{
    if (!may_lock_all()) {
        log_warning(
            "Memory other than the keys' may be swapped out: set LimitMEMLOCK=infinity in the "
            "unit, or encrypt the swap space");
        return;
    }
    /* ONFAULT: what is never touched need not be in memory. */
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0) {
        log_warning("mlockall: %s. Memory other than the keys' may be swapped out",
                    strerror(errno));
    }
    memory_unlock_code();
}

int exit_status(int r, int other)
{
    switch (r < 0 ? -r : 0) {
    case 0:
        return EX_OK;
    case EACCES:
    case EPERM:
        return EX_NOPERM;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ENOSPC:
        return EX_OSERR;
    case ENODEV:
    case ENXIO:
    case ENOTCONN:
    case ECONNREFUSED:
    case ECONNRESET:
    case ETIMEDOUT:
    case EBUSY:
    case EEXIST:
    case EADDRINUSE:
        return EX_UNAVAILABLE;
    default:
        return other;
    }
}

int config_status(int r)
{
    return r == -ENOMEM || r == -EMFILE || r == -ENFILE ? EX_OSERR : EX_CONFIG;
}
