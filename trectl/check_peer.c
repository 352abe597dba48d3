/* Would tred take this certificate from a SeGW? The files are read here; the judgement is
 * peer_judge()'s, as in VerifyPeer. */
#include "trectl/check_peer.h"

#include "base/file.h"
#include "base/reason.h"
#include "crypto/openssl.h"
#include "trectl/check_peer_options.h"
#include "trectl/check_peer_print.h"
#include "tred/config.h"
#include "tred/verifier.h"
#include "verify/certificates.h"
#include "verify/memory.h"
#include "verify/peer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum { ACCEPTED = EX_OK, REFUSED = 1, COULD_NOT_JUDGE = EX_DATAERR };

/* One more than is judged, so that too many are found to be too many. */
enum { CERTIFICATES_SHOWN = PEER_CERTIFICATES_MAX + 1, OCSP_SHOWN = PEER_OCSP_MAX + 1 };

typedef struct Octets {
    unsigned char *data;
    size_t size;
} Octets;

/* All that a judgement needs, and owns. */
typedef struct Inputs {
    TredConfig config;
    PeerProfile profile;
    AnchorStore *anchors;
    CrlStore crls;
    RevocationMode revocation;
    const char *name;
    size_t n_certificates, n_ocsp;
    Octets certificates[CERTIFICATES_SHOWN];
    Octets ocsp[OCSP_SHOWN];
} Inputs;

static void inputs_deinit(Inputs *inputs)
{
    for (size_t i = 0; i < inputs->n_certificates; i++)
        OPENSSL_free(inputs->certificates[i].data);
    for (size_t i = 0; i < inputs->n_ocsp; i++)
        free(inputs->ocsp[i].data);
    anchor_store_unref(inputs->anchors);
    crl_store_deinit(&inputs->crls);
    tred_config_deinit(&inputs->config);
}

static int certificates_add(Inputs *inputs, const char *path, Reason *reason)
{
    _cleanup_(certificates_freep) STACK_OF(X509) *certificates = NULL;
    int r = certificates_read(path, &certificates, reason);

    if (r < 0)
        return r;
    for (int i = 0; i < sk_X509_num(certificates); i++) {
        Octets *octets = &inputs->certificates[inputs->n_certificates];
        int size;

        if (inputs->n_certificates == CERTIFICATES_SHOWN)
            return 0;
        size = i2d_X509(sk_X509_value(certificates, i), &octets->data);
        if (size <= 0)
            return -ENOMEM;
        octets->size = (size_t)size;
        inputs->n_certificates++;
    }
    return 0;
}

static int ocsp_add(Inputs *inputs, const char *path, Reason *reason)
{
    Octets *octets = &inputs->ocsp[inputs->n_ocsp];
    int r;

    if (inputs->n_ocsp == OCSP_SHOWN)
        return 0;
    r = file_read(path, (size_t)2 * PEER_EVIDENCE_SIZE_MAX, &octets->data, &octets->size);
    if (r < 0)
        return reason_set(reason, r, "%.400s: can't be read: %s", path, strerror(-r));
    inputs->n_ocsp++;
    return 0;
}

/* As in tred: a list that can't be read is not passed over. */
static int crls_add(Inputs *inputs, const char *path, Reason *reason)
{
    const int r = crl_store_read(&inputs->crls, path, reason);

    return r == 0 && reason->text[0] != '\0' ? -EINVAL : r;
}

static int evidence_load(const CheckPeerOptions *options, Inputs *inputs, Reason *reason)
{
    int r;

    r = certificates_add(inputs, options->certificate, reason);
    for (size_t i = 0; r == 0 && i < options->n_chains; i++)
        r = certificates_add(inputs, options->chains[i], reason);
    for (size_t i = 0; r == 0 && i < options->n_ocsp; i++)
        r = ocsp_add(inputs, options->ocsp[i], reason);
    for (size_t i = 0; r == 0 && i < options->n_crls; i++)
        r = crls_add(inputs, options->crls[i], reason);
    return r;
}

/* With --anchors, nothing is taken from the configuration; without, what no option says. */
static int config_load(const CheckPeerOptions *options, Inputs *inputs, Reason *reason)
{
    int r;

    inputs->revocation =
        options->n_crls + options->n_ocsp > 0 ? REVOCATION_REQUIRE : REVOCATION_IF_AVAILABLE;
    if (options->anchors)
        return 0;
    r = tred_config_read(options->config, &inputs->config, reason);
    if (r < 0)
        return r;
    inputs->name = inputs->config.segw_name;
    inputs->revocation = (RevocationMode)inputs->config.revocation;
    r = crls_add(inputs, inputs->config.crl_directory, reason);
    return r == -ENOENT ? 0 : r;
}

