/* What every method and property on the bus is made of: which calls are taken, how arguments are
 * read, how a call is answered or refused, and which changes are announced. */
#include "tred/bus_call.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- refusals: the name of each on the bus, and what it tells a person ---- */

#define ERROR_PREFIX "org.tred.TrE1.Error."

typedef struct ErrorText {
    const char *name;
    const char *sentence; /* for when the refusal has nothing more exact to say */
} ErrorText;

static const ErrorText texts[BUS_ERRORS] = {
    [EXCHANGE_E_WRONG_STATE] =
        {ERROR_PREFIX "WrongState",
         "The exchange does not take this call in its state. Follow the order of the call flow"},
    [EXCHANGE_E_GROUP_NOT_SUPPORTED] =
        {ERROR_PREFIX "GroupNotSupported",
         "The group is not in the profile. Use one that tred(8) lists"},
    [EXCHANGE_E_MALFORMED] =
        {ERROR_PREFIX "Malformed",
         "What was handed in does not parse. Hand in what came from the network, whole"},
    [EXCHANGE_E_FOREIGN_REQUEST] =
        {ERROR_PREFIX "ForeignRequest",
         "The request is not this exchange's own. Hand in the last one sent, as it was sent"},
    [EXCHANGE_E_FOREIGN_RESPONSE] =
        {ERROR_PREFIX "ForeignResponse",
         "The response does not answer this exchange. Wait for another"},
    [EXCHANGE_E_SUITE_NOT_ALLOWED] =
        {ERROR_PREFIX "SuiteNotAllowed",
         "The suite is not in the profile. Offer and configure suites that tred(8) lists"},
    [EXCHANGE_E_BAD_KEY_EXCHANGE] =
        {ERROR_PREFIX "BadKeyExchange",
         "The peer's KE does not fit the group. Wait for another response"},
    [EXCHANGE_E_METHOD_NOT_ALLOWED] =
        {ERROR_PREFIX "MethodNotAllowed",
         "The authentication method is not in the profile. Use signatures with SHA-256 or better"},
    [EXCHANGE_E_TPM_FAILED] = {ERROR_PREFIX "TpmFailed",
                               "The TPM did not do what it was asked for. See tred's log"},
    [EXCHANGE_E_INTEGRITY_FAILED] =
        {ERROR_PREFIX "IntegrityFailed",
         "The TPM withholds the device key. Read the Manager's StateReason"},
    [EXCHANGE_E_NOT_AUTHENTIC] = {ERROR_PREFIX "NotAuthentic",
                                  "The message's integrity check failed. Ignore it"},
    [EXCHANGE_E_REPLAYED] = {ERROR_PREFIX "Replayed",
                             "The message was seen before or is not due yet. Ignore it"},
    [EXCHANGE_E_UNEXPECTED] = {ERROR_PREFIX "Unexpected",
                               "The message has no place in this state. Ignore it"},
    [EXCHANGE_E_REQUEST_PENDING] =
        {ERROR_PREFIX "RequestPending",
         "The last request has not been answered yet. Wait for its response"},
    [EXCHANGE_E_TOO_LARGE] = {ERROR_PREFIX "TooLarge", "The message is too large. Send less"},
    [EXCHANGE_E_PEER_NOT_TRUSTED] =
        {ERROR_PREFIX "PeerNotTrusted",
         "The SeGW's certificate leads to none of the anchors. Check both"},
    [EXCHANGE_E_PEER_CERTIFICATE_EXPIRED] =
        {ERROR_PREFIX "PeerCertificateExpired",
         "A certificate of the SeGW's has expired. Have it renewed, or check the clock"},
    [EXCHANGE_E_PEER_CERTIFICATE_NOT_YET_VALID] =
        {ERROR_PREFIX "PeerCertificateNotYetValid",
         "A certificate of the SeGW's is not valid yet. Check the clock"},
    [EXCHANGE_E_PEER_CERTIFICATE_UNFIT] =
        {ERROR_PREFIX "PeerCertificateUnfit",
         "A certificate of the SeGW's does not fit the profile. Have another issued"},
    [EXCHANGE_E_PEER_IDENTITY_MISMATCH] = {ERROR_PREFIX "PeerIdentityMismatch",
                                           "The SeGW is not the one that is configured. Check "
                                           "[segw] name and the SeGW's certificate"},
    [EXCHANGE_E_PEER_REVOKED] = {ERROR_PREFIX "PeerRevoked",
                                 "A certificate of the SeGW's is revoked. Give it a new one"},
    [EXCHANGE_E_PEER_REVOCATION_UNKNOWN] =
        {ERROR_PREFIX "PeerRevocationUnknown",
         "Nothing says whether the SeGW's certificate is revoked. Provide its CA's CRL"},
    [EXCHANGE_E_PEER_AUTH_FAILED] =
        {ERROR_PREFIX "PeerAuthFailed",
         "The SeGW's AUTH is wrong. Whoever answered does not have the certificate's key"},
    [EXCHANGE_E_VERIFIER_FAILED] =
        {ERROR_PREFIX "VerifierFailed",
         "The SeGW is refused, as nobody could judge it. See tred's log"},
    [EXCHANGE_E_CHILD_NOT_GRANTED] = {ERROR_PREFIX "ChildNotGranted",
                                      "IKE_AUTH did not negotiate this Child SA. See the SeGW's "
                                      "log"},
    [EXCHANGE_E_ADDRESS_NOT_ALLOWED] =
        {ERROR_PREFIX "AddressNotAllowed",
         "The SeGW assigned an address that no tunnel of this device may have. Check its pool"},
    [EXCHANGE_E_SELECTORS_NOT_ALLOWED] =
        {ERROR_PREFIX "SelectorsNotAllowed",
         "The traffic selectors are outside the policy. Narrow them"},
    [EXCHANGE_E_DATA_PLANE_FAILED] = {ERROR_PREFIX "DataPlaneFailed",
                                      "The data plane can't carry this Child SA. See tred's log"},
    [EXCHANGE_E_NO_SUCH_CHILD] =
        {ERROR_PREFIX "NoSuchChild",
         "This exchange has no such inbound SPI. Use one from AllocateSpi"},
    [EXCHANGE_E_TOO_MANY_CHILDREN] =
        {ERROR_PREFIX "TooManyChildren",
         "The exchange holds too many SPIs. Give one back with RemoveChild"},
    [EXCHANGE_E_OUT_OF_RESOURCES] =
        {ERROR_PREFIX "OutOfResources",
         "There is no descriptor or memory left for this now. Make the call again later"},
    [EXCHANGE_E_KEYS_USED] = {ERROR_PREFIX "KeysUsed",
                              "The Child SA's keys were used already. Negotiate another"},
    [EXCHANGE_E_NO_SUCH_IKE_SA] =
        {ERROR_PREFIX "NoSuchIkeSa",
         "No IKE SA was negotiated under this SPI. Use the one from PrepareCreateChildSa"},
    [EXCHANGE_E_MOBIKE_NOT_SUPPORTED] =
        {ERROR_PREFIX "MobikeNotSupported",
         "The SeGW did not say that it supports MOBIKE. Authenticate anew from the new address"},
    [BUS_E_NOT_OWNER] =
        {ERROR_PREFIX "NotOwner",
         "Another connection began this exchange, and it alone may use it. Begin one of your own"},
    [BUS_E_TOO_MANY_EXCHANGES] = {ERROR_PREFIX "TooManyExchanges",
                                  "Too many exchanges are open. Close one first"},
    [BUS_E_BUSY] = {ERROR_PREFIX "Busy",
                    "This user's calls take more than their share of tred's time, or too many of "
                    "them wait. Make this one again later"},
    [BUS_E_UNPROVISIONED] = {ERROR_PREFIX "Unprovisioned",
                             "This device is not provisioned. Read the Manager's StateReason"},
    [BUS_E_ANCHORS_REFUSED] =
        {ERROR_PREFIX "AnchorsRefused",
         "The operator of this device did not approve of these anchors. Get the bundle and its "
         "approval again"},
    [BUS_E_ANCHORS_OUTDATED] = {ERROR_PREFIX "AnchorsOutdated",
                                "The TPM holds newer anchors. Get the operator's newest bundle"},
    [BUS_E_NO_SUCH_SEGW] =
        {ERROR_PREFIX "NoSuchSegw",
         "tred.conf has no such SeGW. Use a NAME of its [segw NAME], or add one"},
    [BUS_E_TPM_UNAVAILABLE] = {ERROR_PREFIX "TpmUnavailable",
                               "The TPM can't be used. Read the Manager's StateReason"},
};

