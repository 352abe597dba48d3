/* Are the users there that the services run as? */
#include "trectl/check.h"

#include "base/cleanup.h"

#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <string.h>

#define REMEDY "Run systemd-sysusers, which reads sysusers.d/tred.conf"

static void user_check(Findings *findings, const char *name, const char *duty)
{
    if (getpwnam(name)) {
        findings_add(findings, FINDING_OK, "user", "%s, %s", name, duty);
    } else {
        findings_add(findings, FINDING_PROBLEM, "user", "There is no user %s, %s. " REMEDY, name,
                     duty);
    }
}

static bool group_has(const struct group *group, const struct passwd *user)
{
    if (user->pw_gid == group->gr_gid)
        return true;
    for (char **member = group->gr_mem; *member; member++) {
        if (strcmp(*member, user->pw_name) == 0)
            return true;
    }
    return false;
}

/* /dev/tpmrm0 belongs to group tss. */
static void tpm_group_check(Findings *findings)
{
    const struct passwd *tred = getpwnam("tred");
    const struct group *tss = getgrnam("tss");

    if (!tss) {
        findings_add(findings, FINDING_PROBLEM, "group",
                     "There is no group tss, which the TPM's device belongs to. Install tpm-udev, "
                     "or: groupadd --system tss");
    } else if (tred && !group_has(tss, tred)) {
        findings_add(findings, FINDING_PROBLEM, "group",
                     "User tred is not in group tss, which the TPM's device belongs to. Run: "
                     "usermod -aG tss tred");
    } else if (tred) {
        findings_add(findings, FINDING_OK, "group", "tss has tred in it");
    }
}

void check_users(Findings *findings)
{
    user_check(findings, "tred", "whom the TrE runs as");
    user_check(findings, "henb-ike", "whom the IKE client runs as");
    tpm_group_check(findings);
}
