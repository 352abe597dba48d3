/* DSCP and ECN between inner and outer header. */
#include "esp/ecn.h"

#include <stddef.h>

enum {
    TOS = 1 /* RFC 791 3.1 */,
    CHECKSUM = 10,
    TRAFFIC_CLASS = 1 /* its lower half, RFC 8200 3 */
};

uint8_t traffic_class_read(const uint8_t *octets, uint8_t version)
{
    if (version == 4)
        return octets[TOS];
    return (uint8_t)(octets[0] << 4 | octets[TRAFFIC_CLASS] >> 4);
}

uint8_t traffic_class_outer(uint8_t inner, bool copy_dscp, bool ecn)
{
    unsigned copied = (copy_dscp ? 0xffU & ~(unsigned)ECN_MASK : 0) | (ecn ? ECN_MASK : 0);
    return (uint8_t)(inner & copied);
}

int ecn_combine(uint8_t inner, uint8_t outer)
{
    static const int8_t combined[4][4] = {
        /* outer:       Not-ECT,     ECT(1),      ECT(0),      CE */
        [ECN_NOT_ECT] = {ECN_NOT_ECT, ECN_NOT_ECT, ECN_NOT_ECT, ECN_DROP},
        [ECN_ECT_1] = {ECN_ECT_1, ECN_ECT_1, ECN_ECT_1, ECN_CE},
        [ECN_ECT_0] = {ECN_ECT_0, ECN_ECT_1, ECN_ECT_0, ECN_CE},
        [ECN_CE] = {ECN_CE, ECN_CE, ECN_CE, ECN_CE},
    };
    return combined[inner & ECN_MASK][outer & ECN_MASK];
}

/* RFC 1624 3, equation 3: HC' = ~(~HC + ~m + m'), of the one 16-bit word that changes. */
static void update_checksum(uint8_t *octets, uint16_t before, uint16_t after)
{
    uint32_t sum = (uint16_t) ~(octets[CHECKSUM] << 8 | octets[CHECKSUM + 1]);
    sum += (uint16_t)~before;
    sum += after;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    octets[CHECKSUM] = (uint8_t)(~sum >> 8);
    octets[CHECKSUM + 1] = (uint8_t)~sum;
}

void ecn_write(uint8_t *octets, uint8_t version, uint8_t ecn)
{
    if (version == 6) {
        octets[TRAFFIC_CLASS] = (uint8_t)((octets[TRAFFIC_CLASS] & ~(ECN_MASK << 4)) | ecn << 4);
        return;
    }
    uint16_t before = (uint16_t)(octets[0] << 8 | octets[TOS]);
    octets[TOS] = (uint8_t)((octets[TOS] & ~ECN_MASK) | ecn);
    update_checksum(octets, before, (uint16_t)(octets[0] << 8 | octets[TOS]));
}