const char *bus_error_name(int error)
{
    return (size_t)error < ELEMENTS(texts) ? texts[error].name : NULL; /* 0 has none */
}

int bus_error_set(sd_bus_error *ret, int error, const char *reason)
{
    if (error < 0)
        return sd_bus_error_set_errno(ret, error);
    if (!bus_error_name(error))
        return sd_bus_error_set_errno(ret, -EIO);
    return sd_bus_error_set(ret, texts[error].name,
                            reason && reason[0] != '\0' ? reason : texts[error].sentence);
}

int bus_error_of_identity(IdentityState state)
{
    switch (state) {
    case IDENTITY_UNPROVISIONED:
        return BUS_E_UNPROVISIONED;
    case IDENTITY_INTEGRITY_FAILED:
        return EXCHANGE_E_INTEGRITY_FAILED;
    default:
        return BUS_E_TPM_UNAVAILABLE;
    }
}

/* ---- calls ---- */

static bool gives_back(sd_bus_message *call)
{
    static const char *const members[] = {"Close", "RemoveChild"};

    for (size_t i = 0; i < ELEMENTS(members); i++) {
        if (sd_bus_message_is_method_call(call, BUS_EXCHANGE_INTERFACE, members[i]) > 0)
            return true;
    }
    return false;
}