static int revocation_read(const char *name, RevocationMode *ret, Reason *reason)
{
    for (unsigned i = 0; revocation_modes[i]; i++) {
        if (strcmp(name, revocation_modes[i]) == 0) {
            *ret = (RevocationMode)i;
            return 0;
        }
    }
    return reason_set(reason, -EINVAL, "--revocation is off, if-available or require");
}

static int profile_load(const char *name, PeerProfile *ret, Reason *reason)
{
    if (strcmp(name, SEGW_PROFILE_3GPP) == 0) {
        *ret = peer_profile_3gpp();
        return 0;
    }
    return peer_profile_read(name, ret, reason);
}

static int policy_load(const CheckPeerOptions *options, Inputs *inputs, Reason *reason)
{
    const char *anchors = options->anchors ? options->anchors : inputs->config.anchors;
    const char *profile = options->profile              ? options->profile
                          : inputs->config.segw_profile ? inputs->config.segw_profile
                                                        : SEGW_PROFILE_3GPP;
    int r;

    if (options->name)
        inputs->name = options->name;
    if (options->revocation) {
        r = revocation_read(options->revocation, &inputs->revocation, reason);
        if (r < 0)
            return r;
    }
    r = profile_load(profile, &inputs->profile, reason);
    return r < 0 ? r : anchor_store_read(anchors, &inputs->anchors, reason);
}

static void views(const Octets *octets, size_t count, Bytes *ret)
{
    for (size_t i = 0; i < count; i++)
        ret[i] = (Bytes){octets[i].data, octets[i].size};
}

/* ACCEPTED, REFUSED, or -errno. */
static int judge(const Inputs *inputs, const CheckPeerOptions *options)
{
    Bytes certificates[CERTIFICATES_SHOWN], ocsp[OCSP_SHOWN];
    const PeerPolicy policy = {
        .anchors = inputs->anchors,
        .profile = &inputs->profile,
        .crls = &inputs->crls,
        .revocation = inputs->revocation,
        .segw_name = inputs->name,
    };
    const PeerEvidence evidence = {
        .certificates = certificates,
        .n_certificates = inputs->n_certificates,
        .ocsp = ocsp,
        .n_ocsp = inputs->n_ocsp,
        .now = options->time,
    };
    PeerReport report;
    int r, status;

    views(inputs->certificates, inputs->n_certificates, certificates);
    views(inputs->ocsp, inputs->n_ocsp, ocsp);
    r = peer_judge(&policy, &evidence, &report);
    status = report.refusal ? REFUSED : ACCEPTED;
    if (r == 0)
        r = check_peer_print(&report, options->json);
    peer_report_deinit(&report);
    return r < 0 ? r : status;
}

/* What is read for want of memory is called damaged, or nothing. */
static int inputs_load(const CheckPeerOptions *options, Inputs *inputs, Reason *reason)
{
    memory_watch_begin();
    int r = crl_store_init(&inputs->crls);
    if (r == 0)
        r = config_load(options, inputs, reason);
    if (r == 0)
        r = evidence_load(options, inputs, reason);
    if (r == 0)
        r = policy_load(options, inputs, reason);
    return memory_ran_out() ? reason_set(reason, -ENOMEM, "%s", strerror(ENOMEM)) : r;
}

static int run(int argc, char **argv, CheckPeerOptions *options, Reason *reason)
{
    _cleanup_(inputs_deinit) Inputs inputs = {0};
    int r = memory_watch();

    if (r == 0)
        r = check_peer_options_read(argc, argv, options, reason);
    options->misused = r == -EINVAL;
    if (r == 0 && options->help) {
        check_peer_usage();
        return ACCEPTED;
    }
    if (r == 0)
        r = inputs_load(options, &inputs, reason);
    return r < 0 ? r : judge(&inputs, options);
}

int check_peer_main(int argc, char **argv)
{
    CheckPeerOptions options = {0};
    Reason reason = {0};
    const int r = run(argc, argv, &options, &reason);

    if (r >= 0)
        return r;
    if (reason.text[0] == '\0')
        (void)reason_set(&reason, r, "%s", strerror(-r));
    (void)fprintf(stderr, "trectl check-peer: %s\n", reason.text);
    if (options.json)
        check_peer_print_problem(&reason);
    return options.misused ? EX_USAGE : COULD_NOT_JUDGE;
}
