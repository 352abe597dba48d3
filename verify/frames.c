/* Writes the frames that tred sends to tred-verify, and reads those that come back, of which it
 * believes nothing; the fields that both sides write and read; and a verdict in words. */
#include "verify/frames.h"

#include "base/cleanup.h"
#include "verify/frames_internal.h"

#include <errno.h>
#include <string.h>

enum { DELETE = 0x7f };

void frame_write_bytes(Writer *writer, Bytes bytes)
{
    writer_u32(writer, (uint32_t)bytes.size);
    writer_bytes(writer, bytes);
}

void frame_write_text(Writer *writer, const char *text)
{
    frame_write_bytes(writer, (Bytes){(const uint8_t *)text, strlen(text)});
}

void frame_write_list(Writer *writer, const Bytes *list, size_t count)
{
    writer_u8(writer, (uint8_t)count);
    for (size_t i = 0; i < count; i++)
        frame_write_bytes(writer, list[i]);
}

int frame_read_bytes(Reader *reader, size_t maximum, Bytes *ret)
{
    uint32_t size;

    if (reader_u32(reader, &size) < 0 || size > maximum)
        return -EBADMSG;
    return reader_take(reader, size, ret);
}

int frame_read_text(Reader *reader, char *ret, size_t size)
{
    Bytes text;

    if (frame_read_bytes(reader, size - 1, &text) < 0)
        return -EBADMSG;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < ' ' || text.data[i] == DELETE)
            return -EBADMSG;
    }
    bytes_copy((uint8_t *)ret, text);
    ret[text.size] = '\0';
    return 0;
}

int frame_read_list(Reader *reader, size_t count_max, Bytes *list, size_t *ret_count)
{
    uint8_t count;
    int r = reader_u8(reader, &count);

    if (r < 0 || count > count_max)
        return -EBADMSG;
    for (size_t i = 0; r == 0 && i < count; i++)
        r = frame_read_bytes(reader, FRAME_SIZE_MAX, &list[i]);
    *ret_count = count;
    return r;
}

int frame_read_time(Reader *reader, time_t *ret)
{
    uint64_t value;

    if (reader_u64(reader, &value) < 0 || value > INT64_MAX)
        return -EBADMSG;
    *ret = (time_t)value;
    return 0;
}

void frame_write_time(Writer *writer, time_t time)
{
    writer_u64(writer, time > 0 ? (uint64_t)time : 0);
}

int frame_read_path(Reader *reader, VerifyPath *ret)
{
    Bytes digest;

    if (reader_take(reader, VERIFY_PATH_SIZE, &digest) < 0)
        return -EBADMSG;
    memcpy(ret->digest, digest.data, VERIFY_PATH_SIZE);
    return 0;
}

bool verify_path_equal(const VerifyPath *a, const VerifyPath *b)
{
    static const VerifyPath none;

    return memcmp(a, b, sizeof(*a)) == 0 && memcmp(a, &none, sizeof(*a)) != 0;
}

int frame_read_enum(Reader *reader, unsigned end, unsigned *ret)
{
    uint8_t value;

    if (reader_u8(reader, &value) < 0 || value >= end)
        return -EBADMSG;
    *ret = value;
    return 0;
}

int frame_read_type(Reader *reader, FrameType *ret)
{
    unsigned value;

    if (frame_read_enum(reader, FRAME_TYPES, &value) < 0 || value == 0)
        return -EBADMSG;
    *ret = (FrameType)value;
    return 0;
}

static void peer_encode(Writer *writer, const VerifyRequest *request)
{
    frame_write_time(writer, request->now);
    writer_u8(writer, (uint8_t)request->revocation);
    frame_write_text(writer, request->segw_name);
    writer_u8(writer, (uint8_t)request->anchors.count);
    for (size_t i = 0; i < request->anchors.count; i++)
        writer_bytes(writer, BYTES_OF(request->anchors.fingerprints[i]));
    writer_bytes(writer, BYTES_OF(request->path.digest));
    writer_u8(writer, request->idr_type);
    frame_write_bytes(writer, request->idr);
    frame_write_list(writer, request->certificates, request->n_certificates);
    frame_write_list(writer, request->ocsp, request->n_ocsp);
}

