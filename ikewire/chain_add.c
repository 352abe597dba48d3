/* Adds whole payloads to a message: for who writes messages of its own. tred only seals what it is
 * given. */
#include "ikewire/message.h"

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