int bus_admit_filter(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    (void)userdata, (void)error;
    return sd_bus_message_is_method_call(call, NULL, NULL) > 0 &&
           sd_bus_message_get_expect_reply(call) == 0 && !gives_back(call);
}

const char *call_sender(sd_bus_message *call)
{
    sd_bus *bus = sd_bus_message_get_bus(call);
    const char *name = sd_bus_message_get_sender(call);

    if (sd_bus_is_bus_client(bus) <= 0 && sd_bus_get_description(bus, &name) < 0)
        name = "";
    return name ? name : "";
}

int bus_read(sd_bus_message *call, const char *types, ...)
{
    va_list arguments;
    int r = 0;

    va_start(arguments, types);
    for (; *types != '\0' && r >= 0; types++) {
        if (*types == BUS_OCTETS) {
            Bytes *ret = va_arg(arguments, Bytes *);
            const void *data = NULL;

            r = sd_bus_message_read_array(call, 'y', &data, &ret->size);
            ret->data = data;
        } else {
            r = sd_bus_message_read_basic(call, *types, va_arg(arguments, void *));
        }
    }
    va_end(arguments);
    return r < 0 ? r : 0;
}

int bus_append_list(sd_bus_message *reply, BusOctetsList list)
{
    int r = sd_bus_message_open_container(reply, 'a', "ay");

    for (size_t i = 0; r >= 0 && i < list.count; i++)
        r = sd_bus_message_append_array(reply, 'y', list.items[i].data, list.items[i].size);
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_one(sd_bus_message *reply, char type, va_list *values)
{
    const char types[] = {type, '\0'};
    uint64_t number;
    Bytes octets;

    switch (type) {
    case BUS_OCTETS:
        octets = va_arg(*values, Bytes);
        return sd_bus_message_append_array(reply, 'y', octets.data, octets.size);
    case BUS_OCTETS_LIST:
        return bus_append_list(reply, va_arg(*values, BusOctetsList));
    case 's':
    case 'o':
        return sd_bus_message_append_basic(reply, type, va_arg(*values, const char *));
    case 't':
        number = va_arg(*values, uint64_t);
        return sd_bus_message_append_basic(reply, type, &number);
    default: /* what is an int, or becomes one where it is handed over */
        return sd_bus_message_append(reply, types, va_arg(*values, int));
    }
}

static int reply_send(sd_bus_message *call, const char *types, va_list *values)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    int r = sd_bus_message_new_method_return(call, &reply);

    for (; *types != '\0' && r >= 0; types++)
        r = append_one(reply, *types, values);
    if (r >= 0)
        r = sd_bus_message_send(reply);
    return r < 0 ? r : 0;
}