void verify_request_encode(Writer *writer, const VerifyRequest *request)
{
    writer_u8(writer, (uint8_t)request->type);
    switch (request->type) {
    case FRAME_PEER:
        peer_encode(writer, request);
        break;
    case FRAME_COMPLETE:
        break;
    case FRAME_CHAIN:
        frame_write_text(writer, request->name);
        frame_write_bytes(writer, request->public_key);
        break;
    default:
        frame_write_text(writer, request->name);
    }
}

static int anchors_decode_facts(Reader *reader, AnchorFacts *ret)
{
    uint8_t n_certificates, n_hashes;
    Bytes octets;

    if (reader_u8(reader, &n_certificates) < 0 || reader_u8(reader, &n_hashes) < 0 ||
        n_certificates > FRAME_HASHES_MAX || n_hashes == 0 || n_hashes > n_certificates)
        return -EBADMSG;
    ret->n_certificates = n_certificates;
    ret->n_hashes = n_hashes;
    for (size_t i = 0; i < n_hashes; i++) {
        if (reader_take(reader, FRAME_HASH_SIZE, &octets) < 0)
            return -EBADMSG;
        memcpy(ret->hashes[i], octets.data, FRAME_HASH_SIZE);
    }
    for (size_t i = 0; i < n_certificates; i++) {
        if (reader_take(reader, VERIFY_FINGERPRINT_SIZE, &octets) < 0 ||
            reader_u8(reader, &ret->certificates[i].hash) < 0 ||
            ret->certificates[i].hash >= n_hashes)
            return -EBADMSG;
        memcpy(ret->certificates[i].fingerprint, octets.data, VERIFY_FINGERPRINT_SIZE);
    }
    return 0;
}

static int chain_decode(Reader *reader, ChainFacts *ret)
{
    int r = frame_read_text(reader, ret->fqdn, sizeof(ret->fqdn));

    if (r == 0)
        r = frame_read_time(reader, &ret->not_before);
    if (r == 0)
        r = frame_read_time(reader, &ret->not_after);
    if (r == 0)
        r = frame_read_time(reader, &ret->expires);
    if (r == 0)
        r = frame_read_list(reader, FRAME_CHAIN_MAX, ret->certificates, &ret->n_certificates);
    if (r < 0 || ret->n_certificates == 0 || !fqdn_is_valid(ret->fqdn, strlen(ret->fqdn)))
        return -EBADMSG;
    return 0;
}

static int taken_decode(Reader *reader, Verdict *ret)
{
    unsigned rsa_pkcs1 = 0;
    Bytes key;
    int r = frame_read_bytes(reader, sizeof(ret->public_key), &key);

    if (r < 0 || key.size == 0)
        return -EBADMSG;
    memcpy(ret->public_key, key.data, key.size);
    ret->public_key_size = key.size;
    r = frame_read_text(reader, ret->identity, sizeof(ret->identity));
    if (r == 0)
        r = frame_read_time(reader, &ret->expires);
    if (r == 0)
        r = frame_read_time(reader, &ret->vouched);
    if (r == 0)
        r = frame_read_text(reader, ret->note, sizeof(ret->note));
    if (r == 0)
        r = frame_read_enum(reader, 2, &rsa_pkcs1);
    ret->rsa_pkcs1 = rsa_pkcs1;
    return r < 0 || ret->expires == 0 ? -EBADMSG : 0; /* nobody is taken for ever */
}

