/* tre-provision read-pcrs, sign-policy and install-policy: platform states, from the reference
 * device by way of the vendor into the field; and the values that somebody noted down. */
#include "provisioning/policyfile.h"

#include "base/file.h"
#include "base/file_write.h"
#include "base/reason.h"
#include "policy/encoding.h"
#include "policy/keypolicy.h"
#include "policy/tss2key.h"
#include "provisioning/command.h"
#include "provisioning/devicefiles.h"
#include "provisioning/pcrsignature_file.h"
#include "tpm/open.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINE_SIZE = 160 };

__attribute__((format(printf, 4, 5))) static int refuse(Reason *reason, const char *name,
                                                        size_t line, const char *format, ...)
{
    Reason what;
    va_list arguments;

    va_start(arguments, format);
    reason_set_v(&what, 0, format, arguments);
    va_end(arguments);
    return reason_set(reason, -EINVAL, "%.200s, line %zu: %s", name, line, what.text);
}

/* The next line without its end and the white space around it; false at the end of the text. */
static bool text_line_next(Reader *reader, char *ret)
{
    size_t size = 0;
    uint8_t octet;

    if (reader_left(reader) == 0)
        return false;
    while (reader_u8(reader, &octet) == 0 && octet != '\n') {
        if (size < LINE_SIZE - 1 && (size > 0 || !isspace(octet)))
            ret[size++] = (char)octet;
    }
    while (size > 0 && isspace((unsigned char)ret[size - 1]))
        size--;
    ret[size] = '\0';
    return true;
}

/* "sha256:" */
static int bank_take(char *line, PcrState *state)
{
    line[strlen(line) - 1] = '\0';
    if (state->bank != 0)
        return -EEXIST;
    return pcr_bank_from_name(line, &state->bank);
}

/* "7 : 0x…", or "7 = …" */
static int value_take(const char *line, PcrState *state)
{
    char number[8] = "", separator = 0, value[2 * PCR_VALUE_MAX + 3] = "";
    const char *digits = value;
    uint32_t mask = 0;
    unsigned pcr;
    int end = 0;

    if (sscanf(line, "%7[0-9] %c %98s%n", number, &separator, value, &end) != 3 ||
        line[end] != '\0' || (separator != ':' && separator != '=') ||
        pcr_mask_parse(number, &mask) < 0)
        return -EINVAL;
    pcr = (unsigned)__builtin_ctz(mask);
    if (strncasecmp(digits, "0x", 2) == 0)
        digits += 2;
    if (state->mask & mask ||
        hex_decode(digits, state->values[pcr], pcr_value_size(state->bank)) < 0)
        return -EINVAL;
    state->mask |= mask;
    return 0;
}

int pcr_text_parse(Bytes text, const char *name, PcrState *ret, Reason *reason)
{
    PcrState state = {0};
    char line[LINE_SIZE];
    size_t number = 0;
    Reader reader;

    reader_init(&reader, text);
    while (text_line_next(&reader, line)) {
        number++;
        if (line[0] == '\0' || line[0] == '#')
            continue;
        if (line[strlen(line) - 1] == ':') {
            int r = bank_take(line, &state);

            if (r == -EEXIST)
                return refuse(reason, name, number, "a second bank; a policy looks at one");
            if (r < 0)
                return refuse(reason, name, number, "'%.20s' is not sha256 or sha384", line);
        } else if (state.bank == 0) {
            return refuse(reason, name, number, "a bank, 'sha256:' or 'sha384:', comes first");
        } else if (value_take(line, &state) < 0) {
            return refuse(reason, name, number,
                          "'%.40s' is not a PCR from 0 to 23 that was not named before, and its "
                          "value in hexadecimal, as in '7 : 0x...'",
                          line);
        }
    }
    if (state.mask == 0)
        return refuse(reason, name, number, "there is no value in it");
    *ret = state;
    return 0;
}

enum { FILE_SIZE_MAX = 256 * 1024 };

static void states_freep(PcrSignatures **states)
{
    free(*states);
}

static int file_take(const char *path, uint8_t **ret, size_t *ret_size)
{
    int r = file_read(path, FILE_SIZE_MAX, ret, ret_size);

    if (r < 0)
        complain("%s can't be read: %s", path, strerror(-r));
    return r;
}

/* To the file that --output names, or to standard output. */
static int states_put(const ProvisionOptions *options, const PcrSignatures *states)
{
    _cleanup_(free_charp) char *json = NULL;
    int r = pcr_signatures_json_encode(states, &json);

    if (r < 0) {
        complain("out of memory");
        return r;
    }
    if (!options->output)
        return fputs(json, stdout) < 0 ? -EIO : 0;
    r = file_write_atomic(options->output, (Bytes){(const uint8_t *)json, strlen(json)}, 0644);
    if (r < 0)
        complain("%s can't be written: %s", options->output, strerror(-r));
    return r;
}

int provision_read_pcrs(const ProvisionOptions *options)
{
    _cleanup_(tpm_closep) Tpm *tpm = NULL;
    _cleanup_(states_freep) PcrSignatures *states = calloc(1, sizeof(*states));
    PcrState now = {.bank = options->bank, .mask = options->pcrs};
    Reason reason = {"out of memory"};
    int r = states ? tpm_open(options->tcti, &tpm, &reason) : -ENOMEM;

    if (r == 0)
        r = pcr_read(tpm, &now, &reason);
    if (r == 0)
        r = pcr_signature_make(&now, NULL, &states->entries[0]);
    if (r < 0) {
        complain("%s", reason.text);
        return r;
    }
    states->count = 1;
    return states_put(options, states);
}

