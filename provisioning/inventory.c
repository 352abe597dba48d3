/* tre-provision status: shows what is there, as a list to people and as JSON to programs; verify
 * shows what it finds by the same list. Whether it fits together is for verify. */
#include "provisioning/inventory.h"

#include "base/reason.h"
#include "crypto/openssl.h"
#include "policy/anchorguard.h"
#include "policy/devicekey.h"
#include "policy/encoding.h"
#include "policy/lastknowntime.h"
#include "provisioning/command.h"
#include "provisioning/devicefiles.h"
#include "provisioning/devicetpm.h"
#include "provisioning/json.h"
#include "tpm/storagekey.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

Item *inventory_add(Inventory *inventory, const char *name, const char *state)
{
    assert(inventory->count < INVENTORY_ITEMS);
    Item *item = &inventory->items[inventory->count++];

    *item = (Item){.name = name, .state = state};
    return item;
}

void item_field(Item *item, const char *key, const char *format, ...)
{
    va_list arguments;

    assert(item->count < ITEM_FIELDS);
    item->fields[item->count].key = key;
    va_start(arguments, format);
    (void)vsnprintf(item->fields[item->count].value, FIELD_SIZE, format, arguments);
    va_end(arguments);
    item->count++;
}

static bool tells_of_error(const ItemField *field)
{
    const size_t size = strlen(field->key), end = strlen(INVENTORY_ERROR);

    return size >= end && strcmp(field->key + size - end, INVENTORY_ERROR) == 0;
}

/* True if the state of an item is INVENTORY_ERROR, or one of its particulars tells of an error
 * ("policy-error"). */
static bool inventory_has_error(const Inventory *inventory)
{
    for (unsigned i = 0; i < inventory->count; i++) {
        const Item *item = &inventory->items[i];

        if (strcmp(item->state, INVENTORY_ERROR) == 0)
            return true;
        for (unsigned j = 0; j < item->count; j++) {
            if (tells_of_error(&item->fields[j]))
                return true;
        }
    }
    return false;
}

void inventory_print(const Inventory *inventory, FILE *stream)
{
    for (unsigned i = 0; i < inventory->count; i++) {
        const Item *item = &inventory->items[i];

        (void)fprintf(stream, "%-18s %-8s", item->name, item->state);
        for (unsigned j = 0; j < item->count; j++) {
            (void)fprintf(stream, "%s%s: %s", j > 0 ? ", " : "  ", item->fields[j].key,
                          item->fields[j].value);
        }
        (void)fputc('\n', stream);
    }
}

static bool item_add(struct json_object *all, const Item *item)
{
    struct json_object *object = json_object_new_object();
    bool good = json_add(all, item->name, object) && json_add_string(object, "state", item->state);

    for (unsigned i = 0; good && i < item->count; i++)
        good = json_add_string(object, item->fields[i].key, item->fields[i].value);
    return good;
}

int inventory_print_json(const Inventory *inventory, FILE *stream)
{
    _cleanup_(json_freep) struct json_object *all = json_object_new_object();
    bool good = all != NULL;

    for (unsigned i = 0; good && i < inventory->count; i++)
        good = item_add(all, &inventory->items[i]);
    if (!good)
        return -ENOMEM;
    (void)fprintf(stream, "%s\n",
                  json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN |
                                                          JSON_C_TO_STRING_NOSLASHESCAPE));
    return 0;
}

enum { SUBJECT_SIZE = 160, DATE_SIZE = 32 };

static const char there[] = "there";
static const char absent[] = "absent";
static const char unreadable[] = INVENTORY_ERROR;

static const char *presence(int r)
{
    return r == 0 ? there : r == -ENOENT ? absent : unreadable;
}

/* An item for a file; true if there is more to tell about it. */
static Item *file_item(Inventory *inventory, const char *name, int r, const char *error)
{
    Item *item = inventory_add(inventory, name, presence(r));

    if (r < 0 && r != -ENOENT)
        item_field(item, "error", "%s", error);
    return item;
}

static void date_print(time_t time, char *ret)
{
    struct tm tm;

    if (!gmtime_r(&time, &tm) || strftime(ret, DATE_SIZE, "%Y-%m-%d", &tm) == 0)
        (void)snprintf(ret, DATE_SIZE, "?");
}

/* What stands in the TPM's NV memory for the anchors and the time. */
static void nv_items(Inventory *inventory, Tpm *tpm)
{
    char digest[2 * ANCHOR_DIGEST_SIZE + 1];
    Reason reason = {0};
    char date[DATE_SIZE];
    AnchorGuard guard;
    time_t known = 0;
    int r = anchor_guard_read(tpm, &guard, &reason);
    Item *item = file_item(inventory, "anchor-guard", r, reason.text);

    if (r == 0 && guard.written) {
        hex_encode(BYTES_OF(guard.record.digest), digest);
        item_field(item, "version", "%llu", (unsigned long long)guard.record.version);
        item_field(item, "sha256", "%s", digest);
    }
    r = last_known_time_read(tpm, &known, &reason);
    item = file_item(inventory, "last-known-time", r, reason.text);
    if (r == 0) {
        date_print(known, date);
        item_field(item, "day", "%s", date);
    }
}

