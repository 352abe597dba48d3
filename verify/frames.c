/* Writes and reads the frames between tred and tred-verify; each side takes the other for an
 * enemy. */
#include "verify/frames.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

enum {
    ERRNO_MAX = 4095, /* as the kernel has them */
    TAKEN = 1,
    DELETE = 0x7f,
};

static void write_bytes(Writer *writer, Bytes bytes)
{
    writer_u32(writer, (uint32_t)bytes.size);
    writer_bytes(writer, bytes);
}

static void write_text(Writer *writer, const char *text)
{
    write_bytes(writer, (Bytes){(const uint8_t *)text, strlen(text)});
}

static void write_list(Writer *writer, const Bytes *list, size_t count)
{
    writer_u8(writer, (uint8_t)count);
    for (size_t i = 0; i < count; i++)
        write_bytes(writer, list[i]);
}

static int read_bytes(Reader *reader, size_t maximum, Bytes *ret)
{
    uint32_t size;

    if (reader_u32(reader, &size) < 0 || size > maximum)
        return -EBADMSG;
    return reader_take(reader, size, ret);
}

/* `ret` has `size` octets. */
static int read_text(Reader *reader, char *ret, size_t size)
{
    Bytes text;

    if (read_bytes(reader, size - 1, &text) < 0)
        return -EBADMSG;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < ' ' || text.data[i] == DELETE)
            return -EBADMSG;
    }
    if (text.size > 0)
        memcpy(ret, text.data, text.size);
    ret[text.size] = '\0';
    return 0;
}

static int read_list(Reader *reader, size_t count_max, Bytes *list, size_t *ret_count)
{
    uint8_t count;
    int r = reader_u8(reader, &count);

    if (r < 0 || count > count_max)
        return -EBADMSG;
    for (size_t i = 0; r == 0 && i < count; i++)
        r = read_bytes(reader, FRAME_SIZE_MAX, &list[i]);
    *ret_count = count;
    return r;
}

/* Seconds since 1970; none before, which time_t could not tell from a failure. */
static int read_time(Reader *reader, time_t *ret)
{
    uint64_t value;

    if (reader_u64(reader, &value) < 0 || value > INT64_MAX)
        return -EBADMSG;
    *ret = (time_t)value;
    return 0;
}

static void write_time(Writer *writer, time_t time)
{
    writer_u64(writer, time > 0 ? (uint64_t)time : 0);
}

static int read_enum(Reader *reader, unsigned end, unsigned *ret)
{
    uint8_t value;

    if (reader_u8(reader, &value) < 0 || value >= end)
        return -EBADMSG;
    *ret = value;
    return 0;
}

static int read_type(Reader *reader, FrameType *ret)
{
    unsigned value;

    if (read_enum(reader, FRAME_TYPES, &value) < 0 || value == 0)
        return -EBADMSG;
    *ret = (FrameType)value;
    return 0;
}

static void peer_encode(Writer *writer, const VerifyRequest *request)
{
    write_time(writer, request->now);
    writer_u8(writer, (uint8_t)request->revocation);
    write_text(writer, request->segw_name);
    writer_u8(writer, request->idr_type);
    write_bytes(writer, request->idr);
    write_list(writer, request->certificates, request->n_certificates);
    write_list(writer, request->ocsp, request->n_ocsp);
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
        write_text(writer, request->name);
        write_bytes(writer, request->public_key);
        break;
    default:
        write_text(writer, request->name);
    }
}

static int peer_decode(Reader *reader, VerifyRequest *ret)
{
    unsigned revocation = 0;
    int r = read_time(reader, &ret->now);

    if (r == 0)
        r = read_enum(reader, REVOCATION_MODES, &revocation);
    ret->revocation = (RevocationMode)revocation;
    if (r == 0)
        r = read_text(reader, ret->segw_name, sizeof(ret->segw_name));
    if (r == 0)
        r = reader_u8(reader, &ret->idr_type);
    if (r == 0)
        r = read_bytes(reader, FRAME_IDR_SIZE_MAX, &ret->idr);
    if (r == 0)
        r = read_list(reader, FRAME_EVIDENCE_MAX, ret->certificates, &ret->n_certificates);
    return r == 0 ? read_list(reader, FRAME_EVIDENCE_MAX, ret->ocsp, &ret->n_ocsp) : r;
}

int verify_request_decode(Bytes frame, VerifyRequest *ret)
{
    Reader reader;

    *ret = (VerifyRequest){0};
    reader_init(&reader, frame);
    int r = read_type(&reader, &ret->type);
    if (r < 0)
        return r;
    switch (ret->type) {
    case FRAME_PEER:
        r = peer_decode(&reader, ret);
        break;
    case FRAME_COMPLETE:
        break;
    case FRAME_CHAIN:
        r = read_text(&reader, ret->name, sizeof(ret->name));
        if (r == 0)
            r = read_bytes(&reader, PEER_KEY_SIZE_MAX, &ret->public_key);
        break;
    default:
        r = read_text(&reader, ret->name, sizeof(ret->name));
    }
    return r < 0 || reader_left(&reader) > 0 ? -EBADMSG : 0;
}

static void anchors_encode(Writer *writer, const AnchorFacts *facts)
{
    writer_u8(writer, (uint8_t)facts->n_certificates);
    writer_u8(writer, (uint8_t)facts->n_hashes);
    for (size_t i = 0; i < facts->n_hashes; i++)
        writer_bytes(writer, BYTES_OF(facts->hashes[i]));
}

