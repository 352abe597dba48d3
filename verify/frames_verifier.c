/* Reads the frames that tred-verify is sent, and writes its answers. */
#include "verify/frames_internal.h"

#include <errno.h>
#include <string.h>

static int peer_anchors_decode(Reader *reader, VerifyAnchors *ret)
{
    uint8_t count = 0;
    Bytes fingerprint;

    if (reader_u8(reader, &count) < 0 || count > VERIFY_ANCHORS_MAX)
        return -EBADMSG;
    ret->count = count;
    for (size_t i = 0; i < ret->count; i++) {
        if (reader_take(reader, VERIFY_FINGERPRINT_SIZE, &fingerprint) < 0)
            return -EBADMSG;
        memcpy(ret->fingerprints[i], fingerprint.data, VERIFY_FINGERPRINT_SIZE);
    }
    return 0;
}

static int peer_decode(Reader *reader, VerifyRequest *ret)
{
    unsigned revocation = 0;
    int r = frame_read_time(reader, &ret->now);

    if (r == 0)
        r = frame_read_enum(reader, REVOCATION_MODES, &revocation);
    ret->revocation = (RevocationMode)revocation;
    if (r == 0)
        r = frame_read_text(reader, ret->segw_name, sizeof(ret->segw_name));
    if (r == 0)
        r = peer_anchors_decode(reader, &ret->anchors);
    if (r == 0)
        r = frame_read_path(reader, &ret->path);
    if (r == 0)
        r = reader_u8(reader, &ret->idr_type);
    if (r == 0)
        r = frame_read_bytes(reader, FRAME_IDR_SIZE_MAX, &ret->idr);
    if (r == 0)
        r = frame_read_list(reader, FRAME_EVIDENCE_MAX, ret->certificates, &ret->n_certificates);
    return r == 0 ? frame_read_list(reader, FRAME_EVIDENCE_MAX, ret->ocsp, &ret->n_ocsp) : r;
}

int verify_request_decode(Bytes frame, VerifyRequest *ret)
{
    Reader reader;

    *ret = (VerifyRequest){0};
    reader_init(&reader, frame);
    int r = frame_read_type(&reader, &ret->type);
    if (r < 0)
        return r;
    switch (ret->type) {
    case FRAME_PEER:
        r = peer_decode(&reader, ret);
        break;
    case FRAME_COMPLETE:
        break;
    case FRAME_CHAIN:
        r = frame_read_text(&reader, ret->name, sizeof(ret->name));
        if (r == 0)
            r = frame_read_bytes(&reader, PEER_KEY_SIZE_MAX, &ret->public_key);
        break;
    default:
        r = frame_read_text(&reader, ret->name, sizeof(ret->name));
    }
    return r < 0 || reader_left(&reader) > 0 ? -EBADMSG : 0;
}

static void anchors_encode(Writer *writer, const AnchorFacts *facts)
{
    writer_u8(writer, (uint8_t)facts->n_certificates);
    writer_u8(writer, (uint8_t)facts->n_hashes);
    for (size_t i = 0; i < facts->n_hashes; i++)
        writer_bytes(writer, BYTES_OF(facts->hashes[i]));
    for (size_t i = 0; i < facts->n_certificates; i++) {
        writer_bytes(writer, BYTES_OF(facts->certificates[i].fingerprint));
        writer_u8(writer, facts->certificates[i].hash);
    }
}

static void chain_encode(Writer *writer, const ChainFacts *facts)
{
    frame_write_text(writer, facts->fqdn);
    frame_write_time(writer, facts->not_before);
    frame_write_time(writer, facts->not_after);
    frame_write_time(writer, facts->expires);
    frame_write_list(writer, facts->certificates, facts->n_certificates);
}

static void verdict_encode(Writer *writer, const Verdict *verdict)
{
    const PeerCheck *refusal = &verdict->refusal;

    writer_u8(writer, verdict->taken ? FRAME_TAKEN : 0);
    writer_bytes(writer, BYTES_OF(verdict->path.digest));
    if (verdict->taken) {
        frame_write_bytes(writer, (Bytes){verdict->public_key, verdict->public_key_size});
        frame_write_text(writer, verdict->identity);
        frame_write_time(writer, verdict->expires);
        frame_write_time(writer, verdict->vouched);
        frame_write_text(writer, verdict->note);
        writer_u8(writer, verdict->rsa_pkcs1);
        return;
    }
    writer_u8(writer, (uint8_t)refusal->error);
    frame_write_text(writer, refusal->name);
    frame_write_text(writer, refusal->clause);
    frame_write_text(writer, refusal->remedy);
    frame_write_text(writer, refusal->subject);
    frame_write_text(writer, refusal->field);
    frame_write_text(writer, refusal->found);
    frame_write_text(writer, refusal->expected);
}

static void crls_encode(Writer *writer, const CrlsFacts *facts)
{
    writer_u8(writer, (uint8_t)facts->n_issuers);
    for (size_t i = 0; i < facts->n_issuers; i++) {
        frame_write_text(writer, facts->issuers[i].issuer);
        frame_write_time(writer, facts->issuers[i].this_update);
        frame_write_time(writer, facts->issuers[i].next_update);
    }
}

static void obsolete_encode(Writer *writer, const ObsoleteFiles *obsolete)
{
    writer_u16(writer, (uint16_t)obsolete->count);
    for (size_t i = 0; i < obsolete->count; i++)
        writer_u16(writer, obsolete->numbers[i]);
}

void verify_answer_encode(Writer *writer, const VerifyAnswer *answer)
{
    writer_u8(writer, (uint8_t)answer->type);
    writer_u16(writer, (uint16_t)-answer->error);
    frame_write_text(writer, answer->reason.text);
    if (answer->error != 0)
        return;
    switch (answer->type) {
    case FRAME_ANCHORS:
        anchors_encode(writer, &answer->anchors);
        break;
    case FRAME_COMPLETE:
        crls_encode(writer, &answer->crls);
        break;
    case FRAME_CHAIN:
        chain_encode(writer, &answer->chain);
        break;
    case FRAME_PEER:
        verdict_encode(writer, &answer->verdict);
        obsolete_encode(writer, &answer->obsolete);
        break;
    default:
        break; /* that it was done is all there is to say */
    }
}