/* The states of one file: JSON as read-pcrs and systemd-measure write it, or what tpm2_pcrread
 * printed. */
static int states_read(const char *path, PcrSignatures **ret)
{
    _cleanup_(free_bytesp) uint8_t *text = NULL;
    Reason reason = {"out of memory"};
    PcrState state;
    size_t size = 0;
    int r = file_take(path, &text, &size);

    if (r < 0)
        return r;
    if (size > 0 && text[strspn((const char *)text, " \t\r\n")] == '{') {
        r = pcr_signatures_json_decode((Bytes){text, size}, path, ret, &reason);
    } else {
        r = pcr_text_parse((Bytes){text, size}, path, &state, &reason);
        *ret = r == 0 ? calloc(1, sizeof(**ret)) : NULL;
        if (r == 0 && !*ret)
            r = -ENOMEM;
        if (r == 0)
            r = pcr_signature_make(&state, NULL, &(*ret)->entries[(*ret)->count++]);
    }
    if (r < 0)
        complain("%s", reason.text);
    return r;
}

/* A signature by hand is over what a person can read: an entry without values can't be judged. */
static int state_sign(const char *path, const PcrSignature *state, const PolicyKey *key,
                      PcrSignatures *to)
{
    PcrSignature entry;
    int r;

    if (!state->has_expected) {
        complain("%s: a state without the values that are expected can't be looked at before it is "
                 "signed; take them with 'tre-provision read-pcrs' or tpm2_pcrread(1)",
                 path);
        return -EINVAL;
    }
    r = pcr_signature_make(&state->expected, key, &entry);
    if (r < 0) {
        complain("the state can't be signed: %s", strerror(-r));
        return r;
    }
    r = pcr_signatures_add(to, &entry);
    if (r < 0) {
        complain("at most %d states fit into a file; leave out those that no device is in any more",
                 PCR_SIGNATURES_MAX);
    }
    return r;
}

static int file_sign(const char *path, const PolicyKey *key, PcrSignatures *to)
{
    _cleanup_(states_freep) PcrSignatures *from = NULL;
    int r = states_read(path, &from);

    for (size_t i = 0; r == 0 && i < from->count; i++)
        r = state_sign(path, &from->entries[i], key, to);
    return r;
}

/* What the output holds already stays in it: old and new firmware stand side by side. */
static int output_read(const ProvisionOptions *options, PcrSignatures **ret)
{
    Reason reason = {"out of memory"};
    int r = options->output ? pcr_signatures_json_read(options->output, ret, &reason) : -ENOENT;

    if (r == -ENOENT) {
        *ret = calloc(1, sizeof(**ret));
        r = *ret ? 0 : -ENOMEM;
    }
    if (r < 0)
        complain("%s", reason.text);
    return r;
}

int provision_sign_policy(const ProvisionOptions *options)
{
    _cleanup_(policy_key_deinit) PolicyKey key = {0};
    _cleanup_(states_freep) PcrSignatures *states = NULL;
    Reason reason = {0};
    int r = policy_key_read(options->key, true, &key, &reason);

    if (r < 0) {
        complain("%s", reason.text);
        return r;
    }
    r = output_read(options, &states);
    for (unsigned i = 0; r == 0 && i < options->n_files; i++)
        r = file_sign(options->files[i], &key, states);
    return r < 0 ? r : states_put(options, states);
}

/* Does the file belong to the device's key? Judged as tred would, with the file in its place. */
static int policy_fits(const ProvisionOptions *options, PcrSignatures **states)
{
    _cleanup_(key_policy_freep) KeyPolicy *policy = NULL;
    _cleanup_(free_charp) char *key_path = NULL;
    _cleanup_(free_charp) char *vendor_path = NULL;
    Reason reason = {0};
    Tss2Key key;
    int r;

    r = state_path(options, STATE_KEY, &key_path);
    if (r == 0)
        r = state_path(options, STATE_POLICY_KEY, &vendor_path);
    if (r < 0)
        return r;
    r = tss2key_read(key_path, &key, &reason);
    if (r == 0) {
        r = key_policy_from_states(&key.public.publicArea, vendor_path, states, options->file,
                                   &policy, &reason);
    }
    if (r < 0) {
        complain("%s; nothing was changed", reason.text);
        return r;
    }
    if (!policy || policy->kind == KEY_POLICY_NONE) {
        complain("the device key is under no policy, so there is nothing to install one for");
        return -EINVAL;
    }
    (void)printf("%zu platform state(s) approved of for this device's key\n",
                 policy->states->count);
    return 0;
}

int provision_install_policy(const ProvisionOptions *options)
{
    _cleanup_(states_freep) PcrSignatures *states = NULL;
    _cleanup_(close_fdp) int lock = -1;
    _cleanup_(free_charp) char *text = NULL;
    Reason reason = {"out of memory"};
    int r = pcr_signatures_json_read(options->file, &states, &reason);

    if (r == 0)
        r = pcr_signatures_encode(states, &text);
    if (r < 0 || !text) {
        complain("%s", reason.text);
        return r;
    }
    r = policy_fits(options, &states);
    if (r == 0)
        r = state_lock(options, &lock);
    if (r == 0) {
        r = state_write(options, STATE_PCR_SIGNATURES, (Bytes){(const uint8_t *)text, strlen(text)},
                        0644);
    }
    return r < 0 ? r : tred_reload();
}
