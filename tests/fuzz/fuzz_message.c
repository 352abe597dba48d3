/* Can any octets make the message decoder read past its end, or say two things of the same message?
 * Each input is taken twice: as a whole datagram, and as a sealed chain behind one octet with the
 * first payload's type. */
#include "tests/unit/ikewire/reencode.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What decoded must be written anew, decode again, and then be written as the very same octets. */
static void check(bool same)
{
    if (!same)
        abort();
}

static Bytes write_message(const IkeMessage *message, uint8_t *buffer, size_t size)
{
    Writer writer;
    Bytes written = {0};

    writer_init(&writer, buffer, size);
    message_reencode(&writer, message);
    check(writer_finish(&writer, &written) == 0);
    return written;
}

static void try_message(Bytes datagram)
{
    static uint8_t first[IKE_MESSAGE_MAX], second[IKE_MESSAGE_MAX];
    IkeMessage message, again;
    IkeFault fault = {0};

    int r = ike_message_decode(datagram, &message, &fault);
    check(r == (int)fault.code && fault.offset <= datagram.size);
    if (r != 0)
        return;

    Bytes written = write_message(&message, first, sizeof(first));
    check(written.size <= datagram.size);
    check(ike_message_decode(written, &again, NULL) == 0);
    check(again.payloads.count == message.payloads.count);
    check(again.payloads.inner == message.payloads.inner);
    check(bytes_equal(write_message(&again, second, sizeof(second)), written));
}

static Bytes write_chain(const IkePayloads *payloads, uint8_t *buffer, size_t size)
{
    Writer writer;
    IkeChain chain;
    Bytes written = {0};

    writer_init(&writer, buffer, size);
    ike_chain_init(&chain, &writer);
    payloads_reencode(&chain, payloads);
    check(writer_finish(&writer, &written) == 0);
    return written;
}

static void try_chain(uint8_t type, Bytes octets)
{
    static uint8_t first[IKE_MESSAGE_MAX], second[IKE_MESSAGE_MAX];
    IkePayloads payloads, again;
    IkeFault fault = {0};

    int r = ike_payloads_decode(type, octets, &payloads, &fault);
    check(r == (int)fault.code && fault.offset <= octets.size);
    if (r != 0)
        return;

    Bytes written = write_chain(&payloads, first, sizeof(first));
    check(written.size <= octets.size);
    check(ike_payloads_decode(type, written, &again, NULL) == 0);
    check(again.count == payloads.count);
    check(bytes_equal(write_chain(&again, second, sizeof(second)), written));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > IKE_MESSAGE_MAX)
        return 0;

    try_message((Bytes){data, size});
    try_chain(data[0], (Bytes){data + 1, size - 1});
    return 0;
}
