/* What the SeGW says on standard output of messages. */
#include "gateway.h"

#include <inttypes.h>
#include <stdio.h>

static void say_deletes(const IkePayloads *payloads)
{
    const IkePayload *payload;
    size_t position = 0;
    IkeDelete delete_;

    while ((payload = ike_payloads_next(payloads, IKE_PAYLOAD_DELETE, &position))) {
        if (ike_delete_decode(payload->body, &delete_) != 0)
            continue;
        (void)printf(delete_.protocol == IKE_PROTOCOL_IKE ? " delete-ike" : " delete-child");
        for (size_t i = 0; i < delete_.n_spis; i++)
            (void)printf(" %08x", delete_.spis[i]);
    }
}

void say_hex(const char *name, Bytes octets)
{
    (void)printf(" %s=", name);
    for (size_t i = 0; i < octets.size; i++)
        (void)printf("%02x", octets.data[i]);
}

/* As gateway.h has it. */
static void say_payloads(const IkePayloads *payloads)
{
    const IkePayload *payload;
    size_t position = 0;
    IkeSaPayload sa;
    IkeNotify notify;
    IkeKe ke;

    payload = ike_payloads_find(payloads, IKE_PAYLOAD_SA);
    if (payload && ike_sa_decode(payload->body, &sa) == 0)
        (void)printf(" spi=%" PRIx64, sa.proposals[0].spi);
    payload = ike_payloads_find(payloads, IKE_PAYLOAD_KE);
    if (payload && ike_ke_decode(payload->body, &ke) == 0)
        (void)printf(" ke=%u", ke.group);
    payload = ike_payloads_find(payloads, IKE_PAYLOAD_NONCE);
    if (payload)
        say_hex("nonce", payload->body);
    while ((payload = ike_payloads_next(payloads, IKE_PAYLOAD_NOTIFY, &position))) {
        if (ike_notify_decode(payload->body, &notify) != 0)
            continue;
        (void)printf(" notify=%u", notify.type);
        if (notify.spi_size > 0)
            (void)printf(" of=%" PRIx64, notify.spi);
        if (notify.data.size > 0)
            say_hex("data", notify.data);
    }
    say_deletes(payloads);
}

void say_message(const char *what, const GatewaySa *sa, uint32_t id, uint8_t exchange_type,
                 const IkePayloads *payloads)
{
    (void)printf("%s %u %u %u", what, sa->number, id, exchange_type);
    if (payloads)
        say_payloads(payloads);
    (void)putchar('\n');
}

void say_init(const IkePayloads *request)
{
    (void)printf("init");
    say_payloads(request);
    (void)putchar('\n');
}

void say_notifies(const IkePayloads *request)
{
    const IkePayload *payload;
    size_t position = 0;
    IkeNotify notify;

    while ((payload = ike_payloads_next(request, IKE_PAYLOAD_NOTIFY, &position))) {
        if (ike_notify_decode(payload->body, &notify) == 0)
            (void)printf("NOTIFY %u\n", notify.type);
    }
}
