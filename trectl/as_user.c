/* Runs a check as another user, to find what that one would. */
#include "trectl/as_user.h"

#include "base/cleanup.h"
#include "base/signals.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FAILED_TO_BECOME = 125 };

/* Group first: without root's rights it can't be changed any more. */
static int become(const struct passwd *user)
{
    if (initgroups(user->pw_name, user->pw_gid) < 0 ||
        setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0)
        return -errno;
    return 0;
}

static int child_wait(pid_t child)
{
    int status;

    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    if (!WIFEXITED(status))
        return -ECHILD;
    return WEXITSTATUS(status) == FAILED_TO_BECOME ? -EPERM : WEXITSTATUS(status);
}

/* Keeps two capabilities over the change of user, which takes all others away, and passes
 * tred-net's on to the programs that are started. */
static int become_service(const struct passwd *user)
{
    const unsigned kept = CAP_TO_MASK(CAP_NET_ADMIN) | CAP_TO_MASK(CAP_IPC_LOCK);
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
        {.effective = kept, .permitted = kept, .inheritable = CAP_TO_MASK(CAP_NET_ADMIN)}};
    int r;

    if (unshare(CLONE_NEWNET) < 0 || prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return -errno;
    r = become(user);
    if (r == 0 && (syscall(SYS_capset, &header, data) < 0 ||
                   prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0) < 0))
        r = -errno;
    return r;
}

static int run(const struct passwd *user, int (*enter)(const struct passwd *user),
               int (*function)(void *userdata), void *userdata)
{
    const pid_t parent = getpid();
    sigset_t before;
    pid_t child;

    if (geteuid() != 0)
        return -EPERM;
    (void)fflush(stdout);
    child = fork();
    if (child < 0)
        return -errno;
    if (child == 0) {
        int r = enter(user) < 0 ? FAILED_TO_BECOME : 0;

        /* It ends with us, but nothing is left in the TPM's slots. A change of user has undone what
         * was set before. */
        signals_hold(&before);
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (r == 0 && getppid() == parent)
            r = function(userdata);
        (void)fflush(stdout);
        _exit(r);
    }
    return child_wait(child);
}

int as_user_run(const char *user, int (*function)(void *userdata), void *userdata)
{
    const struct passwd *entry = getpwnam(user);

    if (!entry)
        return -ENOENT;
    if (entry->pw_uid == geteuid()) {
        _cleanup_(signals_releasep) sigset_t before;

        signals_hold(&before);
        return function(userdata);
    }
    return run(entry, become, function, userdata);
}

int as_service_run(const char *user, int (*function)(void *userdata), void *userdata)
{
    const struct passwd *entry = getpwnam(user);

    return entry ? run(entry, become_service, function, userdata) : -ENOENT;
}
