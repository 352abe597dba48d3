/* What can a well-formed payload look like? */
#include "tests/unit/ikewire/draw.h"

#include "base/cleanup.h"
#include "tests/unit/ikewire/random.h"

#include <string.h>

static void draw_proposal(IkeProposal *proposal, uint8_t number)
{
    static const struct {
        uint8_t protocol, spi_size;
    } forms[] = {
        {IKE_PROTOCOL_IKE, 0}, {IKE_PROTOCOL_IKE, 8}, {IKE_PROTOCOL_ESP, 4}, {IKE_PROTOCOL_AH, 4}};
    size_t form = random_from(0, ELEMENTS(forms) - 1);

    *proposal = (IkeProposal){.number = number,
                              .protocol = forms[form].protocol,
                              .spi_size = forms[form].spi_size,
                              .n_transforms = random_from(1, IKE_TRANSFORMS_MAX)};
    if (proposal->spi_size == 8)
        proposal->spi = random_number();
    if (proposal->spi_size == 4)
        proposal->spi = (uint32_t)random_number();
    for (size_t i = 0; i < proposal->n_transforms; i++) {
        proposal->transforms[i] = (IkeTransform){
            .type = (uint8_t)random_number(),
            .id = (uint16_t)random_number(),
            .key_length = (uint16_t)(random_from(0, 1) * random_from(1, UINT16_MAX))};
    }
}

void draw_sa(IkeSaPayload *sa)
{
    sa->n_proposals = random_from(1, IKE_PROPOSALS_MAX);
    for (size_t i = 0; i < sa->n_proposals; i++)
        draw_proposal(&sa->proposals[i], (uint8_t)(i + 1));
    if (sa->n_proposals == 1)
        sa->proposals[0].number = (uint8_t)random_from(1, UINT8_MAX);
}

void draw_id(IkeId *id)
{
    static const struct {
        uint8_t type;
        size_t minimum, maximum;
    } forms[] = {{IKE_ID_IPV4_ADDR, 4, 4},
                 {IKE_ID_IPV6_ADDR, 16, 16},
                 {IKE_ID_FQDN, 1, 253},
                 {IKE_ID_DER_ASN1_DN, 1, 300},
                 {IKE_ID_KEY_ID, 1, 64}};
    size_t form = random_from(0, ELEMENTS(forms) - 1);

    *id = (IkeId){forms[form].type, random_bytes(forms[form].minimum, forms[form].maximum)};
}

void draw_notify(IkeNotify *notify)
{
    *notify = (IkeNotify){.protocol = IKE_PROTOCOL_ESP,
                          .spi_size = 4,
                          .spi = (uint32_t)random_number(),
                          .type = (uint16_t)random_from(40000, UINT16_MAX), /* private: any data */
                          .data = random_bytes(0, 300)};
    if (random_from(0, 1) == 0) {
        notify->protocol = IKE_PROTOCOL_IKE;
        notify->spi_size = 8;
        notify->spi = random_number();
    }
}

void draw_delete(IkeDelete *delete_)
{
    *delete_ = (IkeDelete){.protocol = (uint8_t)random_from(IKE_PROTOCOL_IKE, IKE_PROTOCOL_ESP)};
    if (delete_->protocol != IKE_PROTOCOL_IKE)
        delete_->n_spis = random_from(0, IKE_SPIS_MAX);
    for (size_t i = 0; i < delete_->n_spis; i++)
        delete_->spis[i] = (uint32_t)random_number();
}

static void draw_selector(IkeSelector *selector)
{
    size_t size = random_from(0, 1) ? 4 : 16;

    *selector = (IkeSelector){.type = size == 4 ? IKE_TS_IPV4_ADDR_RANGE : IKE_TS_IPV6_ADDR_RANGE,
                              .protocol = (uint8_t)random_number(),
                              .start_port = (uint16_t)random_number()};
    selector->end_port = (uint16_t)random_from(selector->start_port, UINT16_MAX);
    if (random_from(0, 9) == 0) { /* OPAQUE */
        selector->start_port = UINT16_MAX;
        selector->end_port = 0;
    }
    memcpy(selector->start, random_bytes(16, 16).data, size);
    memcpy(selector->end, selector->start, size);
    selector->end[size - 1] = (uint8_t)random_from(selector->start[size - 1], UINT8_MAX);
}

void draw_ts(IkeTs *ts)
{
    ts->n_selectors = random_from(1, IKE_SELECTORS_MAX);
    for (size_t i = 0; i < ts->n_selectors; i++)
        draw_selector(&ts->selectors[i]);
}

static void draw_attribute(IkeAttribute *attribute)
{
    static const struct {
        uint16_t type;
        uint8_t size;
    } forms[] = {{IKE_CFG_INTERNAL_IP4_ADDRESS, 4},
                 {IKE_CFG_INTERNAL_IP6_ADDRESS, 17},
                 {IKE_CFG_INTERNAL_IP4_SUBNET, 8},
                 {IKE_CFG_APPLICATION_VERSION, 30},
                 {0x7fff, 1}};
    size_t form = random_from(0, ELEMENTS(forms) - 1);
    size_t size = random_from(0, 1) * forms[form].size;

    *attribute = (IkeAttribute){forms[form].type, random_bytes(size, size)};
}

void draw_cp(IkeCp *cp)
{
    cp->cfg_type = (uint8_t)random_from(IKE_CFG_REQUEST, IKE_CFG_ACK);
    cp->n_attributes = random_from(0, IKE_ATTRIBUTES_OF_TYPE);
    for (size_t i = 0; i < cp->n_attributes; i++)
        draw_attribute(&cp->attributes[i]);
}
