/* More of everything than anybody needs; none of it is malformed where RFC 7296 says what its form
 * is. */
#include "responder.h"

#include <string.h>

enum { CROWD = 40 /* of each kind */ };

void crowd_write(IkeChain *chain)
{
    static const uint8_t octets[] = {1, 2, 3, 4, 5};

    for (size_t i = 0; i < CROWD; i++) {
        ike_chain_add(chain, IKE_PAYLOAD_VENDOR_ID, BYTES_OF(octets));
        ike_chain_add(chain, 200, BYTES_OF(octets));
        ike_chain_add_notify(chain, 40000, BYTES_OF(octets));
    }
    ike_chain_add_cert(chain, IKE_PAYLOAD_CERTREQ, IKE_CERT_X509_SIGNATURE, BYTES_OF(octets));
}

static void attribute_write(IkeChain *chain, uint16_t type, Bytes value)
{
    writer_u16(chain->writer, type);
    writer_u16(chain->writer, (uint16_t)value.size);
    writer_bytes(chain->writer, value);
}

/* Addresses one after the other, as many selectors as addresses, and what nobody asked for. */
void crowded_child_write(const uint8_t first[4], IkeChain *chain)
{
    static const uint8_t dns[16] = {0xfd, 0, [15] = 0x53};
    uint8_t address[4];

    memcpy(address, first, sizeof(address));
    ike_chain_open(chain, IKE_PAYLOAD_CP, false);
    writer_u8(chain->writer, IKE_CFG_REPLY);
    writer_zeros(chain->writer, 3);
    for (uint8_t i = 0; i < CROWD; i++) {
        attribute_write(chain, 20000, BYTES_OF(address));
        attribute_write(chain, IKE_CFG_INTERNAL_IP4_NETMASK, (Bytes){address, 3});
    }
    for (uint8_t i = 0; i < IKE_ATTRIBUTES_OF_TYPE; i++, address[3]++) {
        attribute_write(chain, IKE_CFG_INTERNAL_IP4_ADDRESS, BYTES_OF(address));
        attribute_write(chain, IKE_CFG_INTERNAL_IP4_DNS, BYTES_OF(address));
        attribute_write(chain, IKE_CFG_INTERNAL_IP6_DNS, BYTES_OF(dns));
    }
    ike_chain_close(chain);
    for (uint8_t type = IKE_PAYLOAD_TSI; type <= IKE_PAYLOAD_TSR; type++) {
        ike_chain_open(chain, type, false);
        writer_u8(chain->writer, CROWD);
        writer_zeros(chain->writer, 3);
        for (uint8_t i = 0; i < CROWD; i++) {
            const uint8_t one[] = {10, 210, type, i};
            writer_u8(chain->writer, IKE_TS_IPV4_ADDR_RANGE);
            writer_u8(chain->writer, 0);
            writer_u16(chain->writer, 16);
            writer_u16(chain->writer, 0);
            writer_u16(chain->writer, UINT16_MAX);
            writer_bytes(chain->writer, BYTES_OF(one));
            writer_bytes(chain->writer, BYTES_OF(one));
        }
        ike_chain_close(chain);
    }
}
