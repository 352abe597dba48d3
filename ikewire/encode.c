/* Writes payloads and adds them to a message: for who writes messages of its own. tred only seals
 * what it is given. */
#include "ikewire/message.h"

enum { KEY_LENGTH_SIZE = 4 }; /* of the attribute (RFC 7296 3.3.5) */

/* ---- payloads ---- */

void spi_encode(Writer *writer, uint8_t size, uint64_t spi)
{
    if (size == 8)
        writer_u64(writer, spi);
    if (size == 4)
        writer_u32(writer, (uint32_t)spi);
}

void ike_ke_encode(Writer *writer, const IkeKe *ke)
{
    writer_u16(writer, ke->group);
    writer_zeros(writer, 2);
    writer_bytes(writer, ke->data);
}

void ike_cert_encode(Writer *writer, const IkeCert *cert)
{
    writer_u8(writer, cert->encoding);
    writer_bytes(writer, cert->data);
}

void ike_notify_encode(Writer *writer, const IkeNotify *notify)
{
    writer_u8(writer, notify->protocol);
    writer_u8(writer, notify->spi_size);
    writer_u16(writer, notify->type);
    spi_encode(writer, notify->spi_size, notify->spi);
    writer_bytes(writer, notify->data);
}

void ike_delete_encode(Writer *writer, const IkeDelete *delete_)
{
    bool ike = delete_->protocol == IKE_PROTOCOL_IKE;

    writer_u8(writer, delete_->protocol);
    writer_u8(writer, ike ? 0 : sizeof(delete_->spis[0]));
    writer_u16(writer, (uint16_t)delete_->n_spis);
    for (size_t i = 0; i < delete_->n_spis; i++)
        writer_u32(writer, delete_->spis[i]);
}

void ike_cp_encode(Writer *writer, const IkeCp *cp)
{
    writer_u8(writer, cp->cfg_type);
    writer_zeros(writer, 3);
    for (size_t i = 0; i < cp->n_attributes; i++) {
        writer_u16(writer, cp->attributes[i].type);
        writer_u16(writer, (uint16_t)cp->attributes[i].value.size);
        writer_bytes(writer, cp->attributes[i].value);
    }
}

/* ---- offers and choices (RFC 7296 3.3) ---- */

static size_t transform_size(const IkeTransform *transform)
{
    return IKE_TRANSFORM_HEADER_SIZE + (transform->key_length ? (size_t)KEY_LENGTH_SIZE : 0);
}

static size_t proposal_size(const IkeProposal *proposal)
{
    size_t size = IKE_PROPOSAL_HEADER_SIZE + (size_t)proposal->spi_size;

    for (size_t i = 0; i < proposal->n_transforms; i++)
        size += transform_size(&proposal->transforms[i]);
    return size;
}

static void transform_encode(Writer *writer, const IkeTransform *transform, bool last)
{
    writer_u8(writer, last ? IKE_SA_LAST : IKE_SA_MORE_TRANSFORMS);
    writer_u8(writer, 0);
    writer_u16(writer, (uint16_t)transform_size(transform));
    writer_u8(writer, transform->type);
    writer_u8(writer, 0);
    writer_u16(writer, transform->id);
    if (transform->key_length) {
        writer_u16(writer, IKE_ATTRIBUTE_TV | IKE_ATTRIBUTE_KEY_LENGTH);
        writer_u16(writer, transform->key_length);
    }
}

static void proposal_encode(Writer *writer, const IkeProposal *proposal, bool last)
{
    writer_u8(writer, last ? IKE_SA_LAST : IKE_SA_MORE_PROPOSALS);
    writer_u8(writer, 0);
    writer_u16(writer, (uint16_t)proposal_size(proposal));
    writer_u8(writer, proposal->number);
    writer_u8(writer, proposal->protocol);
    writer_u8(writer, proposal->spi_size);
    writer_u8(writer, (uint8_t)proposal->n_transforms);
    spi_encode(writer, proposal->spi_size, proposal->spi);
    for (size_t i = 0; i < proposal->n_transforms; i++)
        transform_encode(writer, &proposal->transforms[i], i + 1 == proposal->n_transforms);
}

void ike_sa_encode(Writer *writer, const IkeSaPayload *sa)
{
    for (size_t i = 0; i < sa->n_proposals; i++)
        proposal_encode(writer, &sa->proposals[i], i + 1 == sa->n_proposals);
}

/* ---- whole payloads of a message ---- */

void ike_chain_add(IkeChain *chain, uint8_t type, Bytes body)
{
    ike_chain_open(chain, type, false);
    writer_bytes(chain->writer, body);
    ike_chain_close(chain);
}

void ike_chain_add_sa(IkeChain *chain, const IkeSaPayload *sa)
{
    ike_chain_open(chain, IKE_PAYLOAD_SA, false);
    ike_sa_encode(chain->writer, sa);
    ike_chain_close(chain);
}

void ike_chain_add_ke(IkeChain *chain, uint16_t group, Bytes data)
{
    ike_chain_open(chain, IKE_PAYLOAD_KE, false);
    ike_ke_encode(chain->writer, &(IkeKe){group, data});
    ike_chain_close(chain);
}

void ike_chain_add_id(IkeChain *chain, uint8_t payload_type, const IkeId *id)
{
    ike_chain_open(chain, payload_type, false);
    ike_id_encode(chain->writer, id);
    ike_chain_close(chain);
}

void ike_chain_add_cert(IkeChain *chain, uint8_t payload_type, uint8_t encoding, Bytes data)
{
    ike_chain_open(chain, payload_type, false);
    ike_cert_encode(chain->writer, &(IkeCert){encoding, data});
    ike_chain_close(chain);
}

void ike_chain_add_auth(IkeChain *chain, uint8_t method, Bytes data)
{
    ike_chain_open(chain, IKE_PAYLOAD_AUTH, false);
    ike_auth_encode(chain->writer, &(IkeAuth){method, data});
    ike_chain_close(chain);
}

void ike_chain_add_notify(IkeChain *chain, uint16_t type, Bytes data)
{
    ike_chain_open(chain, IKE_PAYLOAD_NOTIFY, false);
    ike_notify_encode(chain->writer, &(IkeNotify){.type = type, .data = data});
    ike_chain_close(chain);
}

void ike_chain_add_delete(IkeChain *chain, const IkeDelete *delete_)
{
    ike_chain_open(chain, IKE_PAYLOAD_DELETE, false);
    ike_delete_encode(chain->writer, delete_);
    ike_chain_close(chain);
}

void ike_chain_add_ts(IkeChain *chain, uint8_t payload_type, const IkeTs *ts)
{
    ike_chain_open(chain, payload_type, false);
    ike_ts_encode(chain->writer, ts);
    ike_chain_close(chain);
}

void ike_chain_add_cp(IkeChain *chain, const IkeCp *cp)
{
    ike_chain_open(chain, IKE_PAYLOAD_CP, false);
    ike_cp_encode(chain->writer, cp);
    ike_chain_close(chain);
}