static void chain_encode(Writer *writer, const ChainFacts *facts)
{
    write_text(writer, facts->fqdn);
    write_time(writer, facts->not_before);
    write_time(writer, facts->not_after);
    write_time(writer, facts->expires);
    write_list(writer, facts->certificates, facts->n_certificates);
}

static void verdict_encode(Writer *writer, const Verdict *verdict)
{
    const PeerCheck *refusal = &verdict->refusal;

    writer_u8(writer, verdict->taken ? TAKEN : 0);
    if (verdict->taken) {
        write_bytes(writer, (Bytes){verdict->public_key, verdict->public_key_size});
        write_text(writer, verdict->identity);
        write_time(writer, verdict->expires);
        writer_u8(writer, verdict->rsa_pkcs1);
        return;
    }
    writer_u8(writer, (uint8_t)refusal->error);
    write_text(writer, refusal->name);
    write_text(writer, refusal->clause);
    write_text(writer, refusal->remedy);
    write_text(writer, refusal->subject);
    write_text(writer, refusal->field);
    write_text(writer, refusal->found);
    write_text(writer, refusal->expected);
}

void verify_answer_encode(Writer *writer, const VerifyAnswer *answer)
{
    writer_u8(writer, (uint8_t)answer->type);
    writer_u16(writer, (uint16_t)-answer->error);
    write_text(writer, answer->reason);
    if (answer->error != 0)
        return;
    switch (answer->type) {
    case FRAME_ANCHORS:
        anchors_encode(writer, &answer->anchors);
        break;
    case FRAME_CHAIN:
        chain_encode(writer, &answer->chain);
        break;
    case FRAME_PEER:
        verdict_encode(writer, &answer->verdict);
        break;
    default:
        break; /* that it was done is all there is to say */
    }
}

static int anchors_decode_facts(Reader *reader, AnchorFacts *ret)
{
    uint8_t n_certificates, n_hashes;

    if (reader_u8(reader, &n_certificates) < 0 || reader_u8(reader, &n_hashes) < 0 ||
        n_hashes > FRAME_HASHES_MAX || n_hashes == 0 || n_hashes > n_certificates)
        return -EBADMSG;
    ret->n_certificates = n_certificates;
    ret->n_hashes = n_hashes;
    for (size_t i = 0; i < n_hashes; i++) {
        Bytes hash;

        if (reader_take(reader, FRAME_HASH_SIZE, &hash) < 0)
            return -EBADMSG;
        memcpy(ret->hashes[i], hash.data, FRAME_HASH_SIZE);
    }
    return 0;
}

static int chain_decode(Reader *reader, ChainFacts *ret)
{
    int r = read_text(reader, ret->fqdn, sizeof(ret->fqdn));

    if (r == 0)
        r = read_time(reader, &ret->not_before);
    if (r == 0)
        r = read_time(reader, &ret->not_after);
    if (r == 0)
        r = read_time(reader, &ret->expires);
    if (r == 0)
        r = read_list(reader, FRAME_CHAIN_MAX, ret->certificates, &ret->n_certificates);
    if (r < 0 || ret->n_certificates == 0 || !fqdn_is_valid(ret->fqdn, strlen(ret->fqdn)))
        return -EBADMSG;
    return 0;
}

static int taken_decode(Reader *reader, Verdict *ret)
{
    unsigned rsa_pkcs1 = 0;
    Bytes key;
    int r = read_bytes(reader, sizeof(ret->public_key), &key);

    if (r < 0 || key.size == 0)
        return -EBADMSG;
    memcpy(ret->public_key, key.data, key.size);
    ret->public_key_size = key.size;
    r = read_text(reader, ret->identity, sizeof(ret->identity));
    if (r == 0)
        r = read_time(reader, &ret->expires);
    if (r == 0)
        r = read_enum(reader, 2, &rsa_pkcs1);
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
    int r = read_enum(reader, PEER_ERRORS, &error);

    if (r < 0 || error == 0)
        return -EBADMSG;
    ret->state = PEER_CHECK_FAILED;
    ret->error = (int)error;
    for (size_t i = 0; r == 0 && i < ELEMENTS(texts); i++)
        r = read_text(reader, texts[i].text, texts[i].size);
    return r;
}

static int verdict_decode(Reader *reader, Verdict *ret)
{
    unsigned taken;

    if (read_enum(reader, TAKEN + 1, &taken) < 0)
        return -EBADMSG;
    ret->taken = taken == TAKEN;
    return ret->taken ? taken_decode(reader, ret) : refusal_decode(reader, &ret->refusal);
}

static int facts_decode(Reader *reader, VerifyAnswer *ret)
{
    switch (ret->type) {
    case FRAME_ANCHORS:
        return anchors_decode_facts(reader, &ret->anchors);
    case FRAME_CHAIN:
        return chain_decode(reader, &ret->chain);
    case FRAME_PEER:
        return verdict_decode(reader, &ret->verdict);
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
    int r = read_type(&reader, &ret->type);
    if (r == 0)
        r = reader_u16(&reader, &error);
    if (r < 0 || error > ERRNO_MAX)
        return -EBADMSG;
    ret->error = -(int)error;
    r = read_text(&reader, ret->reason, sizeof(ret->reason));
    if (r == 0 && error == 0)
        r = facts_decode(&reader, ret);
    return r < 0 || reader_left(&reader) > 0 ? -EBADMSG : 0;
}