static void owner_auth_item(Inventory *inventory, Tpm *tpm)
{
    Reason reason = {0};
    bool locked = false;

    if (anchor_guard_is_locked(tpm, &locked, &reason) < 0) {
        item_field(inventory_add(inventory, "owner-auth", unreadable), "error", "%s", reason.text);
    } else {
        (void)inventory_add(inventory, "owner-auth", locked ? "set" : "empty");
    }
}

static void tpm_items(Inventory *inventory, const ProvisionOptions *options)
{
    _cleanup_(tpm_closep) Tpm *tpm = NULL;
    Reason reason = {0};
    TpmObject srk = {0};
    TpmFacts facts;
    Item *item;
    int r;

    r = provision_tpm_open(options->tcti, NULL, &tpm, &reason);
    if (r == 0)
        r = tpm_facts_read(tpm, &facts, &reason);
    item = inventory_add(inventory, "tpm", r == 0 ? there : unreadable);
    if (r < 0) {
        item_field(item, "error", "%s", reason.text);
        return;
    }
    item_field(item, "manufacturer", "%s", facts.manufacturer);
    item_field(item, "firmware", "%u.%u.%u.%u", facts.firmware_major >> 16,
               facts.firmware_major & 0xffff, facts.firmware_minor >> 16,
               facts.firmware_minor & 0xffff);
    item_field(item, "persistent-free", "%u", facts.persistent_free);
    r = tpm_srk_open(tpm, false, &srk, &reason);
    tpm_object_release(tpm, &srk);
    item = file_item(inventory, "storage-root-key", r, reason.text);
    if (r == 0)
        item_field(item, "handle", "0x%08x", TPM_SRK_HANDLE);
    nv_items(inventory, tpm);
    owner_auth_item(inventory, tpm);
}

/* Read off the key: PolicyAuthorize and PolicyPCR both look like a digest, so the files beside it
 * have to tell which (device_policy_read()). */
static void policy_field(Item *item, const ProvisionOptions *options, const Tss2Key *key)
{
    _cleanup_(key_policy_freep) KeyPolicy *policy = NULL;
    Reason reason = {0};

    if (device_policy_read(options, key, &policy, &reason) < 0) {
        item_field(item, "policy-error", "%s", reason.text);
    } else {
        item_field(item, "policy", "%s", key_policy_kind_name(policy->kind));
    }
}

static void key_item(Inventory *inventory, const ProvisionOptions *options,
                     const DeviceFiles *files)
{
    Item *item = file_item(inventory, "device-key", files->key_r, files->key_reason.text);
    const TPMT_PUBLIC *area = &files->key.public.publicArea;
    char name[KEY_NAME_HEX_SIZE] = "";
    TpmKeyAlgorithm algorithm;

    if (files->key_r < 0)
        return;
    item_field(item, "algorithm", "%s",
               device_key_algorithm_of(area, &algorithm) < 0 ? "unknown"
                                                             : tpm_key_algorithm_name(algorithm));
    policy_field(item, options, &files->key);
    if (key_name_hex(&files->key.public, name) == 0)
        item_field(item, "name", "%s", name);
}

static void asn1_date_print(const ASN1_TIME *time, char *ret)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(time, &tm) != 1 || strftime(ret, DATE_SIZE, "%Y-%m-%d", &tm) == 0)
        (void)snprintf(ret, DATE_SIZE, "?");
}

static void certificate_item(Inventory *inventory, const DeviceFiles *files)
{
    Item *item =
        file_item(inventory, "certificate", files->certificates_r, files->certificates_reason.text);
    const X509 *certificate = sk_X509_value(files->certificates, 0);
    char fqdn[FQDN_SIZE_MAX] = "none";
    char serial[CERTIFICATE_SERIAL_SIZE];
    char issuer[SUBJECT_SIZE] = "";
    char date[DATE_SIZE];

    if (!certificate)
        return;
    (void)certificate_fqdn(certificate, fqdn);
    certificate_serial_hex(certificate, serial);
    certificate_issuer(certificate, issuer, sizeof(issuer));
    asn1_date_print(X509_get0_notAfter(certificate), date);
    item_field(item, "fqdn", "%s", fqdn);
    item_field(item, "serial", "%s", serial);
    item_field(item, "issuer", "%s", issuer);
    item_field(item, "valid-until", "%s", date);
}

static void anchors_item(Inventory *inventory, const DeviceFiles *files)
{
    Item *item = file_item(inventory, "anchors", files->anchors_r, files->anchors_reason.text);

    if (files->anchors_r == 0)
        item_field(item, "count", "%d", sk_X509_num(files->anchors));
}

int provision_status(const ProvisionOptions *options)
{
    _cleanup_(device_files_deinit) DeviceFiles files = {0};
    _cleanup_(inventory_freep) Inventory *inventory = calloc(1, sizeof(*inventory));
    int r = inventory ? device_files_read(options, &files) : -ENOMEM;

    if (r < 0) {
        complain("out of memory");
        return r;
    }
    tpm_items(inventory, options);
    key_item(inventory, options, &files);
    (void)file_item(inventory, "csr", files.csr_r, files.csr_reason.text);
    certificate_item(inventory, &files);
    anchors_item(inventory, &files);
    if (!options->json) {
        inventory_print(inventory, stdout);
    } else if (inventory_print_json(inventory, stdout) < 0) {
        return -ENOMEM;
    }
    return inventory_has_error(inventory) ? -EINVAL : 0;
}