static int refusal_decode(Reader *reader, PeerCheck *ret)
{
    const struct {
        char *text;
        size_t size;
    } texts[] = {
        {ret->name, sizeof(ret->name)},         {ret->clause, sizeof(ret->clause)},
        {ret->remedy, sizeof(ret->remedy)},     {ret->subject, sizeof(ret->subject)},
        {ret->field, sizeof(ret->field)},       {ret->found, sizeof(ret->found)},
        {ret->expected, sizeof(ret->expected)},
    };
    unsigned error = 0;
    int r = frame_read_enum(reader, PEER_ERRORS, &error);

    if (r < 0 || error == 0)
        return -EBADMSG;
    ret->state = PEER_CHECK_FAILED;
    ret->error = (int)error;
    for (size_t i = 0; r == 0 && i < ELEMENTS(texts); i++)
        r = frame_read_text(reader, texts[i].text, texts[i].size);
    return r;
}

static int verdict_decode(Reader *reader, Verdict *ret)
{
    unsigned taken;

    if (frame_read_enum(reader, FRAME_TAKEN + 1, &taken) < 0 ||
        frame_read_path(reader, &ret->path) < 0)
        return -EBADMSG;
    ret->taken = taken == FRAME_TAKEN;
    return ret->taken ? taken_decode(reader, ret) : refusal_decode(reader, &ret->refusal);
}

static int crls_decode(Reader *reader, CrlsFacts *ret)
{
    uint8_t count;
    int r = reader_u8(reader, &count);

    if (r < 0 || count > FRAME_CRL_ISSUERS_MAX)
        return -EBADMSG;
    for (size_t i = 0; r == 0 && i < count; i++) {
        r = frame_read_text(reader, ret->issuers[i].issuer, sizeof(ret->issuers[i].issuer));
        if (r == 0)
            r = frame_read_time(reader, &ret->issuers[i].this_update);
        if (r == 0)
            r = frame_read_time(reader, &ret->issuers[i].next_update);
    }
    ret->n_issuers = count;
    return r;
}

static int obsolete_decode(Reader *reader, ObsoleteFiles *ret)
{
    uint16_t count;
    int r = reader_u16(reader, &count);

    if (r < 0 || count > FRAME_CRL_FILES_MAX)
        return -EBADMSG;
    for (size_t i = 0; r == 0 && i < count; i++)
        r = reader_u16(reader, &ret->numbers[i]);
    ret->count = count;
    return r;
}

static int facts_decode(Reader *reader, VerifyAnswer *ret)
{
    int r;

    switch (ret->type) {
    case FRAME_COMPLETE:
        return crls_decode(reader, &ret->crls);
    case FRAME_ANCHORS:
        return anchors_decode_facts(reader, &ret->anchors);
    case FRAME_CHAIN:
        return chain_decode(reader, &ret->chain);
    case FRAME_PEER:
        r = verdict_decode(reader, &ret->verdict);
        return r < 0 ? r : obsolete_decode(reader, &ret->obsolete);
    default:
        return 0;
    }
}

int verify_answer_decode(Bytes frame, VerifyAnswer *ret)
{
    uint16_t error = 0;
    Reader reader;

    *ret = (VerifyAnswer){0};
    reader_init(&reader, frame);
    int r = frame_read_type(&reader, &ret->type);
    if (r == 0)
        r = reader_u16(&reader, &error);
    if (r < 0 || error > FRAME_ERRNO_MAX)
        return -EBADMSG;
    ret->error = -(int)error;
    r = frame_read_text(&reader, ret->reason.text, sizeof(ret->reason.text));
    if (r == 0 && error == 0)
        r = facts_decode(&reader, ret);
    return r < 0 || reader_left(&reader) > 0 ? -EBADMSG : 0;
}

const char *const revocation_modes[] = {
    [REVOCATION_OFF] = "off",
    [REVOCATION_IF_AVAILABLE] = "if-available",
    [REVOCATION_REQUIRE] = "require",
    [REVOCATION_MODES] = NULL,
};

void peer_check_sentence(const PeerCheck *check, Reason *ret)
{
    reason_set(ret, 0, "%s%s%s%s is %s; expected: %s (%s, check %s). %s",
               check->subject[0] != '\0' ? "In the certificate of " : "", check->subject,
               check->subject[0] != '\0' ? ", " : "The SeGW's ", check->field, check->found,
               check->expected, check->clause, check->name, check->remedy);
}
