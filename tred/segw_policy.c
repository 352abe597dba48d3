/* Which profile and which CRLs are configured, and have the CRLs changed? */
#include "tred/segw_policy.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

int segw_profile_load(const char *name, PeerProfile *ret, char *error)
{
    if (strcmp(name, SEGW_PROFILE_3GPP) == 0) {
        *ret = peer_profile_3gpp();
        return 0;
    }
    return peer_profile_read(name, ret, error);
}

int segw_policy_read(const TredConfig *config, SegwPolicy *ret, char *error)
{
    SegwPolicy policy = {
        .revocation = (RevocationMode)config->revocation,
        .crl_directory = config->crl_directory,
    };
    int r;

    r = segw_profile_load(config->segw_profile, &policy.profile, error);
    if (r < 0)
        return r;
    r = crl_store_init(&policy.crls);
    if (r < 0)
        return r;
    segw_policy_refresh(&policy);
    *ret = policy;
    return 0;
}

void segw_policy_deinit(SegwPolicy *policy)
{
    crl_store_deinit(&policy->crls);
    *policy = (SegwPolicy){0};
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

void segw_policy_refresh(SegwPolicy *policy)
{
    char error[CRLS_ERROR_SIZE] = "";
    CrlStore fresh;
    struct stat status;

    if (policy->revocation == REVOCATION_OFF)
        return;
    if (stat(policy->crl_directory, &status) < 0) {
        status.st_mtim = (struct timespec){0};
        if (errno != ENOENT) {
            log_warning("%s: %s. CRLs that were there are not used.", policy->crl_directory,
                        strerror(errno));
        }
    }
    if (is_same_time(&status.st_mtim, &policy->crls_changed) || crl_store_init(&fresh) < 0)
        return;
    if (status.st_mtim.tv_sec != 0 &&
        (crl_store_read(&fresh, policy->crl_directory, error) < 0 || error[0] != '\0'))
        log_warning("A CRL is left out. %s", error);
    crl_store_deinit(&policy->crls);
    policy->crls = fresh;
    policy->crls_changed = status.st_mtim;
    log_info("%d CRL(s) from %s.", sk_X509_CRL_num(fresh.crls), policy->crl_directory);
}