int bus_reply(sd_bus_message *call, const char *types, ...)
{
    va_list values;
    int r;

    va_start(values, types);
    r = reply_send(call, types, &values);
    va_end(values);
    return r;
}

static void answered(sd_bus_message *call, int r)
{
    if (r < 0) {
        log_warning("%s of %s could not be answered: %s", sd_bus_message_get_member(call),
                    call_sender(call), strerror(-r));
    }
}

void bus_answer(sd_bus_message *call, int error, const char *reason, const char *types, ...)
{
    _cleanup_(sd_bus_error_free) sd_bus_error failure = SD_BUS_ERROR_NULL;
    va_list values;

    if (error != 0) {
        (void)bus_error_set(&failure, error, reason);
        answered(call, sd_bus_reply_method_error(call, &failure));
        return;
    }
    va_start(values, types);
    answered(call, reply_send(call, types, &values));
    va_end(values);
}

void bus_answer_error(sd_bus_message *call, int r, const sd_bus_error *error)
{
    answered(call, sd_bus_error_is_set(error) ? sd_bus_reply_method_error(call, error)
                                              : sd_bus_reply_method_errno(call, r, NULL));
}

/* ---- properties ---- */

int bus_property_append(const BusProperty *properties, const char *name, sd_bus_message *reply,
                        const void *object)
{
    while (properties->name && strcmp(properties->name, name) != 0)
        properties++;
    return properties->name ? properties->append(reply, object) : -ENOENT;
}

/* A value of any type as sd-bus prints it. The message that it is written into is never sent. */
static int value_print(sd_bus *bus, const sd_bus_vtable *property, void *userdata, char **ret)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    const char *name = property->x.property.member;
    char *text = NULL;
    size_t size = 0;
    int r = sd_bus_message_new_signal(bus, &m, "/", "org.tred.Value", name);

    if (r >= 0)
        r = property->x.property.get(bus, "/", "org.tred.Value", name, m, userdata, NULL);
    if (r >= 0)
        r = sd_bus_message_seal(m, 1, 0);
    if (r < 0)
        return r;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return -ENOMEM;
    r = sd_bus_message_dump(m, stream, SD_BUS_MESSAGE_DUMP_SUBTREE_ONLY);
    if (fclose(stream) != 0)
        r = -ENOMEM;
    if (r < 0) {
        free(text);
        return r;
    }
    *ret = text;
    return 0;
}

/* True if it is another value than before. */
static bool value_note(char **value, char *now)
{
    if (*value && now && strcmp(*value, now) == 0) {
        free(now);
        return false;
    }
    free(*value);
    *value = now;
    return true;
}

size_t bus_announced_look(BusAnnounced *announced, sd_bus *bus, const sd_bus_vtable *vtable,
                          void *userdata, char **ret)
{
    size_t i = 0, n = 0;

    for (const sd_bus_vtable *entry = vtable; entry->type != _SD_BUS_VTABLE_END; entry++) {
        char *now = NULL;

        if (entry->type != _SD_BUS_VTABLE_PROPERTY || i == BUS_ANNOUNCED_MAX ||
            !(entry->flags & SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE))
            continue;
        (void)value_print(bus, entry, userdata, &now);
        if (value_note(&announced->values[i++], now)) {
            /* NOLINTNEXTLINE(performance-no-int-to-ptr): -Wcast-qual lets no const go otherwise */
            ret[n++] = (char *)(uintptr_t)entry->x.property.member;
        }
    }
    ret[n] = NULL;
    return n;
}

void bus_announced_deinit(BusAnnounced *announced)
{
    for (size_t i = 0; i < BUS_ANNOUNCED_MAX; i++)
        free(announced->values[i]);
    *announced = (BusAnnounced){0};
}
