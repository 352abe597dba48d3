/* trectl check-peer: whether tred would take this certificate from a SeGW. The files are read here;
 * the judgement is peer_judge()'s, as in VerifyPeer; it is shown as lines or as JSON. */
#include "base/file.h"
#include "base/program.h"
#include "base/reason.h"
#include "crypto/memory.h"
#include "crypto/openssl.h"
#include "trectl/check_peer_options.h"
#include "trectl/commands.h"
#include "tred/config.h"
#include "tred/verifier.h"
#include "verify/certificates.h"
#include "verify/peer.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

static const char *const words[] = {
    [PEER_CHECK_NOT_REACHED] = "not reached",
    [PEER_CHECK_PASSED] = "pass",
    [PEER_CHECK_FAILED] = "FAIL",
    [PEER_CHECK_SKIPPED] = "not asked",
};

/* The names of JSON: stable, for programs. */
static const char *const results[] = {
    [PEER_CHECK_NOT_REACHED] = "not-reached",
    [PEER_CHECK_PASSED] = "passed",
    [PEER_CHECK_FAILED] = "failed",
    [PEER_CHECK_SKIPPED] = "skipped",
};

static void check_print(const PeerCheck *check)
{
    (void)printf("%-12s %-24s %s\n", words[check->state], check->name, check->clause);
    if (check->state == PEER_CHECK_PASSED && check->note[0] != '\0')
        (void)printf("    rests on:    %s\n", check->note);
    if (check->state != PEER_CHECK_FAILED)
        return;
    if (check->subject[0] != '\0')
        (void)printf("    certificate: %s\n", check->subject);
    (void)printf("    field:       %s\n    found:       %s\n    expected:    %s\n", check->field,
                 check->found, check->expected);
}

static void report_print(const PeerReport *report)
{
    Reason sentence;

    for (size_t i = 0; i < report->n_checks; i++)
        check_print(&report->checks[i]);
    if (!report->refusal) {
        (void)puts("\nAccepted");
        return;
    }
    peer_check_sentence(report->refusal, &sentence);
    (void)printf("\nRefused. %s\n", sentence.text);
}

static bool text_add(json_object *object, const char *key, const char *text)
{
    return text[0] == '\0' ||
           json_object_object_add(object, key, json_object_new_string(text)) == 0;
}

static json_object *check_to_json(const PeerCheck *check)
{
    json_object *object = json_object_new_object();
    Reason sentence;
    bool good;

    if (!object)
        return NULL;
    good = text_add(object, "name", check->name) && text_add(object, "clause", check->clause) &&
           text_add(object, "result", results[check->state]) &&
           text_add(object, "note", check->state == PEER_CHECK_PASSED ? check->note : "");
    if (good && check->state == PEER_CHECK_FAILED) {
        peer_check_sentence(check, &sentence);
        good = text_add(object, "certificate", check->subject) &&
               text_add(object, "field", check->field) && text_add(object, "found", check->found) &&
               text_add(object, "expected", check->expected) &&
               text_add(object, "sentence", sentence.text);
    }
    if (good)
        return object;
    json_object_put(object);
    return NULL;
}

static int json_fill(const PeerReport *report, json_object *object)
{
    json_object *checks = json_object_new_array();

    if (!checks)
        return -ENOMEM;
    (void)json_object_object_add(object, "accepted", json_object_new_boolean(!report->refusal));
    if (report->refusal) {
        (void)text_add(object, "refusal", report->refusal->name);
    } else {
        (void)json_object_object_add(object, "expires", json_object_new_int64(report->expires));
    }
    (void)json_object_object_add(object, "checks", checks);
    for (size_t i = 0; i < report->n_checks; i++) {
        json_object *check = check_to_json(&report->checks[i]);

        if (!check || json_object_array_add(checks, check) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* Each check in order, then the verdict. 0, or -ENOMEM. */
static int judgement_print(const PeerReport *report, bool json)
{
    json_object *object;
    int r;

    if (!json) {
        report_print(report);
        return 0;
    }
    object = json_object_new_object();
    if (!object)
        return -ENOMEM;
    r = json_fill(report, object);
    if (r == 0) {
        (void)puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
                                                              JSON_C_TO_STRING_NOSLASHESCAPE));
    }
    json_object_put(object);
    return r;
}
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
        r = judgement_print(&report, options->json);
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

static int run(const CheckPeerOptions *options, Reason *reason)
{
    _cleanup_(inputs_deinit) Inputs inputs = {0};
    int r = inputs_load(options, &inputs, reason);

    return r < 0 ? r : judge(&inputs, options);
}

/* As JSON, why there is no judgement: {"error": …}. */
static void problem_print(const Reason *reason)
{
    json_object *object = json_object_new_object();

    if (object && text_add(object, "error", reason->text)) {
        (void)puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
                                                              JSON_C_TO_STRING_NOSLASHESCAPE));
    }
    json_object_put(object);
}

int check_peer_main(int argc, char **argv)
{
    CheckPeerOptions options = {0};
    Reason reason = {0};
    int r = memory_watch();

    if (r == 0) {
        r = check_peer_options_read(argc, argv, &options);
        if (r != COMMANDLINE_GO_ON)
            return r;
        r = run(&options, &reason);
    }
    if (r >= 0)
        return r;
    if (reason.text[0] == '\0')
        reason_set(&reason, r, "%s", strerror(-r));
    (void)fprintf(stderr, "trectl check-peer: %s\n", reason.text);
    if (options.json)
        problem_print(&reason);
    return COULD_NOT_JUDGE;
}
