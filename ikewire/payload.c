/* What is in the payloads that are a few fixed fields and opaque data? (RFC 7296 3.4-3.9, RFC
 * 7383 2.5) */
#include "ikewire/payload.h"

enum {
    IPV4_SIZE = 4,
    IPV6_SIZE = 16,
    CA_HASH_SIZE = 20, /* SHA-1 of a CA's SubjectPublicKeyInfo, 3.7 */
};

int ike_ke_decode(Bytes body, IkeKe *ret)
{
    Reader reader;

    reader_init(&reader, body);
    if (reader_u16(&reader, &ret->group) < 0 || reader_skip(&reader, 2) < 0)
        return IKEWIRE_E_TRUNCATED;

    ret->data = reader_rest(&reader);
    return ret->group == IKE_GROUP_NONE || ret->data.size == 0 ? IKEWIRE_E_VALUE : 0;
}

void ike_ke_encode(Writer *writer, const IkeKe *ke)
{
    writer_u16(writer, ke->group);
    writer_zeros(writer, 2);
    writer_bytes(writer, ke->data);
}

/* IDi, IDr and AUTH are alike: a number, three reserved octets, data that must be there. */
static int tagged_decode(Bytes body, uint8_t *ret_tag, Bytes *ret_data)
{
    Reader reader;

    reader_init(&reader, body);
    if (reader_u8(&reader, ret_tag) < 0 || reader_skip(&reader, 3) < 0)
        return IKEWIRE_E_TRUNCATED;

    *ret_data = reader_rest(&reader);
    return *ret_tag == 0 || ret_data->size == 0 ? IKEWIRE_E_VALUE : 0;
}

static void tagged_encode(Writer *writer, uint8_t tag, Bytes data)
{
    writer_u8(writer, tag);
    writer_zeros(writer, 3);
    writer_bytes(writer, data);
}

int ike_id_decode(Bytes body, IkeId *ret)
{
    int r = tagged_decode(body, &ret->type, &ret->data);
    if (r != 0)
        return r;

    if (ret->type == IKE_ID_IPV4_ADDR && ret->data.size != IPV4_SIZE)
        return IKEWIRE_E_LENGTH;
    if (ret->type == IKE_ID_IPV6_ADDR && ret->data.size != IPV6_SIZE)
        return IKEWIRE_E_LENGTH;
    return 0;
}

void ike_id_encode(Writer *writer, const IkeId *id)
{
    tagged_encode(writer, id->type, id->data);
}

int ike_auth_decode(Bytes body, IkeAuth *ret)
{
    return tagged_decode(body, &ret->method, &ret->data);
}

void ike_auth_encode(Writer *writer, const IkeAuth *auth)
{
    tagged_encode(writer, auth->method, auth->data);
}

/* CERT and CERTREQ share their form; only a request may be empty. */
static int encoded_decode(Bytes body, IkeCert *ret)
{
    Reader reader;

    reader_init(&reader, body);
    if (reader_u8(&reader, &ret->encoding) < 0)
        return IKEWIRE_E_TRUNCATED;

    ret->data = reader_rest(&reader);
    return ret->encoding == 0 ? IKEWIRE_E_VALUE : 0;
}

int ike_cert_decode(Bytes body, IkeCert *ret)
{
    int r = encoded_decode(body, ret);
    if (r != 0)
        return r;
    return ret->data.size == 0 ? IKEWIRE_E_VALUE : 0;
}

int ike_certreq_decode(Bytes body, IkeCert *ret)
{
    int r = encoded_decode(body, ret);
    if (r != 0)
        return r;

    if (ret->encoding == IKE_CERT_X509_SIGNATURE && ret->data.size % CA_HASH_SIZE != 0)
        return IKEWIRE_E_LENGTH;
    return 0;
}

void ike_cert_encode(Writer *writer, const IkeCert *cert)
{
    writer_u8(writer, cert->encoding);
    writer_bytes(writer, cert->data);
}

int ike_nonce_decode(Bytes body, Bytes *ret)
{
    if (body.size < IKE_NONCE_MIN || body.size > IKE_NONCE_MAX)
        return IKEWIRE_E_VALUE;

    *ret = body;
    return 0;
}

int ike_fragment_decode(Bytes body, IkeFragment *ret)
{
    Reader reader;

    reader_init(&reader, body);
    if (reader_u16(&reader, &ret->number) < 0 || reader_u16(&reader, &ret->total) < 0)
        return IKEWIRE_E_TRUNCATED;

    ret->sealed = reader_rest(&reader);
    return ret->number == 0 || ret->number > ret->total ? IKEWIRE_E_FRAGMENT : 0;
}
