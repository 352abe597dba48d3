/* Somebody between us and the bench's TPM. */
#include "probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { CODE_OFFSET = 6, MESSAGE_MAX = 4096 };

static struct {
    Probe *probe;
    TSS2_TCTI_TRANSMIT_FCN transmit;
    TSS2_TCTI_RECEIVE_FCN receive;
    TPM2_CC last; /* that went by */
    uint8_t old[MESSAGE_MAX];
    size_t old_size;
} wire;

static void look(Bytes octets)
{
    Probe *probe = wire.probe;

    for (size_t i = 0; probe->wanted.size > 0 && i + probe->wanted.size <= octets.size; i++) {
        if (bytes_equal(bytes_slice(octets, i, probe->wanted.size), probe->wanted))
            probe->seen = true;
    }
}

static void edit(const ProbeEdit *change, uint8_t *octets, size_t size)
{
    const size_t at = change->at < 0 ? size - (size_t)-change->at : (size_t)change->at;

    if (change->mask == 0)
        return;
    assert_true(at < size);
    octets[at] ^= change->mask;
}

static TSS2_RC probe_transmit(TSS2_TCTI_CONTEXT *tcti, size_t size, const uint8_t *command)
{
    uint8_t copy[MESSAGE_MAX];
    Reader reader;

    reader_init(&reader, (Bytes){command, size});
    assert_int_equal(reader_skip(&reader, CODE_OFFSET), 0);
    assert_int_equal(reader_u32(&reader, &wire.last), 0);
    look((Bytes){command, size});
    assert_true(size <= sizeof(copy));
    memcpy(copy, command, size);
    if (wire.last == wire.probe->command && wire.probe->taken_at > 0) {
        assert_true(wire.probe->taken_at + sizeof(wire.probe->taken) <= size);
        memcpy(wire.probe->taken, command + wire.probe->taken_at, sizeof(wire.probe->taken));
    }
    if (wire.last == wire.probe->command)
        edit(&wire.probe->sent, copy, size);
    return wire.transmit(tcti, size, copy);
}

/* From a response with sessions to one without (TPM 2.0 Part 1, 18.1 and 18.10): the parameters
 * follow the header, with neither their size nor what stands behind them. */
static void answer_strip(uint8_t *answer, size_t *size)
{
    enum { HEADER_SIZE = 10 };
    uint32_t parameters = 0;
    Reader reader;
    Writer writer;

    reader_init(&reader, (Bytes){answer, *size});
    assert_int_equal(reader_skip(&reader, HEADER_SIZE), 0);
    assert_int_equal(reader_u32(&reader, &parameters), 0);
    assert_true(HEADER_SIZE + sizeof(parameters) + parameters < *size);
    memmove(answer + HEADER_SIZE, answer + HEADER_SIZE + sizeof(parameters), parameters);
    *size = HEADER_SIZE + parameters;
    writer_init(&writer, answer, *size);
    writer_u16(&writer, TPM2_ST_NO_SESSIONS);
    writer_u32(&writer, (uint32_t)*size);
}

static void answer_replay(uint8_t *answer, size_t *size)
{
    if (wire.old_size == 0) {
        assert_true(*size <= sizeof(wire.old));
        memcpy(wire.old, answer, *size);
        wire.old_size = *size;
    } else {
        memcpy(answer, wire.old, wire.old_size);
        *size = wire.old_size;
    }
}

static TSS2_RC probe_receive(TSS2_TCTI_CONTEXT *tcti, size_t *size, uint8_t *answer,
                             int32_t timeout)
{
    const Probe *probe = wire.probe;
    TSS2_RC rc = wire.receive(tcti, size, answer, timeout);

    if (rc != TSS2_RC_SUCCESS || !answer)
        return rc;
    look((Bytes){answer, *size});
    if (wire.last != probe->command)
        return rc;
    edit(&probe->answer, answer, *size);
    if (probe->put_at > 0) {
        assert_true(probe->put_at + probe->put.size <= *size);
        memcpy(answer + probe->put_at, probe->put.data, probe->put.size);
    }
    if (probe->strip)
        answer_strip(answer, size);
    if (probe->replay)
        answer_replay(answer, size);
    return rc;
}

void probe_attach(Probe *probe)
{
    memset(&wire, 0, sizeof(wire));
    wire.probe = probe;
    wire.transmit = TSS2_TCTI_TRANSMIT(bench.tpm->tcti);
    wire.receive = TSS2_TCTI_RECEIVE(bench.tpm->tcti);
    TSS2_TCTI_TRANSMIT(bench.tpm->tcti) = probe_transmit;
    TSS2_TCTI_RECEIVE(bench.tpm->tcti) = probe_receive;
}

void probe_detach(void)
{
    TSS2_TCTI_TRANSMIT(bench.tpm->tcti) = wire.transmit;
    TSS2_TCTI_RECEIVE(bench.tpm->tcti) = wire.receive;
    wire.probe = NULL;
}

int probe_remove(void **state)
{
    (void)state;
    if (wire.probe)
        probe_detach();
    return 0;
}
