/* The step "anchors": are the SeGW's root certificates that the profile names the ones that are
 * installed? */
#include "provisioning/step.h"

#include "crypto/openssl.h"
#include "policy/certificates.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool same_certificates(const STACK_OF(X509) *a, const STACK_OF(X509) *b)
{
    if (sk_X509_num(a) != sk_X509_num(b))
        return false;
    for (int i = 0; i < sk_X509_num(a); i++) {
        if (X509_cmp(sk_X509_value(a, i), sk_X509_value(b, i)) != 0)
            return false;
    }
    return true;
}

int step_anchors_check(Provision *provision, char *note)
{
    const ProvisionOptions *options = provision->options;
    _cleanup_(certificates_freep) STACK_OF(X509) *wanted = NULL;
    _cleanup_(certificates_freep) STACK_OF(X509) *there = NULL;
    _cleanup_(free_charp) char *path = NULL;
    char error[CERTIFICATES_ERROR_SIZE] = "";
    int r;

    r = certificates_read(options->profile->anchors, &wanted, error);
    if (r < 0) {
        complain("%s", error);
        return r;
    }
    (void)snprintf(note, STEP_NOTE_SIZE, "%d of %.200s", sk_X509_num(wanted),
                   options->profile->anchors);
    r = state_path(options, STATE_ANCHORS, &path);
    if (r < 0)
        return r;
    if (certificates_read(path, &there, error) < 0 || !same_certificates(wanted, there))
        return 0;
    r = state_give(options, STATE_ANCHORS);
    return r < 0 ? r : 1;
}

int step_anchors_install(Provision *provision, char *note)
{
    ProvisionOptions options = *provision->options;

    (void)note;
    options.file = options.profile->anchors;
    return provision_install_anchors(&options);
}
