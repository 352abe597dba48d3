/* Any octets as an order to tred-net or tred-esp, and as what they say to tred: nothing breaks, and
 * nothing is read in two ways. */
#include "dataplane/order.h"

#include "tests/fuzz/roundtrip.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What decoded must be written as the very same octets. */
static void check_order(Bytes message)
{
    static uint8_t buffer[ORDER_SIZE_MAX];
    _cleanup_(order_deinit) Order order = {0};
    if (order_decode(message, &order) < 0)
        return;
    Writer writer;
    Bytes written = {0};
    writer_init(&writer, buffer, sizeof(buffer));
    order_encode(&writer, &order);
    if (writer_finish(&writer, &written) < 0 || written.size > message.size)
        abort();
    _cleanup_(order_deinit) Order again = {0};
    if (order_decode(written, &again) < 0)
        abort();
}

static void check_report(Bytes message)
{
    static uint8_t buffer[ORDER_SIZE_MAX];
    Report report;
    if (report_decode(message, &report) < 0)
        return;
    Writer writer;
    writer_init(&writer, buffer, sizeof(buffer));
    if (report.answer.type != 0)
        answer_encode(&writer, &report.answer);
    else
        event_encode(&writer, &report.event);
    check_written(&writer, message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready && secrets_init() < 0)
        abort();
    ready = true;
    if (size > ORDER_SIZE_MAX)
        return 0;
    check_order((Bytes){data, size});
    check_report((Bytes){data, size});
    return 0;
}
